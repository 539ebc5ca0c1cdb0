import io
import struct

import imagecodecs
import numpy as np
import pytest
import tifffile
from picture_files import (
    DATA,
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
from PIL import Image, ImageCms

from swinir_jax.images import Picture, read_header, read_picture
from swinir_jax.images.row_reading import open_rows


def test_content_decides_the_format(read_bytes):
    jpeg = pillow_bytes(make_pixels(3), "JPEG", quality=95)
    assert psnr(read_bytes(jpeg, "a.png").pixels, make_pixels(3)) > 42
    tiff = tiff_bytes(make_pixels(3, np.uint16), photometric="rgb")
    np.testing.assert_array_equal(read_bytes(tiff, "a.jpg").pixels, make_pixels(3, np.uint16))


@pytest.mark.parametrize(("depth", "row"), [(1, b"\x50"), (2, b"\x1b"), (4, b"\x01\x23"), (8, b"\0\1\2\3")])
def test_gray_png_with_a_transparent_value(read_bytes, depth, row):
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
    assert psnr(picture.pixels, make_pixels(3)) > 42
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
    assert psnr(picture.pixels, make_pixels(3)) > 42


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_premultiplied_tiff_is_divided_by_alpha(read_bytes, dtype):
    white = np.iinfo(dtype).max
    colours = np.array([[[white, white // 2, 0], [white, 7, 3], [9, 9, 9], [0, 0, 0]]], dtype)
    alpha = np.array([[white // 2, white, 1, 0]], dtype)
    stored = np.rint(colours * (alpha[..., None] / white)).astype(dtype)
    stored[0, 2] = 5  # brighter than white at this alpha
    picture = read_bytes(tiff_bytes(np.dstack([stored, alpha]), photometric="rgb", extrasamples=["assocalpha"]))
    np.testing.assert_array_equal(picture.alpha, alpha)
    np.testing.assert_allclose(picture.pixels[0, 0].astype(int), colours[0, 0], atol=1)
    np.testing.assert_array_equal(picture.pixels[0, 1:], [colours[0, 1], [white] * 3, [0] * 3])


def test_premultiplied_gray_tiff(read_bytes):
    stored = np.array([[[50, 100], [20, 0]]], np.uint8)
    data = tiff_bytes(stored, photometric="minisblack", planarconfig="contig", extrasamples=["assocalpha"])
    np.testing.assert_array_equal(read_bytes(data).pixels, [[128, 255]])  # 127.5 rounded up, and 20 over alpha 0


def test_unspecified_tiff_channel_is_left_out_and_noted(read_bytes):
    samples = make_pixels(4)
    picture = read_bytes(tiff_bytes(samples, photometric="rgb", extrasamples=["unspecified"]))
    assert_same_samples(picture, Picture(samples[..., :3]))
    assert picture.notes == ("1 extra channel left out",)


def test_first_of_several_frames(read_bytes):
    frames = [Image.fromarray(make_pixels(3) // k) for k in (1, 2, 3)]
    for name, options in [("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})]:
        picture = read_bytes(pillow_bytes(frames[0], name, save_all=True, append_images=frames[1:], **options))
        np.testing.assert_array_equal(picture.pixels, make_pixels(3))
        assert picture.notes == ("first of 3 frames",)


def pages(*pictures):
    """Makes a TIFF of a page for each pair of samples and options."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as tiff:
        for samples, options in pictures:
            tiff.write(samples, metadata=None, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("photometric", ["minisblack", "rgb"])
def test_preview_before_the_picture_is_left_out(tmp_path, read_bytes, photometric):
    samples = make_pixels(3) if photometric == "rgb" else make_pixels(0) > 99  # of one bit, which Pillow reads
    data = pages((make_pixels(3)[::2, ::2], {"subfiletype": 1}), (samples, {"photometric": photometric}))
    expected = samples * np.uint8(255) if samples.dtype == bool else samples
    picture = read_bytes(data, "a.tif")
    np.testing.assert_array_equal(picture.pixels, expected)
    assert read_header(tmp_path / "a.tif").size == expected.shape[:2]
    rows = open_rows(tmp_path / "a.tif")
    assert (rows is None) == (photometric == "minisblack")
    if rows:
        np.testing.assert_array_equal(next(rows.blocks(0))[1], expected)
        assert picture.notes == rows.head.notes == ()


def test_page_marked_as_preview_is_read_if_it_is_the_only_one(read_bytes):
    np.testing.assert_array_equal(read_bytes(pages((make_pixels(3), {"subfiletype": 1}))).pixels, make_pixels(3))


def camera_raw(kind):
    preview = {"subfiletype": 1, "subifds": 1}
    if kind == "DNG":
        preview["extratags"] = [(50706, 1, 4, bytes([1, 4, 0, 0]), True)]
    if kind != "CR2":
        return pages((make_pixels(3), preview), (make_pixels(0, np.uint16), {}))
    data = tiff_bytes(make_pixels(3))
    directory = data[8 : 8 + 2 + 12 * int.from_bytes(data[8:10], "little") + 4]  # makes room for the maker's mark
    return data[:4] + len(data).to_bytes(4, "little") + b"CR" + data[10:] + directory


@pytest.mark.parametrize("kind", ["DNG", "NEF", "CR2"])
def test_camera_raw_files_are_refused(tmp_path, kind):
    path = tmp_path / "a"
    path.write_bytes(camera_raw(kind))
    for read in (read_picture, read_header):
        assert_refused(read, path, "camera raw files are not supported: develop this one")
    assert open_rows(path) is None


@pytest.mark.parametrize(
    ("samples", "options"),
    [
        (make_pixels(0).astype(np.uint32), {"photometric": "minisblack"}),
        (make_pixels(0).astype(np.int16), {"photometric": "minisblack"}),
        (make_pixels(4, np.uint16), {"photometric": "separated"}),
        (np.zeros((8, 8, 5), np.uint8), {"photometric": "separated", "extrasamples": ["unassalpha"]}),
        (make_pixels(3).astype(np.complex64), {"photometric": "rgb"}),
    ],
)
def test_tiff_that_a_picture_cannot_hold_is_refused(tmp_path, samples, options):
    path = tmp_path / "a.tif"
    path.write_bytes(tiff_bytes(samples, **options))
    assert_refused(read_picture, path, "not supported")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("colours", [0, 3])
def test_float_tiff_from_0_to_1_becomes_16_bits(read_bytes, dtype, colours):
    pixels = (make_pixels(colours) / 255).astype(dtype)
    picture = read_bytes(tiff_bytes(pixels, photometric="rgb" if colours else "minisblack"))
    assert_same_samples(picture, Picture(np.rint(pixels.astype(float) * 65535).astype(np.uint16)))
    assert picture.notes == ("float samples from 0 to 1 scaled to 16 bits",)


def test_floats_out_of_range_are_clipped_and_noted(read_bytes):
    pixels = np.array([[-0.5, 0, 1, 7], [np.nan, np.inf, -np.inf, 0.5]], np.float32)
    picture = read_bytes(tiff_bytes(pixels))
    np.testing.assert_array_equal(picture.pixels, [[0, 0, 65535, 65535], [0, 65535, 0, 32768]])
    assert picture.notes[1] == "62.5% of the samples, outside 0 to 1, clipped"


@pytest.mark.parametrize(
    ("colours", "extras"),
    [
        (3, ["unspecified"]),
        (3, ["unspecified"] * 3),
        (3, ["unassalpha", "unspecified"]),
        (3, ["unspecified", "unassalpha"]),
        (1, ["unspecified"] * 4),
    ],
)
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_extra_tiff_channels_are_left_out_and_alpha_is_found(read_bytes, colours, extras, planar):
    samples = make_pixels(colours + len(extras))
    stored = samples if planar == "contig" else np.moveaxis(samples, -1, 0)
    photometric = "rgb" if colours == 3 else "minisblack"
    picture = read_bytes(tiff_bytes(stored, photometric=photometric, extrasamples=extras, planarconfig=planar))
    alpha = samples[..., colours + extras.index("unassalpha")] if "unassalpha" in extras else None
    assert_same_samples(picture, Picture(samples[..., :3] if colours == 3 else samples[..., 0], alpha))
    assert "left out" in picture.notes[0]


def test_premultiplied_alpha_beside_an_extra_channel(read_bytes):
    stored = np.array([[[50, 20, 0, 9, 100]] * 2], np.uint8)
    data = tiff_bytes(stored, photometric="rgb", planarconfig="contig", extrasamples=["unspecified", "assocalpha"])
    picture = read_bytes(data)
    assert (picture.pixels.tolist(), picture.alpha.tolist()) == ([[[128, 51, 0]] * 2], [[100] * 2])


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("photometric", ["cielab", "icclab"])
def test_lab_tiff_becomes_srgb_as_littlecms_converts_it(read_bytes, bits, photometric):
    rng = np.random.default_rng(0)
    lab = np.dstack([rng.integers(60, 220, (9, 50)), rng.integers(118, 138, (9, 50, 2))]).astype(np.uint8)
    srgb = ImageCms.createProfile("sRGB")
    expected = ImageCms.profileToProfile(
        Image.frombytes("LAB", (50, 9), (lab ^ [0, 128, 128]).astype(np.uint8).tobytes()),
        ImageCms.createProfile("LAB", 5000),
        srgb,
        outputMode="RGB",
    )
    stored = lab.astype(np.uint16)
    if photometric == "cielab":
        stored ^= np.array([0, 128, 128], np.uint16)  # two's complements
    if bits == 16:
        stored = stored * np.array([257, 256, 256], np.uint16)
    data = tiff_bytes(stored.astype(f"u{bits // 8}"), photometric=photometric)
    picture = read_bytes(data)
    scale = 1 if bits == 8 else 257
    np.testing.assert_allclose(
        picture.pixels / scale, np.asarray(expected), atol=1.01 if bits == 8 else 1.6
    )  # LittleCMS rounds
    assert picture.notes[0] == "CIELAB converted to sRGB"


def test_colours_outside_srgb_are_counted(read_bytes):
    lab = np.full((4, 4, 3), (128, 0, 0), np.uint8)
    lab[0, :2, 1:] = (120, 0)
    assert read_bytes(tiff_bytes(lab, photometric="cielab")).notes[1].endswith("12.5% of the pixels")


def test_bmp_with_alpha(read_bytes):
    picture = read_bytes((DATA / "b32a.bmp").read_bytes())
    assert picture.alpha is not None
    assert len(np.unique(picture.alpha)) > 1


@pytest.mark.parametrize("mode", ["1", "P", "CMYK", "RGB"])
@pytest.mark.parametrize("dpi", [None, (300, 150)])
def test_resolution_of_tiff_of_all_kinds(read_bytes, mode, dpi):
    file = io.BytesIO()
    Image.fromarray(make_pixels(3)).convert(mode).save(file, "TIFF", **({"dpi": dpi} if dpi else {}))
    assert read_bytes(file.getvalue(), "a.tif").dpi == dpi
