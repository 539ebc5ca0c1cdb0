import dataclasses
import functools

import imagecodecs
import numpy as np
import pytest
import tifffile
from picture_files import ICC, H, W, assert_refused, assert_same_samples, make_picture, make_pixels, psnr
from PIL import Image

from swinir_jax.images import Picture, read_header, read_picture, write_picture

LOSSLESS = [
    (suffix, colours, alpha, dtype)
    for suffix, alphas, dtypes in [
        (".png", (False, True), (np.uint8, np.uint16)),
        (".tif", (False, True), (np.uint8, np.uint16)),
        (".TIFF", (True,), (np.uint16,)),
        (".webp", (False, True), (np.uint8,)),
        (".bmp", (False, True), (np.uint8,)),
        (".jxl", (False, True), (np.uint8, np.uint16)),
    ]
    for alpha in alphas
    for dtype in dtypes
    for colours in (0, 3)
]


@pytest.mark.parametrize(("suffix", "colours", "alpha", "dtype"), LOSSLESS)
def test_lossless_formats_return_every_sample(tmp_path, suffix, colours, alpha, dtype):
    picture = make_picture(colours, alpha, dtype)
    path = tmp_path / f"picture{suffix}"
    write_picture(path, picture)
    if not colours and (suffix == ".webp" or (suffix == ".bmp" and alpha)):  # without gray
        picture = dataclasses.replace(picture, pixels=np.dstack([picture.pixels] * 3))
    restored = read_picture(path)
    assert_same_samples(restored, picture)
    assert read_header(path).size == (H, W)
    assert (restored.dpi, restored.icc_profile, restored.notes) == (None, None, ())


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (3, 1), (2, 3), (4, 4)])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".bmp", ".jxl"])
def test_small_pictures_keep_their_axes(tmp_path, suffix, size):
    pixels = make_pixels(3, h=size[0], w=size[1])
    picture = Picture(pixels, pixels[..., 0] // 2)
    write_picture(tmp_path / f"a{suffix}", picture)
    assert_same_samples(read_picture(tmp_path / f"a{suffix}"), picture)


@pytest.mark.parametrize("colours", [0, 3])
def test_jpeg_comes_close_and_obeys_quality(tmp_path, colours):
    picture = Picture(make_pixels(colours, h=90, w=70))
    sizes = []
    for quality, least in ((95, 46), (30, 34)):
        path = tmp_path / f"{quality}.jpeg"
        write_picture(path, picture, quality=quality)
        restored = read_picture(path).pixels
        assert restored.shape == picture.pixels.shape
        assert psnr(restored, picture.pixels) > least
        sizes.append(path.stat().st_size)
    assert sizes[0] > sizes[1]


def test_jpeg_colours_are_not_subsampled(tmp_path):
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:, ::2] = (255, 0, 0)
    pixels[:, 1::2] = (0, 0, 255)
    write_picture(tmp_path / "a.jpg", Picture(pixels), quality=100)
    assert psnr(read_picture(tmp_path / "a.jpg").pixels, pixels) > 35  # subsampled colours would give half of that


@pytest.mark.parametrize("quality", [0, 101])
def test_quality_out_of_range_is_refused(tmp_path, quality):
    write = functools.partial(write_picture, picture=make_picture(3, False), quality=quality)
    assert_refused(write, tmp_path / "a.jpg", str(quality))


def test_non_contiguous_pixels_are_written(tmp_path):
    picture = Picture(make_pixels(3, np.uint16)[::-1, ::-1])
    for suffix in (".png", ".tif"):
        write_picture(tmp_path / f"a{suffix}", picture)
        assert_same_samples(read_picture(tmp_path / f"a{suffix}"), picture)


KEPT = [  # ending, dtype, profile kept, resolution kept
    (".png", np.uint8, True, True),
    (".png", np.uint16, True, True),
    (".jpg", np.uint8, True, True),
    (".webp", np.uint8, True, False),
    (".avif", np.uint8, True, False),
    (".jxl", np.uint8, False, False),
    (".tif", np.uint8, True, True),
    (".tif", np.uint16, True, True),
    (".bmp", np.uint8, False, True),
]


@pytest.mark.parametrize(("suffix", "dtype", "profile_kept", "dpi_kept"), KEPT)
def test_profile_and_resolution_are_kept(tmp_path, suffix, dtype, profile_kept, dpi_kept):
    picture = make_picture(3, False, dtype, icc_profile=ICC, dpi=(300, 150))
    path = tmp_path / f"a{suffix}"
    notes = write_picture(path, picture)
    restored = read_picture(path)
    assert any("resolution (pixels per inch) left out" in note for note in notes) != dpi_kept
    assert restored.icc_profile == (ICC if profile_kept else None)
    assert restored.dpi == (pytest.approx((300, 150), rel=1e-4) if dpi_kept else None)
    again = tmp_path / f"b{suffix}"
    write_picture(again, restored)  # rounding must not change the resolution a second time
    assert (read_picture(again).icc_profile, read_picture(again).dpi) == (restored.icc_profile, restored.dpi)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_other_programs_read_profile_and_resolution_of_png(tmp_path, dtype):
    path = tmp_path / "a.png"
    write_picture(path, make_picture(3, False, dtype, icc_profile=ICC, dpi=(300, 150)))
    with Image.open(path) as image:
        assert image.info["icc_profile"] == ICC
        assert image.info["dpi"] == pytest.approx((300, 150), rel=1e-4)
    assert np.array_equal(imagecodecs.png_decode(path.read_bytes()), make_pixels(3, dtype))


def test_written_tiff_declares_straight_alpha(tmp_path):
    write_picture(tmp_path / "a.tif", make_picture(0, True))
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert tiff.pages.first.extrasamples == (tifffile.EXTRASAMPLE.UNASSALPHA,)
        assert tiff.pages.first.compression == tifffile.COMPRESSION.ADOBE_DEFLATE
