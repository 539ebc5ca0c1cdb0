import struct

import imagecodecs
import numpy as np
import pytest
from picture_files import (
    ICC,
    assert_refused,
    assert_same_samples,
    insert_chunk,
    make_picture,
    make_pixels,
    make_png,
    pillow_bytes,
    png_chunk,
    psnr,
    tiff_bytes,
)
from PIL import Image

from swinir_jax.images import Picture, read_picture


def test_content_decides_the_format_not_the_ending(read_bytes):
    jpeg = pillow_bytes(make_pixels(3), "JPEG", quality=95)
    assert psnr(read_bytes(jpeg, "a.png").pixels, make_pixels(3)) > 30
    tiff = tiff_bytes(make_pixels(3, np.uint16), photometric="rgb")
    np.testing.assert_array_equal(read_bytes(tiff, "a.jpg").pixels, make_pixels(3, np.uint16))


@pytest.mark.parametrize(("depth", "row"), [(1, b"\x50"), (2, b"\x1b"), (4, b"\x01\x23"), (8, b"\0\1\2\3")])
def test_gray_png_of_few_bits_with_a_transparent_value(read_bytes, depth, row):
    picture = read_bytes(make_png(depth, 0, 4, [row], png_chunk(b"tRNS", b"\0\1")))
    values = np.array([[0, 1, 0, 1] if depth == 1 else [0, 1, 2, 3]])
    np.testing.assert_array_equal(picture.pixels, values * (255 // (2**depth - 1)))
    np.testing.assert_array_equal(picture.alpha, np.where(values == 1, 0, 255))


def test_palettes_with_and_without_transparency(read_bytes):
    colours = png_chunk(b"PLTE", bytes(range(12)))
    expected = np.arange(12).reshape(1, 4, 3)
    opaque = read_bytes(make_png(2, 3, 4, [b"\x1b"], colours))
    assert_same_samples(opaque, Picture(expected.astype(np.uint8)))
    clear = read_bytes(make_png(2, 3, 4, [b"\x1b"], colours, png_chunk(b"tRNS", b"\0\x80")))
    assert_same_samples(clear, Picture(expected.astype(np.uint8), np.array([[0, 128, 255, 255]], np.uint8)))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_rgb_png_with_a_transparent_colour(read_bytes, dtype):
    pixels = make_pixels(3, dtype)
    key = struct.pack(">HHH", *map(int, pixels[2, 5]))
    picture = read_bytes(insert_chunk(imagecodecs.png_encode(pixels), png_chunk(b"tRNS", key)))
    is_key = (pixels == pixels[2, 5]).all(axis=2)
    assert_same_samples(picture, Picture(pixels, np.where(is_key, 0, np.iinfo(dtype).max).astype(dtype)))


@pytest.mark.parametrize("name", ["PNG", "TIFF", "BMP"])
@pytest.mark.parametrize("mode", ["1", "P"])
def test_one_bit_and_palette_pictures(read_bytes, name, mode):
    image = Image.fromarray(make_pixels(3)).convert(mode)
    expected = np.asarray(image.convert("L" if mode == "1" else "RGB"))
    assert len(np.unique(expected)) > 1
    assert_same_samples(read_bytes(pillow_bytes(image, name)), Picture(expected))


@pytest.mark.parametrize("compression", ["group4", "packbits", "tiff_lzw"])
def test_one_bit_tiff_of_every_compression(read_bytes, compression):
    image = Image.fromarray(make_pixels(0)).convert("1")
    picture = read_bytes(pillow_bytes(image, "TIFF", compression=compression))
    assert_same_samples(picture, Picture(np.asarray(image.convert("L"))))


@pytest.mark.parametrize("name", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb_without_its_profile(read_bytes, name):
    image = Image.fromarray(make_pixels(3)).convert("CMYK")
    picture = read_bytes(pillow_bytes(image, name, icc_profile=ICC))
    assert psnr(picture.pixels, make_pixels(3)) > 30
    assert picture.icc_profile is None
    assert picture.notes == ("CMYK converted to RGB, its colour profile dropped",)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
@pytest.mark.parametrize("layout", [{}, {"rowsperstrip": 5}, {"tile": (16, 16)}, {"bigtiff": True}])
def test_tiff_layouts(read_bytes, byteorder, compression, layout):
    picture = make_picture(3, True, np.uint16)
    samples = np.dstack([picture.pixels, picture.alpha])
    data = tiff_bytes(
        samples,
        photometric="rgb",
        extrasamples=["unassalpha"],
        byteorder=byteorder,
        compression=compression,
        predictor=compression is not None,
        **layout,
    )
    restored = read_bytes(data)
    assert_same_samples(restored, picture)
    assert restored.pixels.dtype.isnative


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_planar_tiff(read_bytes, dtype):
    pixels = make_pixels(3, dtype)
    data = tiff_bytes(np.moveaxis(pixels, -1, 0), photometric="rgb", planarconfig="separate")
    assert_same_samples(read_bytes(data), Picture(pixels))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_where_zero_is_white(read_bytes, dtype):
    pixels = make_pixels(0, dtype)
    data = tiff_bytes(np.iinfo(dtype).max - pixels, photometric="miniswhite")
    assert_same_samples(read_bytes(data), Picture(pixels))


@pytest.mark.parametrize("mode", ["RGB", "YCbCr"])
def test_jpeg_in_tiff(read_bytes, mode):
    image = Image.fromarray(make_pixels(3)).convert(mode)
    picture = read_bytes(pillow_bytes(image, "TIFF", compression="jpeg", quality=95))
    assert psnr(picture.pixels, make_pixels(3)) > 35


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_premultiplied_tiff_is_divided_by_alpha(read_bytes, dtype):
    white = np.iinfo(dtype).max
    colours = np.array([[[white, white // 2, 0], [white, 7, 3], [9, 9, 9], [0, 0, 0]]], dtype)
    alpha = np.array([[white // 2, white, 1, 0]], dtype)
    stored = np.rint(colours * (alpha[..., None] / white)).astype(dtype)
    stored[0, 2] = 5  # brighter than its alpha allows
    picture = read_bytes(tiff_bytes(np.dstack([stored, alpha]), photometric="rgb", extrasamples=["assocalpha"]))
    np.testing.assert_array_equal(picture.alpha, alpha)
    np.testing.assert_allclose(picture.pixels[0, 0].astype(int), colours[0, 0], atol=1)
    np.testing.assert_array_equal(picture.pixels[0, 1:], [colours[0, 1], [white] * 3, [0] * 3])


def test_premultiplied_gray_tiff(read_bytes):
    stored = np.array([[[50, 100], [20, 0]]], np.uint8)
    data = tiff_bytes(stored, photometric="minisblack", planarconfig="contig", extrasamples=["assocalpha"])
    np.testing.assert_array_equal(read_bytes(data).pixels, [[128, 255]])  # 127.5, and 20 over nothing


def test_unspecified_tiff_channel_is_left_out(read_bytes):
    samples = make_pixels(4)
    picture = read_bytes(tiff_bytes(samples, photometric="rgb", extrasamples=["unspecified"]))
    assert_same_samples(picture, Picture(samples[..., :3]))
    assert picture.notes == ("an extra channel that is not alpha left out",)


def test_first_of_several_frames(read_bytes):
    frames = [Image.fromarray(make_pixels(3) // k) for k in (1, 2, 3)]
    for name, options in [("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})]:
        picture = read_bytes(pillow_bytes(frames[0], name, save_all=True, append_images=frames[1:], **options))
        np.testing.assert_array_equal(picture.pixels, make_pixels(3))
        assert picture.notes == ("first of 3 frames",)


@pytest.mark.parametrize(
    ("samples", "options"),
    [
        (make_pixels(3).astype(np.float32), {"photometric": "rgb"}),
        (make_pixels(0).astype(np.uint32), {"photometric": "minisblack"}),
        (make_pixels(0).astype(np.int16), {"photometric": "minisblack"}),
        (make_pixels(4, np.uint16), {"photometric": "separated"}),
        (make_pixels(5), {"photometric": "minisblack", "planarconfig": "contig"}),
        (make_pixels(6), {"photometric": "rgb", "extrasamples": ["unspecified"] * 3}),
    ],
)
def test_tiff_without_an_exact_place_in_a_picture_is_refused(tmp_path, samples, options):
    path = tmp_path / "a.tif"
    path.write_bytes(tiff_bytes(samples, **options))
    assert_refused(read_picture, path, "not supported")


def test_lab_tiff_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(pillow_bytes(Image.new("LAB", (4, 4)), "TIFF"))
    assert_refused(read_picture, path, "LAB", "not supported")
