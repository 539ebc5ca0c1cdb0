"""EXIF and XMP data as cameras and programs write them."""

import struct

from picture_files import H, W, make_pixels, pillow_bytes, png_chunk
from PIL import ExifTags

Base, Gps = ExifTags.Base, ExifTags.GPS
XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description tiff:Orientation="6" exif:PixelXDimension="34"
 dc:creator="J\xc3\xbcrgen"><tiff:ImageWidth>34</tiff:ImageWidth><xmp:Thumbnails><rdf:Alt>QUJD</rdf:Alt></xmp:Thumbnails>
</rdf:Description></rdf:RDF></x:xmpmeta>"""
AUTHOR = "Jürgen".encode()


def photo_exif(order="<", orientation=6):
    """Packs camera, author, date, place, sizes and a thumbnail in either byte order."""

    def directory(entries, offset, following=0):
        table, values = struct.pack(f"{order}H", len(entries)), b""
        end = offset + 2 + 12 * len(entries) + 4
        for tag, kind, count, data in sorted(entries):
            table += struct.pack(f"{order}HHI", tag, kind, count)
            table += data.ljust(4, b"\0") if len(data) <= 4 else struct.pack(f"{order}I", end + len(values))
            values += data + b"\0" * (len(data) % 2) if len(data) > 4 else b""
        return table + struct.pack(f"{order}I", following) + values

    def text(tag, value):
        return tag, 2, len(value) + 1, value + b"\0"

    def numbers(tag, kind, letter, *values):
        count = len(values) // 2 if kind in (5, 10) else len(values)
        return tag, kind, count, struct.pack(f"{order}{len(values)}{letter}", *values)

    exif = [
        text(Base.DateTimeOriginal, b"2021:07:08 09:10:11"),
        numbers(Base.ExposureTime, 5, "I", 1, 250),
        numbers(Base.ExifImageWidth, 4, "I", W),
        numbers(Base.ExifImageHeight, 4, "I", H),
        (Base.MakerNote, 7, 6, b"\x01\x02\x03\x04\x05\x06"),
        (Base.UserComment, 7, 13, b"ASCII\0\0\0hello"),
    ]
    gps = [text(Gps.GPSLatitudeRef, b"N"), numbers(Gps.GPSLatitude, 5, "I", 52, 1, 30, 1, 125, 10)]
    thumbnail = pillow_bytes(make_pixels(3), "JPEG")
    main = [
        text(Base.Make, b"Camera Co"),
        text(Base.Artist, AUTHOR),
        numbers(Base.Orientation, 3, "H", orientation),
        numbers(Base.ImageWidth, 4, "I", W),
    ]
    pointers = [numbers(tag, 4, "I", 0) for tag in (Base.ExifOffset, Base.GPSInfo)]
    exif_at = 8 + len(directory(main + pointers, 8))
    gps_at = exif_at + len(directory(exif, exif_at))
    next_at = gps_at + len(directory(gps, gps_at))
    pointers = [numbers(Base.ExifOffset, 4, "I", exif_at), numbers(Base.GPSInfo, 4, "I", gps_at)]
    small = [numbers(513, 4, "I", next_at + 2 + 24 + 4), numbers(514, 4, "I", len(thumbnail))]
    head = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8)
    return (
        head
        + directory(main + pointers, 8, next_at)
        + directory(exif, exif_at)
        + directory(gps, gps_at)
        + directory(small, next_at)
        + thumbnail
    )


def raw_profile(name, data):
    digits = data.hex()
    lines = "\n".join(digits[i : i + 72] for i in range(0, len(digits), 72))
    return png_chunk(b"tEXt", f"Raw profile type {name}\0\n{name}\n{len(data):8}\n{lines}\n".encode())
