import dataclasses
import errno
import io
import math
import os
import stat
import struct
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from swinir_jax import images
from swinir_jax.errors import InputError
from swinir_jax.images import Picture, extend_colours, read_picture, read_size, write_picture

H, W = 23, 34  # not square, and odd
ICC = b"not a profile, but kept byte for byte" * 40


def make_pixels(channels, dtype=np.uint8, h=H, w=W):
    """A smooth picture, different at every corner and in every channel: `[h, w]` or `[h, w, channels]`."""
    y, x, c = np.meshgrid(np.linspace(0, 1, h), np.linspace(0, 1, w), np.arange(max(channels, 1)), indexing="ij")
    samples = (0.5 * y**2 + 0.3 * x + 0.19 * np.sin((2 + c) * (x + y))).clip(0, 1) * np.iinfo(dtype).max
    samples = samples.astype(dtype)
    return samples if channels else samples[..., 0]


def make_picture(colours, with_alpha, dtype=np.uint8, **fields):
    alpha = make_pixels(0, dtype)[::-1] if with_alpha else None  # 0 in places
    return Picture(make_pixels(colours, dtype), alpha, **fields)


def assert_same_samples(actual, expected):
    assert actual.pixels.dtype == expected.pixels.dtype
    np.testing.assert_array_equal(actual.pixels, expected.pixels)
    assert (actual.alpha is None) == (expected.alpha is None)
    if expected.alpha is not None:
        assert actual.alpha.dtype == expected.alpha.dtype
        np.testing.assert_array_equal(actual.alpha, expected.alpha)


def psnr(a, b):
    return 10 * math.log10(255**2 / (np.mean((a.astype(float) - b) ** 2) + 1e-9))


def png_chunk(kind, payload):
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def insert_chunk(png, chunk):
    """After IHDR."""
    return png[:33] + chunk + png[33:]


def make_png(depth, colour_type, width, rows, *chunks):
    header = struct.pack(">IIBBBBB", width, len(rows), depth, colour_type, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = [png_chunk(b"IHDR", header), *chunks, png_chunk(b"IDAT", data), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def pillow_bytes(samples, name, **options):
    image = samples if isinstance(samples, Image.Image) else Image.fromarray(samples)
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def tiff_bytes(samples, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, samples, metadata=None, **options)
    return buffer.getvalue()


def exif_bytes(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def encoded(tmp_path, suffix, picture):
    path = tmp_path / f"encoded{suffix}"
    write_picture(path, picture)
    return path.read_bytes()


@pytest.fixture
def read_bytes(tmp_path):
    """Reads a picture from bytes, and checks that its header tells the same size."""

    def read(data, name="picture.png"):
        path = tmp_path / name
        path.write_bytes(data)
        picture = read_picture(path)
        assert read_size(path) == picture.pixels.shape[:2]
        return picture

    return read


def assert_refused(action, path, *parts):
    with pytest.raises(InputError) as caught:
        action(path)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert str(path) in message
    for part in parts:
        assert part in message
    return caught.value


# --- Round trips


LOSSLESS = [
    (suffix, colours, alpha, dtype)
    for suffix, alphas, dtypes in [
        (".png", (False, True), (np.uint8, np.uint16)),
        (".tif", (False, True), (np.uint8, np.uint16)),
        (".TIFF", (True,), (np.uint16,)),
        (".webp", (False, True), (np.uint8,)),
        (".bmp", (False,), (np.uint8,)),
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
    if suffix == ".webp" and not colours:  # has no gray
        picture = dataclasses.replace(picture, pixels=np.dstack([picture.pixels] * 3))
    restored = read_picture(path)
    assert_same_samples(restored, picture)
    assert read_size(path) == (H, W)
    assert (restored.dpi, restored.icc_profile, restored.notes) == (None, None, ())


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (3, 1), (2, 3), (4, 4)])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_small_pictures_keep_their_axes(tmp_path, suffix, size):
    pixels = make_pixels(3, h=size[0], w=size[1])
    picture = Picture(pixels, pixels[..., 0] // 2)
    write_picture(tmp_path / f"a{suffix}", picture)
    assert_same_samples(read_picture(tmp_path / f"a{suffix}"), picture)


@pytest.mark.parametrize("colours", [0, 3])
def test_jpeg_comes_close_and_obeys_quality(tmp_path, colours):
    picture = Picture(make_pixels(colours, h=90, w=70))
    sizes = []
    for quality, least in ((95, 40), (30, 28)):
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
    assert psnr(read_picture(tmp_path / "a.jpg").pixels, pixels) > 35  # half of that with colours at half size


@pytest.mark.parametrize("quality", [0, 101])
def test_quality_out_of_range_is_refused(tmp_path, quality):
    action = lambda path: write_picture(path, make_picture(3, False), quality=quality)  # noqa: E731
    assert_refused(action, tmp_path / "a.jpg", str(quality))


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
    (".tif", np.uint8, True, True),
    (".tif", np.uint16, True, True),
    (".bmp", np.uint8, False, True),
]


@pytest.mark.parametrize(("suffix", "dtype", "profile_kept", "dpi_kept"), KEPT)
def test_profile_and_resolution_are_kept(tmp_path, suffix, dtype, profile_kept, dpi_kept):
    picture = make_picture(3, False, dtype, icc_profile=ICC, dpi=(300, 150))
    path = tmp_path / f"a{suffix}"
    write_picture(path, picture)
    restored = read_picture(path)
    assert restored.icc_profile == (ICC if profile_kept else None)
    assert restored.dpi == (pytest.approx((300, 150), rel=1e-4) if dpi_kept else None)
    again = tmp_path / f"b{suffix}"
    write_picture(again, restored)  # rounding must not wear the resolution down
    assert (read_picture(again).icc_profile, read_picture(again).dpi) == (restored.icc_profile, restored.dpi)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_other_programs_find_what_we_put_into_png(tmp_path, dtype):
    path = tmp_path / "a.png"
    write_picture(path, make_picture(3, False, dtype, icc_profile=ICC, dpi=(300, 150)))
    with Image.open(path) as image:
        assert image.info["icc_profile"] == ICC
        assert image.info["dpi"] == pytest.approx((300, 150), rel=1e-4)
    assert np.array_equal(imagecodecs.png_decode(path.read_bytes()), make_pixels(3, dtype))


def test_written_tiff_says_that_alpha_is_straight(tmp_path):
    write_picture(tmp_path / "a.tif", make_picture(0, True))
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert tiff.pages.first.extrasamples == (tifffile.EXTRASAMPLE.UNASSALPHA,)
        assert tiff.pages.first.compression == tifffile.COMPRESSION.ADOBE_DEFLATE


# --- Orientation


# The stored picture [[1, 2, 3], [4, 5, 6]], upright, from the definition of the EXIF tag.
UPRIGHT = {
    1: [[1, 2, 3], [4, 5, 6]],
    2: [[3, 2, 1], [6, 5, 4]],
    3: [[6, 5, 4], [3, 2, 1]],
    4: [[4, 5, 6], [1, 2, 3]],
    5: [[1, 4], [2, 5], [3, 6]],
    6: [[4, 1], [5, 2], [6, 3]],
    7: [[6, 3], [5, 2], [4, 1]],
    8: [[3, 6], [2, 5], [1, 4]],
}
STORED = np.array(UPRIGHT[1])


def blocks(values, dtype=np.uint8):
    """Each value as a block of 8 x 8 pixels, which JPEG keeps; the second colour channel is darker."""
    gray = (np.array(values) * 40).astype(dtype).repeat(8, axis=0).repeat(8, axis=1)
    return np.dstack([gray, gray // 2, gray])


def turned_files(orientation):
    exif = exif_bytes(orientation)
    png = pillow_bytes(blocks(STORED), "PNG")
    deep = imagecodecs.png_encode(blocks(STORED, np.uint16))
    exif_chunk = png_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))
    tag = [(274, "H", 1, orientation, True)]
    palette = Image.fromarray(blocks(STORED)).quantize(8)
    return {
        "jpeg": pillow_bytes(blocks(STORED), "JPEG", exif=exif, quality=100, subsampling=0),
        "webp": pillow_bytes(blocks(STORED), "WEBP", exif=exif, lossless=True),
        "png": insert_chunk(png, exif_chunk),
        "png after the pixels": png[:-12] + exif_chunk + png[-12:],
        "png of 16 bits": insert_chunk(deep, exif_chunk),
        "tiff": tiff_bytes(blocks(STORED), photometric="rgb", extratags=tag),
        "tiff of 16 bits": tiff_bytes(blocks(STORED, np.uint16), photometric="rgb", extratags=tag),
        "tiff by Pillow": pillow_bytes(palette, "TIFF", tiffinfo={274: orientation}),
    }


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", turned_files(1))
def test_orientation_is_applied_once(read_bytes, kind, orientation):
    picture = read_bytes(turned_files(orientation)[kind])
    expected = blocks(UPRIGHT[orientation], picture.pixels.dtype)
    assert picture.pixels.shape == expected.shape
    np.testing.assert_allclose(picture.pixels.astype(int), expected, atol=3 if kind == "jpeg" else 0)
    assert picture.notes == ()


def test_alpha_and_resolution_turn_with_the_picture(read_bytes):
    samples = make_pixels(4)
    data = tiff_bytes(
        samples,
        photometric="rgb",
        extrasamples=["unassalpha"],
        extratags=[(274, "H", 1, 6, True)],
        resolution=(300, 100),
        resolutionunit="INCH",
    )
    picture = read_bytes(data)
    assert_same_samples(picture, Picture(np.rot90(samples[..., :3], -1), np.rot90(samples[..., 3], -1)))
    assert picture.dpi == (100, 300)


def test_damaged_exif_costs_the_orientation_only(read_bytes):
    png = insert_chunk(pillow_bytes(blocks(STORED), "PNG"), png_chunk(b"eXIf", b"nonsense"))
    picture = read_bytes(png)
    np.testing.assert_array_equal(picture.pixels, blocks(STORED))
    assert picture.notes == ("damaged EXIF data ignored",)


# --- What other programs write


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


# --- Bad input


@pytest.mark.parametrize("read", [read_picture, read_size])
def test_files_that_are_no_pictures(tmp_path, read):
    empty, text, folder = tmp_path / "empty.png", tmp_path / "text.png", tmp_path / "folder.png"
    empty.touch()
    text.write_text("no picture\n" * 50)
    folder.mkdir()
    assert_refused(read, empty, "empty")
    assert_refused(read, text, "not a PNG, JPEG, WebP, TIFF or BMP picture")
    assert_refused(read, folder, "directory")
    error = assert_refused(read, tmp_path / "missing.png", "No such file")
    assert isinstance(error.__cause__, FileNotFoundError)


def test_message_is_one_line_even_if_the_name_is_not(tmp_path):
    with pytest.raises(InputError) as caught:
        read_picture(tmp_path / "two\nlines.png")
    assert "\n" not in str(caught.value)


CODED = {
    "png": (".png", make_picture(3, True)),
    "png of 16 bits": (".png", make_picture(3, True, np.uint16)),
    "jpeg": (".jpg", make_picture(3, False)),
    "webp": (".webp", make_picture(3, True)),
    "bmp": (".bmp", make_picture(3, False)),
    "tiff": (".tif", make_picture(3, True, np.uint16, icc_profile=ICC)),
}


@pytest.mark.parametrize("kind", CODED)
def test_truncated_picture_is_an_error_and_not_half_gray(tmp_path, kind):
    data = encoded(tmp_path, *CODED[kind])
    path = tmp_path / "cut"
    footer = {"png": 16, "bmp": 2}.get(kind.split()[0], 0)  # checksum and IEND, or padding, behind the last pixel
    for length in [len(data) - 1 - footer, len(data) * 9 // 10, len(data) // 2, len(data) // 10, 20, 3, 1]:
        path.write_bytes(data[:length])
        assert_refused(read_picture, path)


@pytest.mark.parametrize("options", [{}, {"compression": "lzw"}, {"compression": "jpeg"}, {"tile": (16, 16)}])
def test_truncated_tiff_of_every_layout(tmp_path, options):
    data = tiff_bytes(make_pixels(3), photometric="rgb", **options)
    path = tmp_path / "cut.tif"
    for length in (len(data) - 1, len(data) * 9 // 10, len(data) // 2):
        path.write_bytes(data[:length])
        assert_refused(read_picture, path, "cut short")


def test_truncated_progressive_jpeg(tmp_path):
    data = pillow_bytes(make_pixels(3, h=100, w=120), "JPEG", progressive=True)
    path = tmp_path / "cut.jpg"
    for length in (len(data) - 3, len(data) // 2):
        path.write_bytes(data[:length])
        assert_refused(read_picture, path, "truncated")


def test_left_out_tiff_tiles_are_an_error(tmp_path):
    data = bytearray(tiff_bytes(make_pixels(0), photometric="minisblack", tile=(16, 16)))
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        counts = tiff.pages.first.tags["TileByteCounts"]
        size = counts.valuebytecount // counts.count
        data[counts.valueoffset : counts.valueoffset + size] = bytes(size)
    path = tmp_path / "sparse.tif"
    path.write_bytes(data)
    assert_refused(read_picture, path, "cut short")


def huge_header(kind, h, w):
    """A small file whose header claims `h` x `w` pixels."""
    if kind == "tiff":
        data = bytearray(tiff_bytes(make_pixels(3), photometric="rgb", compression="zlib"))
        with tifffile.TiffFile(io.BytesIO(data)) as tiff:
            for tag, value in (("ImageLength", h), ("ImageWidth", w), ("RowsPerStrip", h)):
                struct.pack_into("<I", data, tiff.pages.first.tags[tag].valueoffset, value)
        return bytes(data)
    if kind == "bmp":
        data = bytearray(pillow_bytes(make_pixels(3), "BMP"))
        struct.pack_into("<II", data, 18, w, h)
        return bytes(data)
    if kind == "jpeg":
        data = bytearray(pillow_bytes(make_pixels(3), "JPEG"))
        struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, h, w)
        return bytes(data)
    data = make_png(16 if kind == "png of 16 bits" else 8, 2, 4, [bytes(24)])
    return data[:8] + png_chunk(b"IHDR", struct.pack(">II", w, h) + data[24:29]) + data[33:]


@pytest.mark.parametrize("read", [read_picture, read_size])
@pytest.mark.parametrize("kind", ["png", "png of 16 bits", "jpeg", "bmp", "tiff"])
def test_decompression_bomb_is_refused_by_its_header(tmp_path, kind, read):
    path = tmp_path / "bomb"
    path.write_bytes(huge_header(kind, 15_000, 15_000))
    assert_refused(read, path, "limit of 178956970")


@pytest.mark.parametrize("kind", ["png", "tiff", "jpeg"])
def test_large_but_allowed_size_gives_no_warning(tmp_path, kind, recwarn):
    path = tmp_path / "large"
    path.write_bytes(huge_header(kind, 10_000, 9_999))  # above the size Pillow warns at
    assert read_size(path) == (10_000, 9_999)
    assert not recwarn


def test_tile_larger_than_allowed(tmp_path):
    data = bytearray(tiff_bytes(make_pixels(0), photometric="minisblack", tile=(32, 48), compression="zlib"))
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        for tag in ("TileWidth", "TileLength"):
            entry = tiff.pages.first.tags[tag]
            struct.pack_into("<I" if entry.dtype == 4 else "<H", data, entry.valueoffset, 65520)
    path = tmp_path / "tile.tif"
    path.write_bytes(data)
    assert_refused(read_picture, path, "limit of")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("kind", [b"iCCP", b"zTXt"])
def test_metadata_that_inflates_without_end(tmp_path, kind, dtype):
    bomb = png_chunk(kind, b"name\0\0" + zlib.compress(bytes(50_000_000), 9))
    path = tmp_path / "bomb.png"
    path.write_bytes(insert_chunk(imagecodecs.png_encode(make_pixels(3, dtype)), bomb))
    assert_refused(read_picture, path, "too large")


@pytest.mark.parametrize("kind", CODED)
def test_damaged_bytes_raise_nothing_but_input_error(tmp_path, kind):
    data = encoded(tmp_path, *CODED[kind])
    rng = np.random.default_rng(0)
    path = tmp_path / "damaged"
    messages = []
    for trial in range(150):
        damaged = bytearray(data)
        # Half of the flips hit the header, where they do the most.
        for position in rng.integers(0, len(data) if trial % 2 else min(len(data), 200), size=1 + trial % 3):
            damaged[position] ^= 1 << rng.integers(8)
        path.write_bytes(damaged[: rng.integers(1, len(data))] if trial % 5 == 0 else damaged)
        for read in (read_size, read_picture):
            try:
                read(path)
            except InputError as error:
                messages.append(str(error))
    assert len(messages) > 30
    assert all(len(message.splitlines()) == 1 for message in messages)


# --- Writing


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


# --- Transparency


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("colours", [0, 3])
@pytest.mark.parametrize("size", [(23, 34), (1, 7), (5, 1), (64, 64)])
def test_hidden_colours_come_from_the_visible_ones(dtype, colours, size):
    h, w = size
    white = np.iinfo(dtype).max
    alpha = np.zeros(size, dtype)
    alpha[h // 4 : h // 2 + 1, w // 4 : w // 2 + 1] = white
    pixels = np.where(alpha > 0, white - 3, 0).astype(dtype)
    pixels = np.dstack([pixels] * 3) if colours else pixels
    filled = extend_colours(pixels, alpha)
    assert filled.dtype == dtype
    np.testing.assert_array_equal(filled, np.full_like(pixels, white - 3))  # no dark fringe anywhere


def test_visible_pixels_stay_and_hidden_ones_are_near():
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, :25], pixels[:, 35:] = (200, 10, 10), (10, 10, 200)
    alpha = np.full((40, 60), 255, np.uint8)
    alpha[:, 25:35] = 0
    alpha[3, 3], pixels[3, 3] = 1, (7, 8, 9)  # hardly visible
    before = pixels.copy()
    filled = extend_colours(pixels, alpha)
    np.testing.assert_array_equal(pixels, before)
    np.testing.assert_array_equal(filled[alpha > 0], pixels[alpha > 0])
    assert (filled[:, 25, 0] > 190).all()
    assert (filled[:, 34, 2] > 190).all()


def test_hardly_visible_pixels_weigh_little():
    pixels = np.array([[[250, 250, 250], [0, 0, 0], [99, 99, 99], [99, 99, 99]]], np.uint8)
    alpha = np.array([[255, 1, 0, 0]], np.uint8)
    np.testing.assert_array_equal(extend_colours(pixels, alpha)[0, 2:], np.full((2, 3), 249))


@pytest.mark.parametrize("value", [0, 255])
def test_nothing_to_fill_or_to_fill_from(value):
    pixels = make_pixels(3)
    assert extend_colours(pixels, np.full((H, W), value, np.uint8)) is pixels


def test_single_pixel():
    pixel = np.array([[[1, 2, 3]]], np.uint8)
    np.testing.assert_array_equal(extend_colours(pixel, np.array([[0]], np.uint8)), pixel)
    np.testing.assert_array_equal(extend_colours(pixel, np.array([[9]], np.uint8)), pixel)
