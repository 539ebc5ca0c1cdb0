"""JPEG XL. libjxl turns the picture upright."""

import io
from collections.abc import Iterator
from typing import BinaryIO

import imagecodecs

from swinir_jax.errors import InputError
from swinir_jax.images.header import Header
from swinir_jax.images.jxl_header import parse_header
from swinir_jax.images.metadata import Metadata, collect
from swinir_jax.images.picture import Picture, full_range, split_alpha
from swinir_jax.images.plugins import load_plugin

_SIGNATURE = b"\xff\x0a"
_HEADER_BYTES = 4096
_SRGB_NAMES = (b"sRGB", b"Gra_D65_Rel_SRG")  # names of libjxl's own sRGB profiles


def read_header(file: BinaryIO) -> tuple[Header, int]:
    """Reads the header of the upright picture; returns it with the orientation 1."""
    return parse_header(_codestream(file))[0], 1


def read(file: io.BytesIO) -> Picture:
    """Decodes a whole file; raises libjxl's errors."""
    plugin = load_plugin("pillow_jxl", "JPEG XL")  # imagecodecs does not return the colour profile
    header, bits = parse_header(_codestream(file))
    data = file.getvalue()
    samples = imagecodecs.jpegxl_decode(data)
    if samples.shape[:2] != (header.height, header.width):
        raise InputError("JPEG XL with frames or further channels is not supported")
    samples = full_range(samples, 2**bits - 1)
    profile = plugin.Decoder()(data)[3]
    metadata, notes = _metadata(file)
    return Picture(*split_alpha(samples), None if _is_srgb(profile) else profile, metadata=metadata, notes=notes)


def _codestream(file: BinaryIO) -> bytes:
    """Reads the beginning of the codestream, which lies in the file as it is or in a box."""
    if file.read(2) == _SIGNATURE:
        file.seek(0)
        return file.read(_HEADER_BYTES)
    for kind, size in _boxes(file):
        if kind in (b"jxlc", b"jxlp"):
            content = file.read(min(size, _HEADER_BYTES))
            return content[4:] if kind == b"jxlp" else content  # jxlp begins with a part number
    raise InputError("the file is cut short")


def _is_srgb(profile: bytes) -> bool:
    text = profile.replace(b"\0", b"")
    return not profile or (profile[4:8] == b"jxl " and any(name in text for name in _SRGB_NAMES))


def _metadata(file: BinaryIO) -> tuple[Metadata, tuple[str, ...]]:
    exif, xmp = b"", b""
    file.seek(0)
    if file.read(2) == _SIGNATURE:
        return Metadata(), ()
    for kind, size in _boxes(file):
        if kind not in (b"Exif", b"xml ", b"brob"):
            continue
        content = file.read(size)
        if kind == b"brob":
            kind, content = content[:4], bytes(imagecodecs.brotli_decode(content[4:]))
        if kind == b"Exif":
            exif = content if content[:2] in (b"II", b"MM") else content[4 + int.from_bytes(content[:4]) :]
        elif kind == b"xml ":
            xmp = content
    return collect(exif, xmp)


def _boxes(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yields kind and content size of each box, with the file positioned at the content."""
    end, position = file.seek(0, io.SEEK_END), 0
    while position + 8 <= end:
        file.seek(position)
        size, kind, head = int.from_bytes(file.read(4)), file.read(4), 8
        if size == 1:
            size, head = int.from_bytes(file.read(8)), 16
        size = size or end - position  # 0: the box ends with the file
        if size < head:
            return
        yield kind, size - head
        position += size
