import os
import re
from pathlib import Path

import numpy as np
import pytest

from swinir_jax import InputError
from swinir_jax.cli.goal import Goal
from swinir_jax.cli.inputs import Source
from swinir_jax.cli.planning import assign_targets, choose_format
from swinir_jax.images import Header, Picture, write_picture

SMALL = Header(20, 30)
FOLDER = Goal(Path("out"))


def source(place, folder="in"):
    return Source(os.path.join(folder, place), Path(folder, place), Path(place))


def drafts(places, goal, result=SMALL, **options):
    return [choose_format(source(place), result, (10, 10), goal, **options) for place in places]


def targets(*places, goal=FOLDER, **options):
    planned = drafts(places, goal)
    jobs = assign_targets(planned, goal, [draft.source for draft in planned], **options)
    return [str(job.target) for job in jobs]


@pytest.mark.parametrize(
    ("place", "target"),
    [
        ("a.png", "out/a.png"),
        ("a.PNG", "out/a.PNG"),
        ("a.tiff", "out/a.tiff"),
        ("deep/a.webp", "out/deep/a.webp"),
        ("a.jpg", "out/a.png"),
        ("a.jfif", "out/a.png"),
        ("a.jpg_large", "out/a.png"),
        ("a.heic", "out/a.png"),
        ("a.gif", "out/a.png"),
        ("IMG_0001", "out/IMG_0001.png"),
        ("scan.2020.01", "out/scan.2020.01.png"),
    ],
)
def test_default_ending(place, target):
    assert targets(place) == [target]


def test_chosen_ending():
    assert targets("a.jpg", goal=Goal(Path("out"), ending=".jpg")) == ["out/a.jpg"]


@pytest.mark.parametrize(
    ("places", "names"),
    [
        (["b.jpg", "b.png"], ["b.jpg.png", "b.png.png"]),
        (["b.jpg", "b.jpg.png"], ["b.png", "b.jpg.png"]),
        (["b.jpg", "b.png", "b.jpg.png"], ["b.jpg~#.png", "b.png.png", "b.jpg.png.png"]),
        (["b", "b.png", "b.jpg"], ["b.png", "b.png.png", "b.jpg.png"]),
        (["b", "b.png/c.png"], ["b~#.png", "b.png/c.png"]),
    ],
)
def test_equal_names_are_made_different(places, names):
    found = targets(*places)
    assert [re.sub("~[0-9a-f]{8}", "~#", name) for name in found] == [f"out/{name}" for name in names]
    assert sorted(targets(*places[::-1])) == sorted(found)


def test_results_of_all_endings_have_different_names():
    endings = ["", ".png", ".jpg", ".jpg.png", ".png.png", ".png.jpg", ".tif", ".tif.png", ".gif"]
    places = [f"{folder}a{ending}" for ending in endings for folder in ("", "a/", "a.png/")]
    for compare in (False, True):
        assert len(set(targets(*places, compare=compare))) == len(places)


def test_equal_names_in_two_folders_are_made_different():
    planned = [choose_format(source("b.png", folder), SMALL, (1, 1), Goal(Path("out"))) for folder in ("x", "y")]
    [first, second] = assign_targets(planned, Goal(Path("out")), [])
    assert first.target != second.target
    again = assign_targets(planned[::-1], Goal(Path("out")), [])
    assert [job.target for job in again] == [second.target, first.target]


def test_comparisons_lie_in_a_folder_of_their_own_under_different_names():
    jobs = assign_targets(drafts(["a.png", "deep/a.tif", "b.png", "b.tif"], FOLDER), FOLDER, [], compare=True)
    assert [str(job.comparison) for job in jobs] == [
        f"out/compare/{name}" for name in ("a.png", "deep/a.png", "b.png.png", "b.tif.png")
    ]
    goal = Goal(Path("results/a.webp"), is_file=True, ending=".webp")
    [job] = assign_targets(drafts(["b.jpg"], goal), goal, [], compare=True)
    assert job.comparison == Path("results/compare/a.png")


def test_results_among_comparisons_are_refused():
    assert targets("compare.png", "deep/compare/a.png", compare=True) == ["out/compare.png", "out/deep/compare/a.png"]
    with pytest.raises(InputError, match=r"^out/compare/a\.png: would lie among .*; leave out --compare"):
        targets("compare/a.png", compare=True)


def test_long_names_are_shortened_and_noted():
    goal = Goal(Path("out"))
    places = ["é" * 127, "é" * 126 + "a.jpg"[:1], "x" * 251 + ".gif", "x" * 250 + ".jpg"]
    jobs = assign_targets(drafts(places, goal), goal, [], compare=True)
    assert len({job.target for job in jobs}) == 4
    assert all(len(os.fsencode(path.name)) <= 255 for job in jobs for path in (job.target, job.comparison))
    assert [bool(job.notes) for job in jobs] == [True, True, False, False]
    assert "too long" in jobs[0].notes[0]


def test_long_names_of_undecodable_bytes_are_shortened():
    name = os.fsdecode(b"\xff" * 255)
    [target] = targets(name)
    assert len(os.fsencode(os.path.basename(target))) <= 255


@pytest.mark.parametrize(
    ("place", "result", "ending", "word"),
    [
        ("a.webp", Header(16, 16400), ".png", "WebP cannot hold a side of 16400 pixels"),
        ("a.webp", Header(16, 1_000_001), ".tif", "WebP cannot hold"),
        ("a.bmp", Header(16, 16, bits=16), ".png", "BMP cannot hold 16 bits"),
    ],
)
def test_fallback_format_is_noted(place, result, ending, word):
    [draft] = drafts([place], Goal(Path("out")), result)
    assert draft.ending == ending
    assert word in draft.notes[0]


def test_chosen_format_falls_back_in_folders_only():
    [draft] = drafts(["a.png"], Goal(Path("out"), ending=".webp"), Header(16, 16400))
    assert draft.ending == ".png"
    with pytest.raises(InputError, match=r"in/a\.png: WebP cannot hold a side of 16400 pixels; choose \.png"):
        drafts(["a.png"], Goal(Path("a.webp"), is_file=True, ending=".webp"), Header(16, 16400))


def test_only_png_and_tiff_are_written_by_rows():
    draft = choose_format(source("a.webp"), SMALL, None, Goal(Path("out")))
    assert draft.ending == ".png"
    assert "larger than memory" in draft.notes[0]


def test_only_opaque_or_flattened_alpha_is_left_out():
    os.mkdir("in")
    goal, result = Goal(Path("out"), ending=".jpg"), Header(20, 30, has_alpha=True)
    for name, level in (("opaque.png", 255), ("clear.png", 7)):
        picture = Picture(np.zeros((20, 30, 3), np.uint8), np.full((20, 30), level, np.uint8))
        write_picture(f"in/{name}", picture)
    assert [draft.ending for draft in drafts(["opaque.png"], goal, result)] == [".jpg"]
    assert [draft.ending for draft in drafts(["clear.png"], goal, result, flattened=True)] == [".jpg"]
    with pytest.raises(InputError, match=r"in/clear\.png: JPEG cannot hold alpha; use --background"):
        drafts(["clear.png"], goal, result)


@pytest.mark.parametrize("link", [None, os.symlink, os.link])
def test_result_over_an_input_is_refused(link):
    os.mkdir("in")
    Path("in/a.png").touch()
    goal = Goal(Path("in"))
    if link:
        os.mkdir("out")
        goal = Goal(Path("out"))
        link(os.path.abspath("in/a.png"), "out/a.png")
    with pytest.raises(InputError, match="an input would be overwritten"):
        assign_targets(drafts(["a.png"], goal), goal, [source("a.png")])


def test_goal_is_a_file_or_a_folder(monkeypatch):
    os.mkdir("folder.png")
    spool = Path("spool")
    assert Goal.of("a.webp", None, spool) == Goal(Path("a.webp"), is_file=True, ending=".webp")
    for folder in ("out", "results.v2", "folder.png", "new.png/"):
        assert not Goal.of(folder, ".png", spool).is_file
    for out, ending, word in (
        ("a.gif", None, r"a\.gif: .*\.png"),
        ("a.heic", None, r"a\.heic: "),
        ("a.png", ".jpg", "asks for JPEG"),
        ("", None, "empty"),
        ("s3://bucket/results", None, "s3://bucket/results: .* local folders"),
    ):
        with pytest.raises(InputError, match=word):
            Goal.of(out, ending, spool)
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(InputError, match="standard output: is closed"):
        Goal.of("-", None, spool)
    with pytest.raises(InputError, match="2 pictures need a folder"):
        Goal.of("a.png", None, spool).check_inputs(["a.jpg", "b.jpg"], 2)


@pytest.mark.parametrize("ending", ["tga", "psd", "PDF", "svg", "exr", "ico", "dng", "jepg", "jpg2", "dib", "v2"])
def test_single_picture_in_a_format_that_cannot_be_written_is_refused(ending):
    os.mkdir("in")
    os.mkdir("there.tga")
    spool = Path("spool")
    with pytest.raises(InputError, match=rf"^a\.{ending}: no picture is written as \.{ending}; .* as a\.{ending}/\.$"):
        Goal.of(f"a.{ending}", None, spool).check_inputs(["a.png"], 1)
    Goal.of(f"a.{ending}/", None, spool).check_inputs(["a.png"], 1)
    Goal.of(f"a.{ending}", None, spool).check_inputs(["a.png", "b.png"], 2)
    Goal.of(f"a.{ending}", None, spool).check_inputs(["in"], 1)
    Goal.of("there.tga", None, spool).check_inputs(["a.png"], 1)
    Goal.of("scans of 2020.results", None, spool).check_inputs(["a.png"], 1)


@pytest.mark.parametrize("out", ["notes.txt", "notes.txt/deep", "notes.txt/a.png", "link", "/dev/null"])
def test_output_below_a_file_is_refused(out):
    Path("notes.txt").touch()
    Path("link").symlink_to("nowhere")
    with pytest.raises(InputError, match=r": is not a folder .*; --out takes a folder, .*, or - for standard output"):
        Goal.of(out, None, Path("spool"))
