from pathlib import Path

import pytest

from swinir_jax import InputError
from swinir_jax.cli.inputs import collect_jobs


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    for name in ("in/b.png", "in/a.jpg", "in/notes.txt", "in/.hidden.png", "in/deep/c.TIF", "empty/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)


def pairs(*inputs, out="out", **options):
    return [(str(job.source), str(job.target)) for job in collect_jobs(inputs, Path(out), **options)]


def test_a_folder_in_order_and_jpeg_becomes_png():
    assert pairs("in") == [("in/a.jpg", "out/a.png"), ("in/b.png", "out/b.png")]


def test_recursive_keeps_the_subfolders():
    assert pairs("in", recursive=True)[-1] == ("in/deep/c.TIF", "out/deep/c.TIF")


def test_a_pattern():
    assert pairs("in/*.png") == [("in/b.png", "out/b.png")]


def test_one_file_to_one_file():
    assert pairs("in/a.jpg", out="result.webp") == [("in/a.jpg", "result.webp")]


def test_chosen_format():
    assert pairs("in/a.jpg", suffix=".jpg") == [("in/a.jpg", "out/a.jpg")]


def test_same_stems_keep_their_endings():
    Path("in/b.jpg").touch()
    assert pairs("in")[1:] == [("in/b.jpg", "out/b.jpg.png"), ("in/b.png", "out/b.png.png")]


def test_an_input_named_twice_is_done_once():
    assert len(pairs("in", "in/b.png")) == 2


@pytest.mark.parametrize(
    ("inputs", "out", "word"),
    [
        (["none.png"], "out", "none.png: no such file"),
        ([""], "out", "empty"),
        (["empty"], "out", "empty: no images"),
        (["in/*.bmp"], "out", "no file matches"),
        (["in/b.png"], "in", "an input would be overwritten"),
        (["in"], "result.png", "need a folder"),
        (["in"], "in/notes.txt", "cannot be written"),
        (["in"], "in/notes.txt/out", "cannot be written"),
        (["in/b.png", "in/deep/../deep/b.png"], "out", "no such file"),
        (["in"], "in", "an input would be overwritten"),
    ],
)
def test_bad_inputs(inputs, out, word):
    with pytest.raises(InputError, match=word):
        pairs(*inputs, out=out)


def test_two_folders_with_one_name_between_them():
    Path("other").mkdir()
    Path("other/b.png").touch()
    with pytest.raises(InputError, match=r"b\.png.*more than one input"):
        pairs("in/b.png", "other/b.png")


def test_results_must_not_lie_among_recursive_inputs():
    with pytest.raises(InputError, match="choose a folder outside"):
        pairs("in", out="in/deep/restored", recursive=True)
    assert len(pairs("in", out="in/deep/restored")) == 2


def test_a_broken_link_is_an_input_and_will_be_named():
    Path("in/gone.png").symlink_to("nowhere")
    assert ("in/gone.png", "out/gone.png") in pairs("in")


def test_a_comparison_must_not_meet_a_result():
    Path("in/b_compare.png").touch()
    assert len(pairs("in")) == 3
    with pytest.raises(InputError, match=r"b_compare\.png.*more than one input"):
        pairs("in", compare=True)
