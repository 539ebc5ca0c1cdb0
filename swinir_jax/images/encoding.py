"""Encoders of the written formats, for pictures that `writing.fitted` has adapted to the format."""

import dataclasses
import io
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image

from swinir_jax.images.colour import SRGB
from swinir_jax.images.exif import EXIF_PREFIX, ORIENTATION, Exif
from swinir_jax.images.iptc import to_resources, to_segment
from swinir_jax.images.jxl_header import mark_as_srgb
from swinir_jax.images.metadata import RAW_PROFILE, to_raw_profile
from swinir_jax.images.picture import Picture
from swinir_jax.images.png_chunks import MAGIC, XMP_KEYWORD, chunk, text_chunk
from swinir_jax.images.tiff_writing import encode_tiff

_JXL_EFFORT = 4  # 1 to 9; more is far slower and saves a few percent
# For PNG: runs and frequent bytes are coded, longer repetitions are not looked for. Photographs have none, and their
# files are as large as by zlib's usual strategy, which takes seven times as long (`benchmarks/png.py`).
_PNG = dict(filter=imagecodecs.PNG.FILTER.PAETH, strategy=imagecodecs.PNG.STRATEGY.RLE)


def samples_of(picture: Picture) -> np.ndarray:
    """Joins colours and alpha in one array, `[h, w]` or `[h, w, 2 to 4]`."""
    if picture.alpha is None:
        return np.ascontiguousarray(picture.pixels)
    return np.dstack([picture.pixels, picture.alpha])


def encode_png(picture: Picture, quality: int) -> bytes:
    """Encodes a PNG file; ignores the quality."""
    chunks = b""
    if picture.code_points == SRGB and not picture.icc_profile:
        chunks += chunk(b"sRGB", b"\0")
    elif picture.code_points:
        chunks += chunk(b"cICP", picture.code_points)
    if picture.icc_profile:
        chunks += chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(picture.icc_profile))
    if picture.dpi:
        chunks += chunk(b"pHYs", struct.pack(">IIB", *_pixels_per_metre(picture.dpi), 1))  # 1: unit is the metre
    metadata = picture.metadata
    if metadata.exif:
        chunks += chunk(b"eXIf", metadata.exif)
    if metadata.xmp:
        chunks += text_chunk(XMP_KEYWORD, metadata.xmp.decode("utf-8", "replace"))
    if metadata.iptc:
        chunks += text_chunk(f"{RAW_PROFILE}iptc", to_raw_profile("iptc", to_resources(metadata.iptc)))
    chunks += b"".join(text_chunk(*text) for text in metadata.text)
    data = bytes(imagecodecs.png_encode(samples_of(picture), **_PNG))
    ihdr_end = len(MAGIC) + 25
    return data[:ihdr_end] + chunks + data[ihdr_end:]


def _pixels_per_metre(dpi: tuple[float, float]) -> tuple[int, int]:
    return round(dpi[0] / 0.0254), round(dpi[1] / 0.0254)


def _encode_jpeg(picture: Picture, quality: int) -> bytes:
    comment = "".join(text for _, text in picture.metadata.text)  # at most one text is left
    dpi = picture.dpi or (0, 0)
    segments = to_segment(picture.metadata.iptc) if picture.metadata.iptc else b""
    options: dict[str, Any] = dict(quality=quality, subsampling="4:4:4", dpi=dpi, comment=comment, extra=segments)
    return _encode_with_pillow(picture, "JPEG", **options)


def _encode_webp(picture: Picture, quality: int) -> bytes:
    return _encode_with_pillow(picture, "WEBP", lossless=True, exact=True)  # exact keeps colours behind alpha 0


def _encode_avif(picture: Picture, quality: int) -> bytes:
    metadata = picture.metadata
    if metadata.exif:  # Pillow rewrites EXIF data that have an orientation, and loses letters that are not ASCII
        exif = Exif.parse(metadata.exif)
        exif = dataclasses.replace(exif, main={tag: entry for tag, entry in exif.main.items() if tag != ORIENTATION})
        picture = dataclasses.replace(picture, metadata=dataclasses.replace(metadata, exif=exif.to_bytes()))
    return _encode_with_pillow(picture, "AVIF", quality=quality, subsampling="4:4:4")


def _encode_with_pillow(picture: Picture, name: str, **options: Any) -> bytes:
    buffer, metadata = io.BytesIO(), picture.metadata
    exif = EXIF_PREFIX + metadata.exif if metadata.exif else b""
    image = Image.fromarray(samples_of(picture))
    image.save(buffer, name, icc_profile=picture.icc_profile, exif=exif, xmp=metadata.xmp, **options)
    return buffer.getvalue()


def _encode_bmp(picture: Picture, quality: int) -> bytes:
    if picture.alpha is None:
        return _encode_with_pillow(picture, "BMP", dpi=picture.dpi or (0, 0))
    h, w, _ = picture.pixels.shape
    bgra = np.dstack([picture.pixels[..., ::-1], picture.alpha])[::-1].tobytes()  # the bottom row comes first
    resolution = _pixels_per_metre(picture.dpi or (0, 0))
    # Pillow writes a shorter header than this BITMAPV4HEADER, without the mask of alpha.
    header = struct.pack("<IiiHHIIiiII", 108, w, h, 1, 32, 3, len(bgra), *resolution, 0, 0)
    masks = struct.pack("<4I4s48x", 0xFF0000, 0xFF00, 0xFF, 0xFF000000, b"BGRs")  # "BGRs" marks sRGB
    begin = 14 + 108
    return struct.pack("<2sIII", b"BM", begin + len(bgra), 0, begin) + header + masks + bgra


def _encode_jxl(picture: Picture, quality: int) -> bytes:
    data = bytes(imagecodecs.jpegxl_encode(samples_of(picture), lossless=True, effort=_JXL_EFFORT, usecontainer=True))
    begin = data.index(b"jxlc") + 4
    metadata = picture.metadata
    boxes = {b"Exif": bytes(4) + metadata.exif if metadata.exif else b"", b"xml ": metadata.xmp}
    return b"".join(
        (
            data[:begin],
            mark_as_srgb(data[begin:]),
            *(struct.pack(">I4s", 8 + len(box), kind) + box for kind, box in boxes.items() if box),
        )
    )


ENCODERS: Mapping[str, Callable[[Picture, int], bytes]] = {
    "PNG": encode_png,
    "JPEG": _encode_jpeg,
    "WebP": _encode_webp,
    "TIFF": lambda picture, quality: encode_tiff(picture, samples_of(picture)),
    "BMP": _encode_bmp,
    "AVIF": _encode_avif,
    "JPEG XL": _encode_jxl,
}
"""Format -> `(picture, quality) -> content of a file`; only JPEG and AVIF use the quality."""
