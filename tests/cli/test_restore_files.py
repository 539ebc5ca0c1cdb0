"""`swinir-jax restore` with files and folders of all kinds."""

import os
import re
import socket
from pathlib import Path

import numpy as np
import pytest
from picture_files import make_pixels, pillow_bytes, put
from PIL import ExifTags, Image

from swinir_jax.cli import choosing
from swinir_jax.images import Picture, read_picture, write_picture
from swinir_jax.inference import engine, files

PNG = pillow_bytes(make_pixels(3), "PNG")
JPEG = pillow_bytes(make_pixels(3), "JPEG")


def results(folder="out"):
    return sorted(
        os.path.relpath(os.path.join(place, name), folder) for place, _, names in os.walk(folder) for name in names
    )


ODD_NAMES = {
    "two\nlines.png": "two\nlines.png",
    "😀 family 👨‍👩‍👧.png": "😀 family 👨‍👩‍👧.png",
    "-dash.png": "-dash.png",
    "trailing .png": "trailing .png",
    " ": " .png",
    os.fsdecode(b"latin\xe9.png"): os.fsdecode(b"latin\xe9.png"),
    "x" * 251 + ".png": "x" * 251 + ".png",
    "a.jpg": "a.jpg~#.png",
    "a.png": "a.png.png",
    "a.jpg.png": "a.jpg.png.png",
    "shot.jfif": "shot.png",
    "large.jpg_large": "large.png",
    "photo": "photo~#.png",
    "photo.png/inner": "photo.png/inner.png",
    "%s.png": "%s.png",
    "bracket[1].png": "bracket[1].png",
}


def test_names_of_results(run):
    for name in ODD_NAMES:
        put(f"in/{name}", JPEG)
    put("in/notes.txt", b"text")
    code, lines = run("in", "--recursive", "--out", "out")
    assert code == 0
    assert [re.sub("~[0-9a-f]{8}", "~#", name) for name in results()] == sorted(ODD_NAMES.values())
    assert lines[-1].startswith(f"{len(ODD_NAMES)} of {len(ODD_NAMES)} pictures, ")
    assert lines[-1].endswith(" s, in out/; 1 left out, not a picture: in/notes.txt")


def test_names_are_printed_in_one_line(run):
    names = ["two\nlines.png", "\x1b[31mred.png", os.fsdecode(b"\xff.png")]
    for name in names:
        put(f"in/{name}", b"no picture")
    code, lines = run("in", "--out", "out")
    assert code == 3
    failed = [line for line in lines if line.startswith("failed: ")]
    assert len(failed) == 3
    assert {line.split(": ")[1] for line in failed} == {r"in/two\nlines.png", r"in/\x1b[31mred.png", r"in/\udcff.png"}


def test_names_behind_a_double_dash(run):
    put("-x.png")
    assert run("--out", "out", "--", "-x.png")[0] == 0
    assert results() == ["-x.png"]


def test_bad_inputs_do_not_stop_others(run):
    put("in/good.png"), put("in/empty.png", b""), put("in/cut.jpg", JPEG[:200]), put("in/text.webp", b"text")
    os.symlink("nowhere", "in/broken.png")
    os.mkdir("in/folder.png")
    os.mkfifo("in/pipe.png")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("in/socket.png")
        code, lines = run("in", "none.png", "--out", "out")
    assert code == 1
    assert results() == ["good.png"]
    assert sorted(line.split(": ")[1] for line in lines if line.startswith("failed: ")) == [
        *(f"in/{name}" for name in ("broken.png", "cut.jpg", "empty.png", "text.webp")),
        "none.png",
    ]
    assert re.fullmatch(
        r"1 of 6 pictures, [\d.]+ s, in out/; 5 not restored: none\.png, in/broken\.png, in/cut\.jpg, \.\.\.; "
        r"2 left out, not pictures: in/pipe\.png, in/socket\.png; 1 subfolder left out \(--recursive takes it\)",
        lines[-1],
    ), lines[-1]


def test_input_removed_during_the_run_fails(run, monkeypatch):
    put("in/a.png"), put("in/b.png")
    original = files.read_picture

    def read(*arguments, **options):
        Path("in/b.png").unlink(missing_ok=True)
        return original(*arguments, **options)

    monkeypatch.setattr(files, "read_picture", read)
    code, lines = run("in", "--out", "out")
    assert code == 1
    assert "failed: in/b.png: No such file or directory" in lines


def test_folders_and_devices_in_the_place_of_results(run):
    for name in ("a", "b", "c"):
        put(f"in/{name}.png")
    os.makedirs("out/a.png")
    os.mkfifo("out/b.png")
    code, lines = run("in", "--out", "out")
    assert code == 1
    assert "failed: in/a.png: out/a.png: cannot be written, a folder is there." in lines
    assert "failed: in/b.png: out/b.png: cannot be written, a device is there." in lines
    assert os.path.isfile("out/c.png")


def test_long_name_of_a_file_is_refused(run):
    put("a.png")
    code, lines = run("a.png", "--out", "x" * 300 + ".png")
    assert code == 3
    assert "File name too long" in lines[-2]


def test_model_is_loaded_before_the_folder_is_made(run, monkeypatch):
    load = choosing.load_model

    def load_first(*arguments):
        assert not os.path.exists("lightweight_x4")
        return load(*arguments)

    monkeypatch.setattr(choosing, "load_model", load_first)
    assert run(put("a.png"), "--out", "lightweight_x4")[0] == 0
    assert results("lightweight_x4") == ["a.png"]


def test_formats_that_cannot_hold_the_result_are_refused_before_the_work(run, monkeypatch):
    write_picture("clear.png", Picture(make_pixels(3), np.full((23, 34), 7, np.uint8)))
    put("a.png")
    monkeypatch.setattr(files, "restore_picture", lambda *arguments: pytest.fail("restored in vain"))
    for arguments, expected, word in (
        (["a.png", "--out", "a.gif"], 2, r"a\.gif: "),
        (["clear.png", "--out", "a.jpg"], 3, r"clear\.png: JPEG cannot hold alpha"),
        (["a.png", "--out", "-", "--compare"], 2, "--compare"),
        (["a.png", "--out", "-", "--open"], 2, "--open"),
        (["a.png", "--out", "-", "--json"], 2, "--json"),
    ):
        code, lines = run(*arguments)
        assert code == expected
        assert any(re.search(word, line) for line in lines)
    assert sorted(os.listdir()) == ["a.png", "clear.png"]


def test_result_that_the_format_cannot_hold_becomes_png(run):
    put("in/deep.bmp", pillow_bytes(make_pixels(0, np.uint16), "PNG"))
    code, lines = run("in", "--out", "out")
    assert code == 0
    assert results() == ["deep.png"]
    assert "in/deep.bmp: written as .png: BMP cannot hold 16 bits per channel" in lines


def test_skipped_pictures_are_counted(run):
    put("in/a.png"), put("in/b.png"), put("out/a.png")
    code, lines = run("in", "--out", "out", "--skip-existing")
    assert code == 0
    assert re.fullmatch(r"1 of 2 pictures, [\d.]+ s, in out/; 1 skipped, as their results exist", lines[-1])


def test_folders_that_are_not_searched_are_counted(run):
    put("in/a.png"), put("in/deep/b.png"), put("in/deeper/c.png")
    code, lines = run("in", "--out", "out")
    assert (code, results()) == (0, ["a.png"])
    assert lines[-1].endswith(" s, in out/; 2 subfolders left out (--recursive takes them)")
    assert run("in", "--out", "out", "--recursive")[1][-1].endswith(" s, in out/")


def test_a_background_in_place_of_alpha(run, monkeypatch):
    monkeypatch.setattr(files, "restore_picture", lambda picture, restorer: picture)
    os.mkdir("in")
    write_picture("in/clear.png", Picture(make_pixels(3), np.zeros((23, 34), np.uint8)))
    write_picture("in/opaque.png", Picture(make_pixels(3), np.full((23, 34), 255, np.uint8)))
    code, lines = run("in", "--out", "out", "--format", "jpg", "--background", "#ff0000")
    assert code == 0
    assert results() == ["clear.jpg", "opaque.jpg"]
    assert "  put onto a #ff0000 background" in lines
    np.testing.assert_allclose(read_picture("out/clear.jpg").pixels, np.full((23, 34, 3), (255, 0, 0)), atol=2)
    np.testing.assert_allclose(read_picture("out/opaque.jpg").pixels, make_pixels(3), atol=8)
    assert run("in/opaque.png", "--out", "out", "--format", "jpg")[0] == 0
    assert run("in/opaque.png", "--out", "out", "--background", "reddish")[0] == 2


@pytest.mark.parametrize("memory", [[], ["--tile", "32", "--memory", "8MB"]])
def test_metadata_is_kept_or_stripped(run, monkeypatch, memory):
    monkeypatch.setattr(engine, "resident_bytes", lambda: 0)
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "A. Author"
    h = 1000 if memory else 20
    put("a.png", pillow_bytes(make_pixels(3, h=h, w=100), "PNG", exif=exif))
    for options, kept in (([], True), (["--strip-metadata"], False)):
        assert run("a.png", "--out", "out.png", *memory, *options)[0] == 0
        assert (b"A. Author" in read_picture("out.png").metadata.exif) == kept


def test_comparisons_of_one_pass_are_no_inputs_of_the_next(run):
    put("in/a.png"), put("in/deep/b.png")
    assert run("in", "--out", "out", "--recursive", "--compare")[0] == 0
    assert results() == ["a.png", "compare/.swinir-jax-results", "compare/a.png", "compare/deep/b.png", "deep/b.png"]
    code, lines = run("out", "--out", "again", "--recursive")
    assert (code, results("again")) == (0, ["a.png", "deep/b.png"])
    assert "out/compare: left out, as swinir-jax wrote the pictures in it" in lines


def test_results_among_the_inputs_are_no_inputs_of_the_next_pass(run):
    put("a.png"), put("deep/b.png")
    for _ in range(2):
        code, lines = run(".", "--recursive")
        assert (code, results("restored")) == (0, [".swinir-jax-results", "a.png", "deep/b.png"])
        assert lines[-1].startswith("2 of 2 pictures, ")
    assert "restored: left out, as swinir-jax wrote the pictures in it" in lines
    assert run(".", "--recursive", "--out", "again")[0] == 0
    assert results("again") == [".swinir-jax-results", "a.png", "deep/b.png"]
    assert run("restored", "--recursive", "--out", "more")[0] == 0
    assert results("more") == ["a.png", "deep/b.png"]


def test_an_existing_output_folder_among_the_inputs_stays_the_user_s_own(run):
    put("a.png"), put("own/b.png")
    code, lines = run(".", "--recursive", "--out", "own")
    assert (code, results("own")) == (0, ["a.png", "b.png"])
    assert "own: left out, as the results are written there" in lines
    assert run(".", "--recursive", "--out", "all")[0] == 0
    assert results("all") == [".swinir-jax-results", "a.png", "own/a.png", "own/b.png"]


def test_results_beside_the_inputs_are_no_inputs_of_the_next_run(run):
    put("in/a.jpg", JPEG), put("in/b.JPG", JPEG)
    code, [line] = run("in", "--out", "in")
    assert (code, results("in")) == (2, ["a.jpg", "b.JPG"])
    assert line.endswith("in: its pictures are inputs; choose another folder for the results (--out).")
    assert run("in/*", "--out", "in")[0] == 0
    assert results("in") == ["a.jpg", "a.png", "b.JPG", "b.png"]
    code, lines = run("in/*", "--out", "in")
    assert (code, results("in")) == (2, ["a.jpg", "a.png", "b.JPG", "b.png"])
    assert lines[-1].endswith("in/a.png: an input would be overwritten by a result; choose another --out.")


@pytest.mark.parametrize("content", [PNG[:30], pillow_bytes(make_pixels(3, h=1001, w=1000), "PNG")])
def test_an_input_that_is_refused_is_not_overwritten_either(run, content):
    put("in/a.jpg", JPEG), put("in/a.png", content)
    code, lines = run("in/a.jpg", "in/a.png", "--out", "in", "--max-pixels", "1")
    assert (code, Path("in/a.png").read_bytes()) == (2, content)
    assert lines[-1].endswith("in/a.png: an input would be overwritten by a result; choose another --out.")


def test_a_name_with_spaces_that_a_shell_divided_is_named_in_quotes(run):
    put("in/Opa im Garten.jpg", JPEG), put("b.jpg", JPEG)
    code, [line] = run("b.jpg", "in/Opa", "im", "Garten.jpg")
    assert (code, line) == (
        2,
        "swinir-jax: error: in/Opa im Garten.jpg: a name with spaces needs quotes: 'in/Opa im Garten.jpg'.",
    )


def test_the_other_name_of_a_result_is_explained(run):
    lines = run(put("a.jpg", JPEG), put("a.jpeg", JPEG), "--out", "out")[1]
    assert results() == ["a.jpeg.png", "a.jpg.png"]
    assert "a.jpg: written as a.jpg.png, as another result would be a.png, too" in lines
