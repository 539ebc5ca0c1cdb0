import struct

import numpy as np
import pytest
from photo_metadata import AUTHOR, XMP, Base, photo_exif, raw_profile
from picture_files import insert_chunk, make_pixels, pillow_bytes, tiff_bytes
from PIL import Image, IptcImagePlugin

from swinir_jax.images import Metadata, Picture, read_picture, write_picture
from swinir_jax.images.row_reading import open_rows


def dataset(number, text):
    return struct.pack(">BBBH", 0x1C, 2, number, len(text)) + text


IPTC = dataset(80, AUTHOR) + dataset(116, b"(c) 2021") + dataset(120, b"Snow on the roof")


def resource(number, content, name=b""):
    name = bytes([len(name)]) + name
    parts = (b"8BIM", struct.pack(">H", number), name + bytes(len(name) % 2), struct.pack(">I", len(content)), content)
    return b"".join(parts) + bytes(len(content) % 2)


def jpeg_segment(content):
    content = b"Photoshop 3.0\0" + content
    return b"\xff\xed" + struct.pack(">H", 2 + len(content)) + content


RESOURCES = resource(0x0422, b"odd", b"name") + resource(0x0404, IPTC) + resource(0x0425, bytes(16))
SWAPPED = np.frombuffer(IPTC + bytes(-len(IPTC) % 4), "<u4").byteswap().tobytes()
IPTC_FILES = {
    "JPEG": lambda: pillow_bytes(make_pixels(3), "JPEG", extra=jpeg_segment(RESOURCES)),
    "TIFF": lambda: tiff_bytes(make_pixels(3), photometric="rgb", extratags=[(33723, 7, len(IPTC), IPTC, True)]),
    "TIFF with swapped words": lambda: tiff_bytes(
        make_pixels(3), photometric="rgb", extratags=[(33723, 4, len(SWAPPED) // 4, SWAPPED, True)]
    ),
    "TIFF with resources": lambda: tiff_bytes(
        make_pixels(3), photometric="rgb", extratags=[(34377, 7, len(RESOURCES), RESOURCES, True)]
    ),
    "TIFF with a palette": lambda: pillow_bytes(
        Image.fromarray(make_pixels(0)).convert("P"), "TIFF", tiffinfo={33723: IPTC}
    ),
    "PNG": lambda: insert_chunk(pillow_bytes(make_pixels(3), "PNG"), raw_profile("iptc", RESOURCES)),
    "PNG of resources": lambda: insert_chunk(pillow_bytes(make_pixels(3), "PNG"), raw_profile("8bim", RESOURCES)),
}


@pytest.mark.parametrize("kind", IPTC_FILES)
def test_iptc_data_are_kept(read_bytes, tmp_path, kind):
    picture = read_bytes(IPTC_FILES[kind]())
    assert picture.metadata.iptc.rstrip(b"\0") == IPTC
    assert b"Snow" not in picture.metadata.exif
    assert not picture.metadata.text
    for suffix in (".jpg", ".tif", ".png"):
        assert write_picture(tmp_path / f"a{suffix}", picture) == ()
        assert read_picture(tmp_path / f"a{suffix}").metadata.iptc == picture.metadata.iptc
    for suffix in (".jpg", ".tif"):
        with Image.open(tmp_path / f"a{suffix}") as image:
            found = IptcImagePlugin.getiptcinfo(image)
            assert (found[2, 80], found[2, 116], found[2, 120]) == (AUTHOR, b"(c) 2021", b"Snow on the roof")
    assert open_rows(tmp_path / "a.png").head.metadata == read_picture(tmp_path / "a.png").metadata


@pytest.mark.parametrize("suffix", [".webp", ".avif", ".jxl"])
def test_iptc_data_left_out_are_noted(tmp_path, suffix):
    picture = Picture(make_pixels(3), metadata=Metadata(iptc=IPTC))
    [note] = write_picture(tmp_path / f"a{suffix}", picture)
    assert note.startswith("IPTC data (author, caption, rights) left out: ")
    assert write_picture(tmp_path / f"a{suffix}", picture, strip_metadata=True) == ()


def test_stripped_iptc_data_are_gone(tmp_path):
    picture = Picture(make_pixels(3), metadata=Metadata(iptc=IPTC))
    for suffix in (".jpg", ".tif", ".png"):
        assert write_picture(tmp_path / f"a{suffix}", picture, strip_metadata=True) == ()
        assert not read_picture(tmp_path / f"a{suffix}").metadata


def test_iptc_data_are_kept_beside_exif_and_xmp(tmp_path):
    picture = Picture(make_pixels(3), metadata=Metadata(photo_exif(orientation=1), XMP, (("Author", "A"),), IPTC))
    for suffix in (".jpg", ".tif", ".png"):
        write_picture(tmp_path / f"a{suffix}", picture)
        metadata = read_picture(tmp_path / f"a{suffix}").metadata
        assert metadata.iptc == IPTC
        assert metadata.parsed_exif().main[Base.Make].data == b"Camera Co\0"
        assert AUTHOR in metadata.xmp


@pytest.mark.parametrize(
    "content", [resource(0x0404, b"nonsense"), resource(0x0404, IPTC)[:9], b"8BIM", b"8BIM\4\4\xff"]
)
def test_damaged_iptc_data_cost_nothing_else(read_bytes, content):
    picture = read_bytes(pillow_bytes(make_pixels(3), "JPEG", extra=jpeg_segment(content)))
    assert not picture.metadata
    assert set(picture.notes) <= {"damaged IPTC data ignored"}
    tags = [(34377, 7, len(content), content, True)]
    assert not read_bytes(tiff_bytes(make_pixels(3), photometric="rgb", software=False, extratags=tags)).metadata


def test_iptc_data_too_long_for_jpeg_are_left_out_and_noted(tmp_path):
    picture = Picture(make_pixels(3), metadata=Metadata(iptc=IPTC + bytes(70_000)))
    assert write_picture(tmp_path / "a.jpg", picture) == ("IPTC data left out: too long for JPEG",)
