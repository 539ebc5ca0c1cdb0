import dataclasses
import errno
import os
import re
import stat
from pathlib import Path

import numpy as np
import pytest
from picture_files import DATA, H, W, assert_refused, assert_same_samples, make_picture, make_pixels, psnr

from swinir_jax.errors import InputError
from swinir_jax.images import (
    READABLE,
    WRITABLE,
    Header,
    Picture,
    cannot_hold,
    encoding,
    fitting_ending,
    read_header,
    read_picture,
    tiff_writing,
    write_picture,
)

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("name", "picture", "parts"),
    [
        ("a.jpg", make_picture(3, True), ["JPEG cannot hold alpha; use .png instead"]),
        ("a.jpg", make_picture(3, True, np.uint16), ["JPEG cannot hold alpha"]),
        ("a.webp", Picture(np.zeros((1, 16_384), np.uint8)), ["a side of 16384 pixels; use .png instead"]),
        ("a.jpg", Picture(np.zeros((65_501, 1), np.uint8)), ["65501"]),
        ("a.png", Picture(np.zeros((1_000_001, 1), np.uint8)), ["1000001 pixels; use .tif instead"]),
        ("a.gif", make_picture(3, False), ["unknown ending; use one of .png, .jpg, .webp, .tif, .bmp, .avif, .jxl"]),
        ("a", make_picture(3, False), ["unknown ending"]),
    ],
)
def test_format_that_cannot_hold_the_picture_is_refused(tmp_path, name, picture, parts):
    assert_refused(lambda path: write_picture(path, picture), tmp_path / name, *parts)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".bmp", ".avif"])
def test_16_bits_are_rounded_to_8_and_noted(tmp_path, suffix):
    picture = make_picture(3, False, np.uint16)
    [note] = write_picture(tmp_path / f"a{suffix}", picture)
    assert note == f"16 bits rounded to 8, as {WRITABLE[suffix]} holds no more"
    rounded = np.rint(picture.pixels / 257).astype(np.uint8)
    assert psnr(read_picture(tmp_path / f"a{suffix}").pixels, rounded) > (45 if suffix in (".jpg", ".avif") else 130)


def test_opaque_alpha_is_left_out_of_a_jpeg(tmp_path):
    picture = Picture(make_pixels(3), np.full((H, W), 255, np.uint8))
    assert write_picture(tmp_path / "a.jpg", picture) == ()
    assert read_picture(tmp_path / "a.jpg").alpha is None
    assert cannot_hold("a.jpg", Header.of(picture)) == ""


@pytest.mark.parametrize("name", sorted(path.name for path in DATA.iterdir()))
@pytest.mark.parametrize("ending", sorted(set(WRITABLE) - {".jpg_large"}))
def test_header_describes_the_written_picture(tmp_path, name, ending):
    picture = read_picture(DATA / name)
    if problem := cannot_hold(ending, Header.of(picture)):
        assert (name, problem) == ("b32a.bmp", "JPEG cannot hold alpha; use .png instead")
        return
    write_picture(tmp_path / f"a{ending}", picture)
    written = read_picture(tmp_path / f"a{ending}")
    header = read_header(tmp_path / f"a{ending}")
    assert header.format == WRITABLE[ending]
    assert dataclasses.replace(header, format="", has_alpha=False) == dataclasses.replace(
        Header.of(written), has_alpha=False
    )
    assert header.has_alpha == (written.alpha is not None)


@pytest.mark.parametrize(
    ("path", "header", "ending"),
    [
        ("a/b.webp", Header(16_383, 5), ".webp"),
        ("a/b.webp", Header(16_384, 5), ".png"),
        (".JPG", Header(5, 5), ".JPG"),
        (".jpg", Header(5, 5, has_alpha=True), ".png"),
        (".bmp", Header(5, 5, bits=16), ".png"),
        ("a.tiff", Header(5, 5, bits=16), ".tiff"),
        ("a.heic", Header(5, 5), ".png"),
        ("a", Header(5, 5), ".png"),
        ("a.png", Header(1_000_001, 5), ".tif"),
    ],
)
def test_fitting_ending(path, header, ending):
    assert fitting_ending(path, header) == ending


def test_enlarged_header():
    assert Header(3, 5, bits=16).enlarged(4) == Header(12, 20, bits=16)


@pytest.mark.parametrize(("suffix", "side"), [(".webp", 16_383), (".jpg", 65_500)])
def test_largest_side_of_a_format(tmp_path, suffix, side):
    write_picture(tmp_path / f"a{suffix}", Picture(np.zeros((1, side), np.uint8)))
    assert read_header(tmp_path / f"a{suffix}").size == (1, side)


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
@pytest.mark.parametrize("existing", [None, b"previous content"])
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
    name = "n" * 250 + ".png"  # the longest possible name
    write_picture(tmp_path / name, make_picture(3, False))
    [(source, target)] = renamed
    assert source.parent == target.parent == tmp_path.resolve()
    assert source.name.startswith(".")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_full_disk_is_reported(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    error = assert_refused(lambda path: write_picture(path, make_picture(3, False)), tmp_path / "a.png", "No space")
    assert isinstance(error.__cause__, OSError)
    assert list(tmp_path.iterdir()) == []


def test_targets_that_cannot_be_written_are_refused(tmp_path):
    def write(path):
        write_picture(path, make_picture(3, False))

    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").touch()
    assert_refused(write, tmp_path / "folder.png", "directory")
    assert_refused(write, tmp_path / "missing" / "a.png", "No such file")
    error = assert_refused(write, tmp_path / "file" / "a.png", "Not a directory")
    assert isinstance(error.__cause__, NotADirectoryError)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.png"]


def test_written_file_has_the_permissions_of_a_new_file(tmp_path):
    before = os.umask(0o027)
    try:
        write_picture(tmp_path / "a.png", make_picture(3, False))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o640


def test_replaced_file_keeps_its_permissions(tmp_path):
    path = tmp_path / "a.png"
    for mode in (0o600, 0o664):
        path.touch()
        path.chmod(mode)
        write_picture(path, make_picture(3, False))
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_link_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    link, target = tmp_path / "link.png", tmp_path / "real" / "target.png"
    link.symlink_to(target)
    write_picture(link, make_picture(3, False))
    assert link.is_symlink()
    assert_same_samples(read_picture(target), make_picture(3, False))


def test_documented_table_lists_all_formats():
    rows = re.findall(r"^\| ([A-Z]\w[^|]*) \| yes.*?\| (yes|no)", (DOCS / "pictures.md").read_text(), re.MULTILINE)
    formats = {name: written for names, written in rows for name in names.replace(" (HEIC)", "").split(", ")}
    assert formats == {name: "yes" if name in WRITABLE.values() else "no" for name in READABLE.values()}


def test_any_error_of_an_encoder_names_the_file(tmp_path, monkeypatch):
    def fail(picture, quality):
        raise ValueError("too much of something")

    monkeypatch.setitem(encoding.ENCODERS, "PNG", fail)
    with pytest.raises(InputError, match=r"a\.png: cannot be encoded as PNG \(ValueError: too much of something\)"):
        write_picture(tmp_path / "a.png", make_picture(3, False))
    assert not list(tmp_path.iterdir())


def test_tiff_of_more_samples_than_4_gb_hold_is_a_bigtiff(tmp_path, monkeypatch):
    picture = make_picture(3, True)
    for limit, magic in ((picture.pixels.nbytes + picture.alpha.nbytes, 42), (picture.pixels.nbytes, 43)):
        monkeypatch.setattr(tiff_writing, "_LARGEST_CLASSIC", limit)
        write_picture(tmp_path / "a.tif", picture)
        assert (tmp_path / "a.tif").read_bytes()[2] == magic
        assert_same_samples(read_picture(tmp_path / "a.tif"), picture)


def test_gray_of_16_bits_with_alpha_is_gray_in_the_header(tmp_path):
    pixels = make_pixels(0, np.uint16)
    write_picture(tmp_path / "a.png", Picture(pixels, pixels))
    header = read_header(tmp_path / "a.png")
    assert (header.channels, header.bits, header.has_alpha) == (1, 16, True)
