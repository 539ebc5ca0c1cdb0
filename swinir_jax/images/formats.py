"""Picture formats, by the first bytes of files and the endings of names."""

import re
from collections.abc import Mapping
from pathlib import Path

# Format -> first bytes of the files. "BM" and "P5" also begin texts, so these patterns check more bytes.
_BEGINNINGS: Mapping[str, re.Pattern[bytes]] = {
    name: re.compile(pattern, re.DOTALL)
    for name, pattern in {
        "PNG": rb"\x89PNG\r\n\x1a\n",
        "JPEG": rb"\xff\xd8\xff",
        "WebP": rb"RIFF.{4}WEBP",
        "TIFF": rb"II[*+]\0|MM\0[*+]",  # classic and BigTIFF, in either byte order
        "BMP": rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0",  # byte 14 is the size of one of the known headers
        "GIF": rb"GIF8[79]a",
        "AVIF": rb".{4}ftypavi[fs]",
        "HEIF": rb".{4}ftyp(?:hei[cmsx]|hev[cmsx]|mif1|msf1)",
        "JPEG XL": rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n",
        "JPEG 2000": rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n",
        "PPM": rb"P[1-6]\s+[#\d]",
    }.items()
}
*_FIRST, _LAST = _BEGINNINGS
NO_PICTURE = f"not a {', '.join(_FIRST)} or {_LAST} picture, or its header is damaged"
"""Error message for a file in none of the formats."""

BEGINNING_BYTES = 32
"""Number of first bytes that decide a file's format."""

READABLE: Mapping[str, str] = {
    ending: name
    for name, endings in {
        "PNG": ".png .apng",
        "JPEG": ".jpg .jpeg .jpe .jfif .jpg_large",
        "WebP": ".webp",
        "TIFF": ".tif .tiff",
        "BMP": ".bmp .dib",
        "GIF": ".gif",
        "AVIF": ".avif",
        "HEIF": ".heic .heif .hif",
        "JPEG XL": ".jxl",
        "JPEG 2000": ".jp2 .j2k .jpf .jpx .j2c",
        "PPM": ".ppm .pgm .pbm .pnm",
    }.items()
    for ending in endings.split()
}
"""Ending in lower case -> format, for all formats that can be read; the content of a file decides, not the ending."""


def format_of(beginning: bytes) -> str | None:
    """Returns the format of a file from the first BEGINNING_BYTES; None if it is not a picture."""
    return next((name for name, pattern in _BEGINNINGS.items() if pattern.match(beginning)), None)


def format_by_name(path: Path) -> str | None:
    """Returns the format that a file's ending stands for; None if it is not the ending of a picture."""
    return READABLE.get(path.suffix.lower())
