from pathlib import Path

import pytest

from swinir_jax.data.pairs import match_pairs, sizes_fit
from swinir_jax.errors import InputError


def paths(text):
    return [Path(name) for name in text.split()]


def matched(hq, lq, template="", scale=2):
    return [f"{a} {b}" for a, b in match_pairs(paths(hq), paths(lq), scale, template)]


@pytest.mark.parametrize(
    ("hq", "lq"),
    [
        ("baby.png", "babyx2.png"),
        ("img_001_SRF_2_HR.png", "img_001_SRF_2_LR.png"),
        ("0801.png", "0801x2.png"),
        ("a.png", "a.jpg"),
        ("box2.png", "box2.png"),
    ],
)
def test_usual_names_match(hq, lq):
    others = Path("other.png")
    assert match_pairs([Path(hq), others], [others, Path(lq)], 2) == [(Path(hq), Path(lq)), (others, others)]


def test_files_without_a_partner_are_named():
    with pytest.raises(InputError, match=r"a\.png has no partner; bx2\.png has no partner"):
        match_pairs([Path("a.png"), Path("c.png")], [Path("bx2.png"), Path("cx2.png")], 2)
    with pytest.raises(InputError, match=r"a\.jpg and a\.png|a\.png and a\.jpg"):
        match_pairs([Path("a.png"), Path("a.jpg")], [Path("a.png")], 2)


def test_equal_names_in_folders_are_paired_by_path():
    assert matched("a/1.png b/1.png", "b/1.png a/1.png") == ["a/1.png a/1.png", "b/1.png b/1.png"]
    assert matched("a/1.png b/1.png", "b/1x2.jpg a/1x2.jpg") == ["a/1.png a/1x2.jpg", "b/1.png b/1x2.jpg"]


def test_names_alone_pair_where_folders_differ():
    assert matched("a/1.png b/2.png", "X2/1x2.png X2/2x2.png") == ["a/1.png X2/1x2.png", "b/2.png X2/2x2.png"]


def test_equal_paths_are_pairs_though_stems_are_not_unique():
    assert matched("a.png a.jpg", "a.jpg a.png") == ["a.png a.png", "a.jpg a.jpg"]


@pytest.mark.parametrize(
    ("template", "lq"),
    [
        ("{}x2", "a/1x2.png"),
        ("{}_LR4", "a/1_LR4.png"),
        ("{}_bicLRx4", "a/1_bicLRx4.jpg"),
        ("LR_{}", "a/LR_1.png"),
        ("X2/{}x2", "X2/a/1x2.png"),
        ("X2/{}x2", "a/X2/1x2.png"),
        ("X2/{}x2", "X2/1x2.png"),
        ("bicubic/X2/{}x2", "bicubic/X2/a/1x2.png"),
        ("{}/lr", "a/1/lr.png"),
        ("{}x2.png", "a/1x2.png"),
        ("{}.v1", "a/1.v1.png"),
        ("{}(1)", "a/1(1).png"),
    ],
)
def test_templates(template, lq):
    assert matched("a/1.png", lq, template) == [f"a/1.png {lq}"]
    with pytest.raises(InputError, match="no partner"):
        matched("a/1.png", lq.replace("1", "7"), template)


def test_hq_names_may_end_with_hr_in_templates():
    hq = "Canon_001_HR.png Canon_002_HR.png"
    assert matched(hq, "Canon_001_LR4.png Canon_002_LR4.png", "{}_LR4") == [
        "Canon_001_HR.png Canon_001_LR4.png",
        "Canon_002_HR.png Canon_002_LR4.png",
    ]
    assert matched("a_HR.png", "a_HRx2.png", "{}x2") == ["a_HR.png a_HRx2.png"]


def test_a_template_ignores_other_names_but_needs_a_partner_for_each_match():
    lq = "X2/1x2.png X3/1x3.png X2/2x2.png X3/2x3.png"
    assert matched("1.png 2.png", lq, "X2/{}x2") == ["1.png X2/1x2.png", "2.png X2/2x2.png"]
    with pytest.raises(InputError, match=r"match: X2/2x2\.png has no partner; LQ files are named X2/\{\}x2"):
        matched("1.png", lq, "X2/{}x2")


@pytest.mark.parametrize("template", ["x2", "{}{}", "{0}x2"])
def test_a_template_needs_one_placeholder(template):
    with pytest.raises(InputError, match=r"has one \{\} for the HQ name"):
        matched("1.png", "1x2.png", template)


@pytest.mark.parametrize("lq", ["{}_LR4", "{}_bicLRx4", "LR_{}", "X4/{}x4", "low/{}-small", "{}.v1"])
def test_the_only_template_that_pairs_all_is_found(lq):
    names = ["1", "2", "10", "21"]
    files = [f"{lq.format(name)}.png" for name in names]
    hq = [f"{name}.png" for name in names]
    assert matched(" ".join(hq), " ".join(files)) == [f"{a} {b}" for a, b in zip(hq, files, strict=True)]


def test_ambiguous_pairs_are_refused():
    with pytest.raises(InputError, match=r"no partner.*a template of LQ names such as --pairs \{\}_LR4"):
        matched("1.png", "11.png")  # {}1 or 1{}
    with pytest.raises(InputError, match="no partner"):
        matched("1.png 2.png 12.png", "1a.png 2b.png 12a.png")


def test_many_problems_show_the_first_few():
    names = [f"{i:03}" for i in range(300)]
    with pytest.raises(InputError) as caught:
        match_pairs([Path(f"{name}.png") for name in names], [Path(f"{name}_q.png") for name in names[:-1]], 2)
    assert "000.png has no partner" in str(caught.value)
    assert "and 596 more" in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("hq", "lq", "scale", "fits"),
    [
        ((21, 20), (10, 10), 2, True),
        ((21, 20), (11, 10), 2, True),
        ((21, 23), (6, 5), 4, True),
        ((20, 20), (11, 10), 2, False),
        ((21, 20), (12, 10), 2, False),
        ((21, 20), (10, 11), 2, False),
    ],
)
def test_sides_are_rounded_down_or_up(hq, lq, scale, fits):
    assert sizes_fit(hq, lq, scale) == fits
