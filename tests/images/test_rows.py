import contextlib
import itertools
import struct

import numpy as np
import pytest
import tifffile
from picture_files import ICC, assert_refused, make_pixels, pillow_bytes, tiff_bytes
from PIL import Image

from swinir_jax.errors import InputError
from swinir_jax.files import companion
from swinir_jax.images import Picture, flatten, read_picture, write_picture
from swinir_jax.images.row_reading import decoded_rows, open_rows
from swinir_jax.images.row_writing import RowWriter, check_target, progress_file, read_progress
from swinir_jax.images.rows import RowWindow

H, W = 211, 75
NEW_SUBFILE_TYPE, FILL_ORDER, ROWS_PER_STRIP = 254, 266, 278  # tags


def assert_same_rows(path):
    picture, source = read_picture(path), open_rows(path)
    assert (source.height, source.width) == picture.pixels.shape[:2]
    assert (source.head.icc_profile, source.head.dpi, source.head.notes) == (
        picture.icc_profile,
        picture.dpi,
        picture.notes,
    )
    expected = picture.pixels.reshape(H, W, -1).astype(np.float32) / np.iinfo(picture.pixels.dtype).max
    window = RowWindow(source, 30)
    for start, stop in ((30, 80), (60, 150), (150, 200), (190, H)):
        np.testing.assert_array_equal(window.read(start, stop), expected[start:stop].astype(np.float32))


@pytest.mark.parametrize("channels", [0, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_by_rows(tmp_path, channels, dtype):
    path = tmp_path / "a.png"
    write_picture(path, Picture(make_pixels(channels, dtype, H, W), None, ICC, (300, 72)))
    assert_same_rows(path)


def test_png_of_another_writer(tmp_path):
    (tmp_path / "a.png").write_bytes(pillow_bytes(make_pixels(3, np.uint8, H, W), "PNG", dpi=(11, 22)))
    assert_same_rows(tmp_path / "a.png")


@pytest.mark.parametrize("lost", [1, 4, 5, 12, 13])  # of the last checksum, of IEND's name, all of IEND, another one
def test_png_without_its_last_bytes(tmp_path, lost):
    path = tmp_path / "a.png"
    path.write_bytes(pillow_bytes(make_pixels(3, np.uint8, H, W), "PNG")[:-lost])
    assert_same_rows(path)
    assert open_rows(path).head.notes == ("the file is cut short after the last pixel",)


def test_pyramid_is_one_picture(tmp_path):
    path = tmp_path / "a.tif"
    for kind in ("RGB", "P"):  # read by rows, and by Pillow
        image = Image.fromarray(make_pixels(3, np.uint8, H, W)).convert(kind)
        reduced = image.resize((W // 2, H // 2))
        reduced.encoderinfo = {"tiffinfo": {NEW_SUBFILE_TYPE: 1}}
        for more, notes in (([reduced] * 2, ()), ([reduced, image], ("first of 2 frames",))):
            image.save(path, save_all=True, append_images=more)
            assert read_picture(path).notes == notes
            assert kind == "P" or open_rows(path).head.notes == notes


@pytest.mark.parametrize("channels", [0, 3])
def test_tiff_whose_segments_share_jpeg_tables(tmp_path, channels):
    """As libtiff compresses by JPEG."""
    image = Image.fromarray(make_pixels(channels, np.uint8, H, W))
    image.save(tmp_path / "a.tif", compression="jpeg", tiffinfo={ROWS_PER_STRIP: 64})
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert tiff.pages.first.jpegtables
        assert len(tiff.pages.first.dataoffsets) > 1
    assert_same_rows(tmp_path / "a.tif")


LAYOUTS = [
    {},
    {"rowsperstrip": 10},
    {"tile": (32, 48)},
    {"planarconfig": "separate"},
    {"planarconfig": "separate", "rowsperstrip": 17},
    {"planarconfig": "separate", "tile": (16, 16)},
    {"photometric": "miniswhite"},
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_tiff_by_rows(tmp_path, layout, compression):
    for dtype, order in itertools.product((np.uint8, np.uint16), "<>"):
        pixels = make_pixels(0 if "photometric" in layout else 3, dtype, H, W)
        options = {"photometric": "rgb", "predictor": bool(compression), **layout}
        samples = np.moveaxis(pixels, -1, 0) if "planarconfig" in layout else pixels
        data = tiff_bytes(samples, compression=compression, byteorder=order, resolution=(30, 40), **options)
        (tmp_path / "a.tif").write_bytes(data)
        assert_same_rows(tmp_path / "a.tif")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_whose_bits_are_stored_backwards(tmp_path, dtype):
    tag = FILL_ORDER - 1  # tifffile does not write the tag itself
    data = tiff_bytes(make_pixels(3, dtype, H, W), photometric="rgb", extratags=[(tag, "H", 1, 2, True)])
    (tmp_path / "a.tif").write_bytes(data.replace(struct.pack("<HH", tag, 3), struct.pack("<HH", FILL_ORDER, 3)))
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert tiff.pages.first.fillorder == 2
    assert_same_rows(tmp_path / "a.tif")


@pytest.mark.parametrize("layout", [{}, {"rowsperstrip": 10}, {"compression": "zlib", "tile": (32, 48)}], ids=str)
def test_tiff_is_decoded_from_the_requested_row(tmp_path, layout):
    path = tmp_path / "a.tif"
    path.write_bytes(tiff_bytes(make_pixels(3, h=H, w=W), photometric="rgb", **layout))
    y, _ = next(open_rows(path).blocks(130))
    assert 130 - 32 < y <= 130


NOT_BY_ROWS = {
    "jpeg": lambda: pillow_bytes(make_pixels(3), "JPEG"),
    "palette": lambda: pillow_bytes(Image.fromarray(make_pixels(0)).quantize(16), "PNG"),
    "alpha": lambda: pillow_bytes(make_pixels(4), "PNG"),
    "transparent": lambda: pillow_bytes(make_pixels(3), "PNG", transparency=(1, 2, 3)),
    "1 bit": lambda: pillow_bytes(make_pixels(0) > 128, "PNG"),
    "turned": lambda: tiff_bytes(make_pixels(3), photometric="rgb", extratags=[(274, "H", 1, 6, True)]),
    "tiff alpha": lambda: tiff_bytes(make_pixels(4), photometric="rgb", extrasamples=["unassalpha"]),
    "float": lambda: tiff_bytes(make_pixels(0).astype(np.float32)),
    "cut short": lambda: tiff_bytes(make_pixels(3), photometric="rgb")[:-50],
    "text": lambda: b"hello",
    "empty": lambda: b"",
    "png header": lambda: pillow_bytes(make_pixels(3), "PNG")[:20],
}


@pytest.mark.parametrize("kind", NOT_BY_ROWS)
def test_other_pictures_are_not_read_by_rows(tmp_path, kind):
    (tmp_path / "a").write_bytes(NOT_BY_ROWS[kind]())
    assert open_rows(tmp_path / "a") is None


def test_interlaced_png_is_not_read_by_rows(tmp_path):
    data = bytearray(pillow_bytes(make_pixels(3), "PNG"))
    data[28] = 1
    (tmp_path / "a.png").write_bytes(data)
    assert open_rows(tmp_path / "a.png") is None


def test_decoded_rows(tmp_path):
    (tmp_path / "a.jpg").write_bytes(pillow_bytes(make_pixels(3), "JPEG"))
    picture, source = read_picture(tmp_path / "a.jpg"), decoded_rows(tmp_path / "a.jpg")
    np.testing.assert_array_equal(RowWindow(source, 3).read(3, 9), picture.pixels[3:9] / np.float32(255))


def test_rows_of_pictures_with_alpha(tmp_path):
    pixels = make_pixels(4)
    (tmp_path / "a.png").write_bytes(pillow_bytes(pixels, "PNG"))
    assert_refused(decoded_rows, tmp_path / "a.png", "translucent", "--background")
    white = decoded_rows(tmp_path / "a.png", "white")
    flat = flatten(read_picture(tmp_path / "a.png"), "white").pixels
    np.testing.assert_array_equal(next(white.blocks(0))[1], flat)
    assert white.head.notes == ("put onto a white background",)
    pixels[..., 3] = 255
    (tmp_path / "a.png").write_bytes(pillow_bytes(pixels, "PNG"))
    opaque = decoded_rows(tmp_path / "a.png")
    np.testing.assert_array_equal(next(opaque.blocks(0))[1], pixels[..., :3])
    assert opaque.head.alpha is None


@pytest.mark.parametrize(("damage", "message"), [(slice(-400, -390), "damaged"), (slice(-400, None), "cut short")])
def test_damaged_png_is_refused(tmp_path, damage, message):
    path = tmp_path / "a.png"
    noise = np.random.default_rng(0).integers(0, 256, (H, W), np.uint8)
    data = bytearray(pillow_bytes(noise, "PNG"))
    data[damage] = b"" if damage.stop is None else bytes(10)
    path.write_bytes(data)
    source = open_rows(path)
    assert_refused(lambda path: RowWindow(source, 0).read(0, H), path, message)


def write(target, picture, settings, step, stop=None):
    """Writes `step` rows at a time up to row `stop`; returns the number of rows stored before."""
    head = Picture(picture.pixels[:1], None, picture.icc_profile, picture.dpi)
    with RowWriter(target, head, len(picture.pixels), settings) as writer:
        stored = writer.rows
        for y in range(stored, stop or len(picture.pixels), step):
            writer.write(picture.pixels[y : min(y + step, stop or len(picture.pixels))])
        if stop is None:
            writer.finish()
    return stored


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [0, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_writing_by_rows(tmp_path, suffix, channels, dtype):
    picture = Picture(make_pixels(channels, dtype, 700, 300), None, ICC + b"IDAT", (300, 72))
    target, again = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    assert write(target, picture, {}, 100) == 0
    written = read_picture(target)  # checks checksums and sizes
    np.testing.assert_array_equal(written.pixels, picture.pixels)
    assert written.icc_profile == picture.icc_profile
    assert written.dpi == pytest.approx(picture.dpi, abs=0.1)
    write(again, picture, {"a": 1}, 64, stop=600)
    assert progress_file(again).is_file()
    assert read_progress(again) == {"a": 1}
    assert write(again, picture, {"a": 1}, 700) == 512
    assert again.read_bytes() == target.read_bytes()
    assert sorted(tmp_path.iterdir()) == sorted([target, again])


def test_unfinished_file_with_other_settings_is_dropped(tmp_path):
    target = tmp_path / "a.png"
    picture = Picture(make_pixels(0, h=600))
    write(target, picture, {"a": 1}, 64, stop=600 - 64)
    assert write(target, picture, {"a": 2}, 64, stop=300) == 0
    companion(tmp_path / "a.png", ".partial").write_bytes(b"short")
    assert write(target, picture, {"a": 2}, 64) == 0
    np.testing.assert_array_equal(read_picture(target).pixels, picture.pixels)


def fail_after(target, rows, error, cause=None):
    picture = Picture(make_pixels(0, h=600))
    with (
        contextlib.suppress(type(error)),
        RowWriter(target, Picture(picture.pixels[:1]), 600, {}) as writer,
    ):
        writer.write(picture.pixels[:rows])
        raise error from cause


@pytest.mark.parametrize(
    ("rows", "error", "cause", "kept"),
    [
        (300, InputError("the file is damaged"), ValueError(), 0),
        (300, InputError("cannot be read"), OSError(5, "Input/output error"), 2),
        (300, KeyboardInterrupt(), None, 2),
        (10, KeyboardInterrupt(), None, 0),
    ],
)
def test_unfinished_file_is_kept_only_if_a_later_run_can_continue_it(tmp_path, rows, error, cause, kept):
    fail_after(tmp_path / "a.png", rows, error, cause)
    assert len(list(tmp_path.iterdir())) == kept
    assert progress_file(tmp_path / "a.png").is_file() == bool(kept)


def test_tiff_is_a_tiled_bigtiff(tmp_path):
    write(tmp_path / "a.tif", Picture(make_pixels(3, h=300)), {}, 300)
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert tiff.is_bigtiff
        assert tiff.pages.first.is_tiled


def test_targets_that_cannot_be_written_by_rows_are_refused(tmp_path):
    assert_refused(lambda path: check_target(path, 10, 10), tmp_path / "a.jpg", "PNG or TIFF")
    assert_refused(lambda path: check_target(path, 1_000_001, 10), tmp_path / "a.png", "1000001")
    picture = Picture(make_pixels(0))
    assert_refused(lambda path: write(path, picture, {}, 10), tmp_path / "no" / "a.png", "No such file")
