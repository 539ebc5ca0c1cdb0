import errno
import os
import stat

import numpy as np
import pytest
from picture_files import assert_refused, assert_same_samples, make_picture

from swinir_jax import images
from swinir_jax.images import Picture, read_picture, read_size, write_picture


@pytest.mark.parametrize(
    ("name", "picture", "parts"),
    [
        ("a.jpg", make_picture(3, True), ["JPEG cannot hold alpha", "use one of .png, .webp, .tif, .tiff instead"]),
        ("a.bmp", make_picture(3, True), ["BMP cannot hold alpha"]),
        ("a.jpeg", make_picture(3, False, np.uint16), ["16 bits a channel", "use one of .png, .tif, .tiff instead"]),
        ("a.webp", make_picture(3, True, np.uint16), ["WebP cannot hold 16 bits a channel;"]),
        ("a.bmp", make_picture(0, True, np.uint16), ["16 bits a channel, alpha"]),
        ("a.webp", Picture(np.zeros((1, 16_384), np.uint8)), ["16384", ".png, .jpg"]),
        ("a.jpg", Picture(np.zeros((65_501, 1), np.uint8)), ["65501"]),
        ("a.gif", make_picture(3, False), ["unknown ending", *images.SUFFIXES]),
        ("a", make_picture(3, False), ["unknown ending"]),
    ],
)
def test_format_that_cannot_hold_the_picture_is_refused(tmp_path, name, picture, parts):
    assert_refused(lambda path: write_picture(path, picture), tmp_path / name, *parts)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("suffix", "side"), [(".webp", 16_383), (".jpg", 65_500)])
def test_largest_side_of_a_format(tmp_path, suffix, side):
    write_picture(tmp_path / f"a{suffix}", Picture(np.zeros((1, side), np.uint8)))
    assert read_size(tmp_path / f"a{suffix}") == (1, side)


@pytest.mark.parametrize(
    ("pixels", "alpha"),
    [
        (np.zeros((4, 5, 3), np.float32), None),
        (np.zeros((4, 5, 4), np.uint8), None),
        (np.zeros((4, 5, 3), np.uint8), np.zeros((5, 4), np.uint8)),
        (np.zeros((4, 5, 3), np.uint8), np.zeros((4, 5), np.uint16)),
    ],
)
def test_picture_checks_its_arrays(pixels, alpha):
    with pytest.raises(ValueError, match="must be"):
        Picture(pixels, alpha)


def interrupt(*args, **kwargs):
    raise KeyboardInterrupt


@pytest.mark.parametrize("function", ["replace", "fsync"])
@pytest.mark.parametrize("existing", [None, b"what was there before"])
def test_interrupted_writing_leaves_nothing_new(tmp_path, monkeypatch, function, existing):
    path = tmp_path / "a.png"
    if existing:
        path.write_bytes(existing)
    monkeypatch.setattr(os, function, interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_picture(path, make_picture(3, False))
    assert [file.read_bytes() for file in tmp_path.iterdir()] == ([existing] if existing else [])


def test_temporary_file_is_hidden_and_beside_the_target(tmp_path, monkeypatch):
    renamed = []
    replace = os.replace

    def spy(source, target):
        renamed.append((source, target))
        replace(source, target)

    monkeypatch.setattr(os, "replace", spy)
    name = "n" * 250 + ".png"  # the longest there is
    write_picture(tmp_path / name, make_picture(3, False))
    [(source, target)] = renamed
    assert source.parent == target.parent == tmp_path.resolve()
    assert source.name.startswith(".")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_full_disk(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    error = assert_refused(lambda path: write_picture(path, make_picture(3, False)), tmp_path / "a.png", "No space")
    assert isinstance(error.__cause__, OSError)
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written(tmp_path):
    def write(path):
        write_picture(path, make_picture(3, False))

    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").touch()
    assert_refused(write, tmp_path / "folder.png", "directory")
    assert_refused(write, tmp_path / "missing" / "a.png", "No such file")
    error = assert_refused(write, tmp_path / "file" / "a.png", "Not a directory")
    assert isinstance(error.__cause__, NotADirectoryError)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.png"]


def test_permissions_are_those_of_a_new_file(tmp_path):
    before = os.umask(0o027)
    try:
        write_picture(tmp_path / "a.png", make_picture(3, False))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o640


def test_link_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    link, target = tmp_path / "link.png", tmp_path / "real" / "target.png"
    link.symlink_to(target)
    write_picture(link, make_picture(3, False))
    assert link.is_symlink()
    assert_same_samples(read_picture(target), make_picture(3, False))
