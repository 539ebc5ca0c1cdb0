import errno
import io
import os
import socket
from pathlib import Path

import pytest
from picture_files import make_pixels, pillow_bytes

from swinir_jax import InputError
from swinir_jax.cli.inputs import find_inputs
from swinir_jax.images.result_folders import make_result_folder


@pytest.fixture(autouse=True)
def folder():
    for name in (
        "in/b.png",
        "in/a.jpg",
        "in/notes.txt",
        "in/.hidden.png",
        "in/deep/c.TIF",
        "empty/notes.txt",
        "above/deep/c.png",
        "spool/x",
    ):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def find(*arguments, out="out", **options):
    return find_inputs(arguments, Path(out), Path("spool"), **options)


def pairs(*arguments, **options):
    """Returns names of files and places of results."""
    return [(source.name, str(source.relative)) for source in find(*arguments, **options).sources]


def test_folder_is_sorted():
    assert pairs("in") == [("in/a.jpg", "a.jpg"), ("in/b.png", "b.png")]


def test_a_picture_in_a_closed_folder_is_not_called_missing(monkeypatch):
    found_by_system = os.lstat

    def lstat(path):
        if str(path) == "closed/a.png":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return found_by_system(path)

    monkeypatch.setattr(os, "lstat", lstat)
    found = find("closed/a.png", "in")
    assert "Permission denied" in str(found.problems["closed/a.png"])
    assert len(found.sources) == 2


def test_recursive_search_keeps_subfolders():
    assert pairs("in", recursive=True)[-1] == ("in/deep/c.TIF", "deep/c.TIF")


def test_links_to_folders_are_followed():
    os.mkdir("linked")
    os.symlink("../in/deep", "linked/deep")
    os.symlink("..", "linked/circle")
    found = pairs("linked", recursive=True)
    assert ("linked/deep/c.TIF", "deep/c.TIF") in found


def test_other_files_are_listed():
    assert find("in").left_out == [Path("in/notes.txt")]


def test_subfolders_that_are_not_searched_are_listed():
    Path("in/also/.git").mkdir(parents=True)
    assert find("in").subfolders == [Path("in/also"), Path("in/deep")]
    assert find("in", "in/deep").subfolders == [Path("in/also")]
    assert find("in", out="in/also").subfolders == [Path("in/deep")]
    assert find("in", recursive=True).subfolders == []


def test_folders_of_results_are_left_out_unless_named(caplog):
    caplog.set_level("INFO")
    make_result_folder(Path("in/compare"))
    make_result_folder(Path("in/deep/compare"))
    for name in ("in/compare/a.png", "in/deep/compare/c.png", "in/also/compare/own.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    expected = ["in/a.jpg", "in/also/compare/own.png", "in/b.png", "in/deep/c.TIF"]
    assert [name for name, _ in pairs("in", recursive=True)] == expected
    assert {record.getMessage() for record in caplog.records} == {
        f"{folder}/compare: left out, as swinir-jax wrote the pictures in it" for folder in ("in", "in/deep")
    }
    assert find("in").subfolders == [Path("in/also"), Path("in/deep")]
    assert find("in/*").subfolders == [Path("in/also"), Path("in/deep")]
    assert sorted(name for name, _ in pairs("in/*", recursive=True)) == expected
    assert sorted(name for name, _ in pairs("in/**/*.*")) == expected
    assert pairs("in/compare") == [("in/compare/a.png", "a.png")]
    assert pairs("in/compare/*") == [("in/compare/a.png", "a.png")]


def test_pattern():
    assert pairs("in/*.png") == [("in/b.png", "b.png")]


def test_other_files_of_a_pattern_are_listed():
    inputs = find("in/*")
    assert [source.name for source in inputs.sources] == ["in/a.jpg", "in/b.png"]
    assert inputs.left_out == [Path("in/notes.txt")]


def test_folder_of_a_pattern_that_cannot_be_opened_is_left_out(monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    inputs = find("in/*", recursive=True)
    assert [source.name for source in inputs.sources] == ["in/a.jpg", "in/b.png"]
    assert inputs.left_out == [Path("in/notes.txt"), Path("in/deep")]


def test_folders_of_a_pattern_are_listed_or_searched():
    inputs = find("in/*", "above/*/*.png")
    assert [source.name for source in inputs.sources] == ["in/a.jpg", "in/b.png", "above/deep/c.png"]
    assert inputs.subfolders == [Path("in/deep")]
    assert find("in/*", "in/deep").subfolders == []
    assert find("in/*", out="in/deep").subfolders == []
    assert pairs("in/*", recursive=True)[2:] == [("in/deep/c.TIF", "deep/c.TIF")]
    assert find("in/**").subfolders == []
    with pytest.raises(InputError, match=r"no picture matches this pattern; 1 subfolder left out"):
        find("above/*")
    assert [name for name, _ in pairs("in/*", out="in/deep", recursive=True)] == ["in/a.jpg", "in/b.png"]
    assert pairs("in/d*", out="in/deep/restored", recursive=True) == [("in/deep/c.TIF", "deep/c.TIF")]


@pytest.mark.parametrize(
    "pattern", ["album [2020]/*.png", "album [2020]/a[[]1].png", "album [2020]", "album [2020]/a[1].png"]
)
def test_brackets_in_names(pattern):
    os.mkdir("album [2020]")
    Path("album [2020]/a[1].png").touch()
    assert pairs(pattern) == [("album [2020]/a[1].png", "a[1].png")]


def test_input_named_twice_is_listed_once(tmp_path):
    assert len(pairs("in", "in/b.png", str(tmp_path / "in" / "b.png"))) == 2


def test_bad_arguments_do_not_stop_others():
    inputs = find("none.png", "in/b.png", "empty")
    assert [source.name for source in inputs.sources] == ["in/b.png"]
    assert list(inputs.problems) == ["none.png", "empty"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["none.png"], "none.png: no such file"),
        (["https://host/a.png"], "^https://host/a.png: no such file"),
        (["https://host/a.png?size=9"], r"^https://host/a.png\?size=9: no picture matches"),
        ([""], "empty"),
        (["empty"], "^empty: no pictures in this folder; 1 left out, not a picture: empty/notes.txt.$"),
        (["above"], r"^above: no pictures in this folder; 1 subfolder left out \(--recursive takes it\).$"),
        (["in/*.bmp"], "no picture matches"),
        (["in/*.txt"], "no picture matches"),
        (["n" * 300 + ".png"], "no such file"),
        (["/dev/null"], "neither a file nor"),
    ],
)
def test_bad_arguments_are_refused(arguments, word):
    with pytest.raises(InputError, match=word):
        find(*arguments)


def test_sockets_are_refused(tmp_path):
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("in/socket.png")
        with pytest.raises(InputError, match=r"in/socket\.png: neither a file nor"):
            find("in/socket.png")


@pytest.mark.parametrize("argument", ["in", "in/**/*", "i*"])
def test_results_among_recursive_inputs_are_left_out(argument, caplog):
    caplog.set_level("INFO")
    for name in ("in/deep/restored/c.TIF", "in/deep/restored/deeper/d.png", "in/deep/restored2/e.png"):
        Path(name).parent.mkdir(parents=True)
        Path(name).touch()
    names = [name for name, _ in pairs(argument, out="in/deep/restored", recursive=True)]
    assert sorted(names) == ["in/a.jpg", "in/b.png", "in/deep/c.TIF", "in/deep/restored2/e.png"]
    assert "in/deep/restored: left out, as the results are written there" in caplog.messages


def test_pictures_in_the_output_folder_that_the_user_names_are_inputs():
    assert pairs("in/deep", out="in", recursive=True) == [("in/deep/c.TIF", "c.TIF")]
    assert pairs("in/*/*.TIF", out="in") == [("in/deep/c.TIF", "c.TIF")]
    with pytest.raises(InputError, match=r"^in: its pictures are inputs; choose another folder .* \(--out\)\.$"):
        find("in", out="in", recursive=True)


def test_results_behind_a_link_are_not_inputs(caplog):
    caplog.set_level("INFO")
    os.symlink("..", "in/up")
    for name in ("beside/a.png", "out/b.png", "out/deep/c.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    names = [name for name, _ in pairs("in", recursive=True)]
    assert "in/up/beside/a.png" in names
    assert not any("out" in name for name in names)
    assert caplog.messages == ["in/up/out: left out, as the results are written there"]


def test_folder_with_only_results_behind_a_link_is_refused():
    os.mkdir("links")
    os.symlink("../in", "links/in")
    with pytest.raises(InputError, match="links: no pictures"):
        find("links", out="in", recursive=True)


def test_broken_links_are_inputs():
    Path("in/gone.png").symlink_to("nowhere")
    assert ("in/gone.png", "gone.png") in pairs("in")
    assert pairs("in/gone.png") == [("in/gone.png", "gone.png")]


class Stdin:
    def __init__(self, data, terminal=False):
        self.buffer, self.isatty = io.BytesIO(data), lambda: terminal


def test_standard_input(monkeypatch):
    data = pillow_bytes(make_pixels(3), "PNG")
    monkeypatch.setattr("sys.stdin", Stdin(data))
    [source] = find("-").sources
    assert (source.name, source.relative, source.file.read_bytes()) == ("standard input", Path("stdin"), data)


@pytest.mark.parametrize(
    ("stdin", "word"),
    [
        (Stdin(b""), "is empty"),
        (Stdin(b"y\n" * 99), "not a picture"),
        (Stdin(b"", terminal=True), "is .* a terminal"),
        (None, "is closed"),
    ],
)
def test_bad_standard_input_is_refused(monkeypatch, stdin, word):
    monkeypatch.setattr("sys.stdin", stdin)
    with pytest.raises(InputError, match=f"standard input: {word}"):
        find("-")


def test_pipe():
    data = pillow_bytes(make_pixels(3), "PNG")
    read, write = os.pipe()
    os.write(write, data)
    os.close(write)
    try:
        [source] = find(f"/dev/fd/{read}").sources
    finally:
        os.close(read)
    assert (source.name, source.file.read_bytes()) == (f"/dev/fd/{read}", data)


def test_a_current_folder_that_was_removed_is_named(monkeypatch):
    os.mkdir("gone")
    monkeypatch.chdir("gone")
    os.rmdir("../gone")
    with pytest.raises(InputError, match=r"^The current folder does not exist any more; change to another one\.$"):
        find("in")
