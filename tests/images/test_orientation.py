import imagecodecs
import numpy as np
import pytest
from picture_files import (
    assert_same_samples,
    exif_bytes,
    insert_chunk,
    make_pixels,
    pillow_bytes,
    png_chunk,
    tiff_bytes,
)
from PIL import Image

from swinir_jax.images import Picture

# Orientation -> the stored picture [[1, 2, 3], [4, 5, 6]] upright, by the definition of the EXIF tag.
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
    """Repeats each value as a block of 8 x 8 pixels, which JPEG keeps; green is darker."""
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


@pytest.mark.parametrize("orientation", [None, 6])
def test_an_orientation_that_xmp_alone_has_counts_in_a_png_too(read_bytes, orientation):
    entry = f' tiff:Orientation="{orientation}"' if orientation else ""
    xmp = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description{entry}/></x:xmpmeta>'.encode()
    chunk = png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
    picture = read_bytes(insert_chunk(pillow_bytes(blocks(STORED), "PNG"), chunk))
    np.testing.assert_array_equal(picture.pixels, blocks(UPRIGHT[orientation or 1]))
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


def test_damaged_exif_data_lose_only_the_orientation(read_bytes):
    png = insert_chunk(pillow_bytes(blocks(STORED), "PNG"), png_chunk(b"eXIf", b"nonsense"))
    picture = read_bytes(png)
    np.testing.assert_array_equal(picture.pixels, blocks(STORED))
    assert picture.notes == ("damaged EXIF data ignored",)
