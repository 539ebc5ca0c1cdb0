import os
from pathlib import Path

import pytest
from PIL import Image

from swinir_jax import InputError
from swinir_jax.images.finding import describe_left_out, find_pictures
from swinir_jax.images.formats import format_of


def save(path, format="JPEG"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 3)).save(path, format)


def names(paths, folder):
    return [path.relative_to(folder).as_posix() for path in paths]


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WebP", "TIFF", "BMP", "GIF", "AVIF", "PPM"])
def test_content_decides_the_format(tmp_path, format):
    save(tmp_path / "picture", format)
    assert format_of((tmp_path / "picture").read_bytes()[:32]) == format


@pytest.mark.parametrize("text", [b"BM is not a bitmap, but a text", b"P5 is not a graymap", b"", b"\0" * 32])
def test_other_files_have_no_format(text):
    assert format_of(text) is None


def test_bitmaps_without_a_file_header_are_no_pictures(tmp_path):
    save(tmp_path / "a.dib", "BMP")
    save(tmp_path / "b.dib", "DIB")
    found = find_pictures(tmp_path, recursive=False)
    assert names(found.pictures, tmp_path) == ["a.dib"]
    assert names(found.left_out, tmp_path) == ["b.dib"]


def test_pictures_are_found_whatever_their_endings(tmp_path):
    for name in ("a.jfif", "b.jpg_large", "c", "d.txt"):
        save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("BM, said the note, and no more")
    (tmp_path / "damaged.png").touch()
    found = find_pictures(tmp_path, recursive=False)
    assert names(found.pictures, tmp_path) == ["a.jfif", "b.jpg_large", "c", "d.txt", "damaged.png"]
    assert describe_left_out(found.left_out) == f"1 left out, not a picture: {tmp_path / 'notes.txt'}"


def test_summary_names_the_first_files(tmp_path):
    for i in range(9):
        (tmp_path / f"{i}.txt").touch()
    summary = describe_left_out(find_pictures(tmp_path, recursive=True).left_out)
    assert summary.startswith("9 left out, not pictures: ")
    assert "2.txt, ..." in summary
    assert "3.txt" not in summary


def test_linked_folders_are_followed_and_cycles_end(tmp_path):
    save(tmp_path / "elsewhere/deep/x.jpg")
    save(tmp_path / "set/own.jpg")
    (tmp_path / "set/joined").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set/twice").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/back").symlink_to(tmp_path / "set")
    (tmp_path / "set/self").symlink_to(".")
    found = find_pictures(tmp_path / "set", recursive=True)
    assert names(found.pictures, tmp_path / "set") == ["joined/deep/x.jpg", "own.jpg", "twice/deep/x.jpg"]
    assert names(find_pictures(tmp_path / "set", recursive=False).pictures, tmp_path / "set") == ["own.jpg"]


def test_hidden_files_and_folders_are_ignored(tmp_path):
    save(tmp_path / ".hidden.jpg")
    save(tmp_path / ".trash/a.jpg")
    found = find_pictures(tmp_path, recursive=True)
    assert (found.pictures, found.left_out) == ([], [])


def test_broken_links_are_pictures_and_pipes_are_left_out(tmp_path):
    (tmp_path / "gone.png").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    found = find_pictures(tmp_path, recursive=False)
    assert names(found.pictures, tmp_path) == ["gone.png"]
    assert names(found.left_out, tmp_path) == ["pipe"]


@pytest.mark.parametrize("recursive", [False, True])
def test_a_folder_that_cannot_be_opened_is_left_out(tmp_path, monkeypatch, recursive):
    save(tmp_path / "good.jpg")
    closed = tmp_path / "lost+found"
    closed.mkdir()
    (tmp_path / "notes.txt").touch()

    def of_another_user(function, is_opening):
        def checked(path, *arguments, **options):
            if closed in Path(path).parents or (is_opening and Path(path) == closed):
                raise PermissionError(13, "Permission denied", str(path))
            return function(path, *arguments, **options)

        return checked

    # The tests may run as a user for whom no folder is closed.
    monkeypatch.setattr(os, "stat", of_another_user(os.stat, False))
    monkeypatch.setattr(os, "scandir", of_another_user(os.scandir, True))
    found = find_pictures(tmp_path, recursive=recursive)
    assert names(found.pictures, tmp_path) == ["good.jpg"]
    others = f"1 left out, not a picture: {tmp_path / 'notes.txt'}"
    if recursive:
        assert describe_left_out(found.left_out) == f"{others}; 1 left out, cannot be opened: {closed}"
    else:
        assert names(found.subfolders, tmp_path) == ["lost+found"]


@pytest.mark.parametrize("recursive", [False, True])
def test_links_that_lead_back_to_themselves_are_left_out(tmp_path, recursive):
    save(tmp_path / "good.jpg")
    (tmp_path / "a.png").symlink_to("b.png")
    (tmp_path / "b.png").symlink_to("a.png")
    (tmp_path / "self").symlink_to("self")
    found = find_pictures(tmp_path, recursive=recursive)
    assert names(found.pictures, tmp_path) == ["good.jpg"]
    assert names(found.left_out, tmp_path) == ["a.png", "b.png", "self"]
    with pytest.raises(InputError, match="self: no such folder"):
        find_pictures(tmp_path / "self", recursive=recursive)


def test_missing_folder_is_refused():
    with pytest.raises(InputError, match="no-such-folder: no such folder"):
        find_pictures(Path("no-such-folder"), recursive=True)
