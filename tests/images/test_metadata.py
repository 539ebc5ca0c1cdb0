import zlib

import numpy as np
import pytest
import tifffile
from photo_metadata import AUTHOR, XMP, Base, Gps, photo_exif, raw_profile
from picture_files import DATA, H, W, insert_chunk, make_picture, make_pixels, pillow_bytes, png_chunk, tiff_bytes
from PIL import ExifTags, Image

from swinir_jax.images import Metadata, Picture, read_picture, write_picture
from swinir_jax.images.row_reading import open_rows
from swinir_jax.images.row_writing import RowWriter


def source(kind, order):
    exif, pixels = photo_exif(order), make_pixels(3)
    if kind == "PNG":
        xmp = png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)
        return insert_chunk(pillow_bytes(pixels, "PNG"), png_chunk(b"eXIf", exif) + xmp)
    return pillow_bytes(pixels, kind, exif=b"Exif\0\0" + exif, xmp=XMP)


def assert_kept(path):
    """Checks metadata with Pillow, which stands for other programs."""
    with Image.open(path) as image:
        exif, xmp = image.getexif(), image.info.get("xmp", b"")
        author = exif[Base.Artist]
        assert author.encode("latin-1") == AUTHOR  # Pillow does not decode it
        assert exif[Base.Make] == "Camera Co"
        assert exif.get(Base.Orientation, 1) == 1
        details = exif.get_ifd(ExifTags.IFD.Exif)
        assert details[Base.DateTimeOriginal] == "2021:07:08 09:10:11"
        assert float(details[Base.ExposureTime]) == 1 / 250
        assert details[Base.UserComment] == b"ASCII\0\0\0hello"
        assert details[Base.MakerNote] == b"\x01\x02\x03\x04\x05\x06"
        assert Base.ExifImageWidth not in details
        assert Base.ExifImageHeight not in details
        place = exif.get_ifd(ExifTags.IFD.GPSInfo)
        assert (place[Gps.GPSLatitudeRef], [float(value) for value in place[Gps.GPSLatitude]]) == ("N", [52, 30, 12.5])
        assert not exif.get_ifd(ExifTags.IFD.IFD1)
        xmp = image.tag_v2[700] if image.format == "TIFF" else xmp
        xmp = xmp if isinstance(xmp, bytes) else xmp.encode()
        assert AUTHOR in xmp
        assert b'tiff:Orientation="1"' in xmp
        for gone in (b"PixelXDimension", b"ImageWidth", b"Thumbnails"):
            assert gone not in xmp
    content = path.read_bytes()
    assert b"JFIF" not in content[50:]  # a thumbnail would have this marker


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_metadata_are_kept_in_every_format(tmp_path, kind, order):
    (tmp_path / "source").write_bytes(source(kind, order))
    picture = read_picture(tmp_path / "source")
    assert picture.notes == ()
    assert picture.pixels.shape == (W, H, 3)  # turned upright
    for suffix in (".jpg", ".png", ".webp", ".tif", ".avif"):
        assert write_picture(tmp_path / f"a{suffix}", picture) == ()
        assert_kept(tmp_path / f"a{suffix}")
        again = read_picture(tmp_path / f"a{suffix}")
        exif, before = (each.metadata.parsed_exif().little_endian() for each in (again, picture))
        assert (exif.exif, exif.gps) == (before.exif, before.gps)
        assert again.metadata.xmp == picture.metadata.xmp
    write_picture(tmp_path / "a.jxl", picture)
    assert read_picture(tmp_path / "a.jxl").metadata == picture.metadata


@pytest.mark.parametrize("suffix", [".avif", ".jxl", ".tif"])
def test_written_metadata_are_read_again(tmp_path, suffix):
    (tmp_path / "source").write_bytes(source("JPEG", "<"))
    write_picture(tmp_path / f"a{suffix}", read_picture(tmp_path / "source"))
    write_picture(tmp_path / "b.jpg", read_picture(tmp_path / f"a{suffix}"))
    assert_kept(tmp_path / "b.jpg")


def test_metadata_of_a_tiff_are_kept(tmp_path):
    write_picture(tmp_path / "a.tif", Picture(make_pixels(3), metadata=Metadata(photo_exif(">"), XMP)))
    picture = read_picture(tmp_path / "a.tif")
    write_picture(tmp_path / "b.jpg", picture)
    with Image.open(tmp_path / "b.jpg") as image:
        assert image.getexif()[Base.Make] == "Camera Co"
        assert image.getexif().get_ifd(ExifTags.IFD.GPSInfo)[Gps.GPSLatitudeRef] == "N"
        assert Base.ImageWidth not in image.getexif()
        assert Base.BitsPerSample not in image.getexif()


def test_stripped_metadata_are_gone(tmp_path):
    picture = read_picture(DATA / "meta.jpg")
    assert picture.metadata
    for suffix in (".jpg", ".png", ".webp", ".tif", ".avif", ".jxl"):
        assert write_picture(tmp_path / f"a{suffix}", picture, strip_metadata=True) == ()
        assert b"Camera" not in (tmp_path / f"a{suffix}").read_bytes()
        assert not read_picture(tmp_path / f"a{suffix}").metadata
    assert not picture.without_metadata().metadata


def test_metadata_left_out_of_bmp_are_noted(tmp_path):
    picture = read_picture(DATA / "meta.jpg")
    [note] = write_picture(tmp_path / "a.bmp", picture)
    assert note == "date, camera, author and other metadata left out: BMP cannot hold them"
    assert write_picture(tmp_path / "a.bmp", picture, strip_metadata=True) == ()


TEXTS = (("Author", "Jürgen"), ("Title", "雪"), ("Shutter", "1/250"), ("Description", "snow"))


@pytest.mark.parametrize("kind", ["tEXt", "zTXt", "iTXt", "after the pixels"])
def test_png_texts(tmp_path, kind):
    text = "Ein Text für alle"
    chunk = {
        "zTXt": png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(text.encode("latin-1"))),
        "iTXt": png_chunk(b"iTXt", b"Comment\0\1\0de\0Kommentar\0" + zlib.compress(text.encode())),
    }.get(kind, png_chunk(b"tEXt", b"Comment\0" + text.encode("latin-1")))
    png = pillow_bytes(make_pixels(3), "PNG")
    (tmp_path / "a.png").write_bytes(png[:-12] + chunk + png[-12:] if "after" in kind else insert_chunk(png, chunk))
    picture = read_picture(tmp_path / "a.png")
    assert picture.metadata.text == (("Comment", text),)
    write_picture(tmp_path / "b.jpg", picture)
    with Image.open(tmp_path / "b.jpg") as image:
        assert image.info["comment"].decode() == text


def test_a_comment_too_long_for_jpeg_is_left_out_alone(tmp_path):
    longest = "ä" * 32_750  # 65,500 bytes
    for text, notes in ((longest, ()), (longest + "!", ("texts left out, too long for JPEG: Comment",))):
        picture = Picture(make_pixels(3), metadata=Metadata(text=(("Comment", text), ("Author", "Jürgen"))))
        assert write_picture(tmp_path / "a.jpg", picture) == notes
        metadata = read_picture(tmp_path / "a.jpg").metadata
        assert metadata.text == (() if notes else (("Comment", text),))
        assert "Jürgen".encode() in metadata.exif


def test_texts_become_exif_data_in_formats_without_texts(tmp_path):
    picture = Picture(make_pixels(3), metadata=Metadata(text=TEXTS))
    assert write_picture(tmp_path / "a.png", picture) == ()
    with Image.open(tmp_path / "a.png") as image:
        assert dict(image.text) == dict(TEXTS)
    assert read_picture(tmp_path / "a.png").metadata.text == TEXTS
    for suffix in (".jpg", ".tif", ".webp"):
        [note] = write_picture(tmp_path / f"a{suffix}", picture)
        assert note.endswith("cannot hold: Shutter, Description")
        with Image.open(tmp_path / f"a{suffix}") as image:
            exif = image.getexif()
            assert exif[Base.Artist].encode("latin-1").decode() == "Jürgen"
            assert exif[Base.ImageDescription].encode("latin-1").decode() == "雪"


@pytest.mark.parametrize("segments", [False, True])
def test_exif_and_xmp_texts_of_imagemagick_are_decoded(tmp_path, segments):
    chunks = raw_profile("APP1" if segments else "exif", b"Exif\0\0" + photo_exif())
    chunks += raw_profile("xmp", XMP)
    (tmp_path / "a.png").write_bytes(insert_chunk(pillow_bytes(make_pixels(3), "PNG"), chunks))
    picture = read_picture(tmp_path / "a.png")
    assert picture.pixels.shape == (W, H, 3)
    assert picture.metadata.parsed_exif().main[Base.Make].data == b"Camera Co\0"
    assert AUTHOR in picture.metadata.xmp
    assert picture.metadata.text == ()
    chunks = raw_profile("APP1", b"http://ns.adobe.com/xap/1.0/\0" + XMP)
    (tmp_path / "a.png").write_bytes(insert_chunk(pillow_bytes(make_pixels(3), "PNG"), chunks))
    assert AUTHOR in read_picture(tmp_path / "a.png").metadata.xmp


def test_pictures_with_damaged_metadata_are_read_and_written(tmp_path):
    exif = photo_exif(orientation=1)
    rng = np.random.default_rng(0)
    for trial in range(60):
        damaged = bytearray(exif[: rng.integers(1, len(exif))] if trial % 3 == 0 else exif)
        for position in rng.integers(0, min(len(damaged), 300), size=4):
            damaged[position] = rng.integers(256)
        (tmp_path / "a.png").write_bytes(
            insert_chunk(pillow_bytes(make_pixels(3), "PNG"), png_chunk(b"eXIf", bytes(damaged)))
        )
        picture = read_picture(tmp_path / "a.png")
        assert sorted(picture.pixels.shape) == sorted((H, W, 3))
        for suffix in (".jpg", ".tif", ".png", ".webp"):
            write_picture(tmp_path / f"b{suffix}", picture)
            read_picture(tmp_path / f"b{suffix}")


@pytest.mark.parametrize(
    "chunk", [png_chunk(b"iTXt", b"Title\0\1"), png_chunk(b"zTXt", b"Title\0\0nonsense"), png_chunk(b"iTXt", b"")]
)
def test_damaged_png_texts_are_noted(read_bytes, chunk):
    png = pillow_bytes(make_pixels(3), "PNG")
    picture = read_bytes(png[:-12] + chunk + png[-12:])
    assert picture.notes == ("damaged PNG texts ignored",)


def test_metadata_too_long_for_jpeg_are_left_out_and_noted(tmp_path):
    long = Metadata(photo_exif(), b"<x>" + b"a" * 70_000 + b"</x>")
    notes = write_picture(tmp_path / "a.jpg", Picture(make_pixels(3), metadata=long))
    assert notes == ("XMP data left out: too long for JPEG",)
    assert write_picture(tmp_path / "a.png", Picture(make_pixels(3), metadata=long)) == ()


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_metadata_are_kept_by_rows(tmp_path, suffix, order):
    (tmp_path / "source.jpg").write_bytes(source("JPEG", order))
    picture = read_picture(tmp_path / "source.jpg")
    write_picture(tmp_path / f"a{suffix}", picture)
    rows = open_rows(tmp_path / f"a{suffix}")
    assert rows.head.metadata == read_picture(tmp_path / f"a{suffix}").metadata
    with RowWriter(tmp_path / f"b{suffix}", rows.head, rows.height, {}) as writer:
        writer.write(picture.pixels)
        writer.finish()
    np.testing.assert_array_equal(read_picture(tmp_path / f"b{suffix}").pixels, picture.pixels)
    assert_kept(tmp_path / f"b{suffix}")


def test_layout_written_by_tifffile_is_not_a_description(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", make_pixels(3), photometric="rgb", software=False)
    assert not read_picture(tmp_path / "a.tif").metadata
    (tmp_path / "b.tif").write_bytes(tiff_bytes(make_pixels(3), photometric="rgb", description="a house"))
    write_picture(tmp_path / "b.png", read_picture(tmp_path / "b.tif"))
    with Image.open(tmp_path / "b.png") as image:
        assert image.getexif()[Base.ImageDescription] == "a house"


def test_no_metadata_are_written_without_metadata(tmp_path):
    write_picture(tmp_path / "a.jpg", make_picture(3, False))
    with Image.open(tmp_path / "a.jpg") as image:
        assert not {"exif", "xmp", "comment"} & set(image.info)
