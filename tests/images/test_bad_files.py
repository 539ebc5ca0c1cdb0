import contextlib
import functools
import io
import struct
import threading
import tracemalloc
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import imagecodecs
import numpy as np
import pytest
import tifffile
from picture_files import (
    ICC,
    H,
    W,
    assert_refused,
    encoded,
    insert_chunk,
    make_picture,
    make_pixels,
    make_png,
    pillow_bytes,
    png_chunk,
    tiff_bytes,
)
from PIL import Image

from swinir_jax.errors import InputError
from swinir_jax.images import read_header, read_picture, reading
from swinir_jax.images.row_reading import open_rows


@pytest.mark.parametrize("rest", [b"a signature of another program" * 2, bytes(100), png_chunk(b"tEXt", b"Title\0no")])
def test_bytes_after_the_end_of_a_png_are_ignored(read_bytes, rest):
    picture = read_bytes(pillow_bytes(make_pixels(3), "PNG") + rest)
    np.testing.assert_array_equal(picture.pixels, make_pixels(3))
    assert picture.notes == ()
    assert not picture.metadata


def test_lack_of_memory_is_no_damage(read_bytes, monkeypatch):
    def no_room(data):
        raise MemoryError

    monkeypatch.setattr(imagecodecs, "png_decode", no_room)
    with pytest.raises(MemoryError):
        read_bytes(pillow_bytes(make_pixels(3), "PNG"))


def test_a_damaged_resolution_of_a_png_is_ignored(read_bytes):
    picture = read_bytes(insert_chunk(pillow_bytes(make_pixels(3), "PNG"), png_chunk(b"pHYs", b"\1")))
    np.testing.assert_array_equal(picture.pixels, make_pixels(3))
    assert picture.dpi is None


def test_an_offset_beyond_all_bytes_is_damage_of_exif_data(read_bytes):
    exif = b"Exif\0\0" + struct.pack("<2sHHHQ", b"II", 43, 8, 0, 2**63)
    picture = read_bytes(pillow_bytes(make_pixels(3), "JPEG", exif=exif))
    assert picture.notes == ("damaged EXIF data ignored",)


def test_threads_that_read_leave_the_filters_of_warnings_as_they_were(tmp_path):
    """The first thread leaves while the second one reads, which warns."""
    filters, inside, left = list(warnings.filters), threading.Event(), threading.Event()

    def second():
        with reading.refusing(tmp_path):
            inside.set()
            assert left.wait(20)
            warnings.warn("damaged metadata", stacklevel=1)

    with warnings.catch_warnings(record=True) as shown, ThreadPoolExecutor() as threads:
        warnings.simplefilter("always")
        within = list(warnings.filters)
        with reading.refusing(tmp_path):
            reader = threads.submit(second)
            assert inside.wait(20)
        left.set()
        reader.result()
        assert warnings.filters == within
        assert not shown
    assert warnings.filters == filters


@pytest.mark.parametrize("read", [read_picture, read_header])
def test_files_that_are_not_pictures_are_refused(tmp_path, read):
    empty, text, folder = tmp_path / "empty.png", tmp_path / "text.png", tmp_path / "folder.png"
    empty.touch()
    text.write_text("no picture\n" * 50)
    folder.mkdir()
    assert_refused(read, empty, "empty")
    assert_refused(read, text, "not a PNG, JPEG, WebP, TIFF, BMP, GIF, AVIF, HEIF, JPEG XL, JPEG 2000 or PPM picture")
    assert_refused(read, folder, "directory")
    error = assert_refused(read, tmp_path / "missing.png", "No such file")
    assert isinstance(error.__cause__, FileNotFoundError)


def test_error_is_one_line_even_if_the_name_is_not(tmp_path):
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
def test_truncated_picture_is_refused(tmp_path, kind):
    data = encoded(tmp_path, *CODED[kind])
    path = tmp_path / "cut"
    # Bytes after the last pixel: checksum and IEND, padding, end of image.
    footer = {"png": 16, "bmp": 2, "jpeg": 2}.get(kind.split()[0], 0)
    for length in [len(data) - 1 - footer, len(data) * 9 // 10, len(data) // 2, len(data) // 10, 20, 3, 1]:
        path.write_bytes(data[:length])
        assert_refused(read_picture, path)


@pytest.mark.parametrize("options", [{}, {"compression": "lzw"}, {"compression": "jpeg"}, {"tile": (16, 16)}])
def test_truncated_tiff_is_refused_in_every_layout(tmp_path, options):
    data = tiff_bytes(make_pixels(3), photometric="rgb", **options)
    path = tmp_path / "cut.tif"
    for length in (len(data) - 1, len(data) * 9 // 10, len(data) // 2):
        path.write_bytes(data[:length])
        assert_refused(read_picture, path, "cut short")


def test_truncated_progressive_jpeg_is_refused(tmp_path):
    data = pillow_bytes(make_pixels(3, h=100, w=120), "JPEG", progressive=True)
    path = tmp_path / "cut.jpg"
    for length in (len(data) - 3, len(data) // 2):
        path.write_bytes(data[:length])
        assert_refused(read_picture, path, "truncated")


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_without_the_last_bytes_is_complete(tmp_path, progressive):
    data = pillow_bytes(make_pixels(3), "JPEG", progressive=progressive)
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    whole = read_picture(path)
    for length in (1, 2):
        path.write_bytes(data[:-length])
        cut = read_picture(path)
        np.testing.assert_array_equal(cut.pixels, whole.pixels)
        assert cut.notes == ("the file is cut short after the last pixel",)
    path.write_bytes(data[:-3])
    assert_refused(read_picture, path, "truncated", f" of {H} rows of pixels are there")


def test_jpeg_without_the_last_rows_is_noted(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (1200, 16), np.uint8)
    data = pillow_bytes(noise, "JPEG")
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    whole = read_picture(path).pixels
    path.write_bytes(data[: len(data) * 995 // 1000])
    cut = read_picture(path)
    np.testing.assert_array_equal(cut.pixels[:-8], whole[:-8])
    assert cut.notes == ("the file is cut short: the last 8 of 1200 rows are gray",)
    path.write_bytes(data[: len(data) // 2])
    assert_refused(read_picture, path, "rows of pixels are there")


@pytest.mark.parametrize("length", [1, 11, 12, 13, 16])
def test_png_without_the_last_bytes_is_complete(tmp_path, length):
    path = tmp_path / "a.png"
    path.write_bytes(imagecodecs.png_encode(make_pixels(3, np.uint16))[:-length])
    picture = read_picture(path)
    np.testing.assert_array_equal(picture.pixels, make_pixels(3, np.uint16))
    assert picture.notes == ("the file is cut short after the last pixel",)


def test_png_without_pixels_is_cut_short(tmp_path):
    path = tmp_path / "a.png"
    data = pillow_bytes(make_pixels(3), "PNG")
    end = png_chunk(b"IEND", b"")
    for cut in (data[:33], data[:33] + end, data[:33] + png_chunk(b"IDAT", b"") + end, data[:38]):
        path.write_bytes(cut)
        assert_refused(read_picture, path, "the file is cut short")


def test_missing_tiff_tiles_are_refused(tmp_path):
    data = bytearray(tiff_bytes(make_pixels(0), photometric="minisblack", tile=(16, 16)))
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        counts = tiff.pages.first.tags["TileByteCounts"]
        size = counts.valuebytecount // counts.count
        data[counts.valueoffset : counts.valueoffset + size] = bytes(size)
    path = tmp_path / "sparse.tif"
    path.write_bytes(data)
    assert_refused(read_picture, path, "cut short")


def huge_header(kind, h, w):
    """Returns a small file whose header claims `h` x `w` pixels."""
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


@pytest.mark.parametrize("kind", ["png", "png of 16 bits", "jpeg", "bmp", "tiff"])
def test_decompression_bomb_is_refused_by_its_header(tmp_path, kind):
    path = tmp_path / "bomb"
    path.write_bytes(huge_header(kind, 15_000, 15_001))
    assert read_header(path).size == (15_000, 15_001)
    gigabytes = "4.05" if kind == "png of 16 bits" else "2.03"  # three copies of the samples
    parts = ["15001 x 15000 pixels", f"{gigabytes} GB", "1.00 GB are allowed", "--memory"]
    assert_refused(functools.partial(read_picture, memory=10**9), path, *parts)


def test_png_wider_than_the_limit_is_refused_before_a_row_is_decoded(tmp_path, capfd):
    path = tmp_path / "wide.png"
    path.write_bytes(huge_header("png", 1, 2**31 - 1))
    with limited_memory(10**6):
        for read in (read_header, read_picture):
            assert_refused(read, path, "2147483647 pixels", "limit of 1000000")
        assert open_rows(path) is None
    path.write_bytes(huge_header("png", 1_000_001, 2))
    assert open_rows(path).height == 1_000_001  # only the width of a row is limited
    assert_refused(read_picture, path, "1000001 pixels", "limit of 1000000")
    assert capfd.readouterr().err == ""  # libpng prints warnings


def test_free_memory_is_the_default_limit(tmp_path, monkeypatch):
    path = tmp_path / "bomb"
    path.write_bytes(huge_header("png", 30_000, 30_000))
    monkeypatch.setattr(reading, "free_machine_bytes", lambda: 10**9)
    assert_refused(read_picture, path, "takes 8.10 GB, and 1.00 GB are free")


@pytest.mark.parametrize("name", ["PNG", "JPEG", "TIFF", "BMP", "GIF", "AVIF"])
def test_pillow_limit_of_pixels_is_ignored_and_kept(tmp_path, monkeypatch, name):
    path = tmp_path / "a"
    path.write_bytes(pillow_bytes(make_pixels(0), name))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    assert read_picture(path).pixels.shape[:2] == (H, W)
    assert Image.MAX_IMAGE_PIXELS == 20


@pytest.mark.parametrize("kind", ["png", "tiff", "jpeg"])
def test_large_but_allowed_size_gives_no_warning(tmp_path, kind, recwarn):
    path = tmp_path / "large"
    path.write_bytes(huge_header(kind, 10_000, 9_999))  # Pillow warns about this size
    assert read_header(path).size == (10_000, 9_999)
    assert not recwarn


def test_tile_above_the_limit_is_refused(tmp_path):
    data = bytearray(tiff_bytes(make_pixels(0), photometric="minisblack", tile=(32, 48), compression="zlib"))
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        for tag in ("TileWidth", "TileLength"):
            entry = tiff.pages.first.tags[tag]
            struct.pack_into("<I" if entry.dtype == 4 else "<H", data, entry.valueoffset, 65520)
    path = tmp_path / "tile.tif"
    path.write_bytes(data)
    assert_refused(read_picture, path, "limit of")


@contextlib.contextmanager
def limited_memory(size):
    """Fails if Python objects, NumPy arrays included, take `size` bytes or more."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < size
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("kind", [b"iCCP", b"zTXt"])
def test_huge_compressed_metadata_are_ignored(tmp_path, kind, dtype):
    bomb = png_chunk(kind, b"name\0\0" + zlib.compress(bytes(50_000_000), 9))
    path = tmp_path / "bomb.png"
    path.write_bytes(insert_chunk(imagecodecs.png_encode(make_pixels(3, dtype)), bomb))
    with limited_memory(40_000_000):
        picture = read_picture(path)
    assert picture.icc_profile is None
    assert not picture.metadata
    [note] = picture.notes
    assert note.startswith("damaged")


@pytest.mark.parametrize("kind", CODED)
def test_damaged_bytes_raise_nothing_but_input_error(tmp_path, kind):
    data = encoded(tmp_path, *CODED[kind])
    rng = np.random.default_rng(0)
    path = tmp_path / "damaged"
    messages = []
    for trial in range(150):
        damaged = bytearray(data)
        # Half of the flips hit the header, where they do most damage.
        for position in rng.integers(0, len(data) if trial % 2 else min(len(data), 200), size=1 + trial % 3):
            damaged[position] ^= 1 << rng.integers(8)
        path.write_bytes(damaged[: rng.integers(1, len(data))] if trial % 5 == 0 else damaged)
        for read in (read_header, read_picture):
            try:
                read(path)
            except InputError as error:
                messages.append(str(error))
    assert len(messages) > 30
    assert all(len(message.splitlines()) == 1 for message in messages)
