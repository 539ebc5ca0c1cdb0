"""Chunks of PNG files."""

import struct
import zlib
from collections.abc import Collection, Iterator
from typing import BinaryIO

MAGIC = b"\x89PNG\r\n\x1a\n"
MAX_SIDE = 1_000_000
"""Longest side in pixels that libpng decodes and encodes."""
XMP_KEYWORD = "XML:com.adobe.xmp"
_MAX_INFLATED = 1 << 24  # largest size of a decompressed text or profile in bytes


def chunk(kind: bytes, payload: bytes) -> bytes:
    """Packs a chunk with its length and checksum."""
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def heads(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yields name and length of each chunk up to IEND, with the file positioned at the chunk's content."""
    position = len(MAGIC)
    while True:
        file.seek(position)
        if len(head := file.read(8)) < 8:
            return
        length, kind = struct.unpack(">I4s", head)
        yield kind, length
        if kind == b"IEND":
            return
        position += length + 12


def read_chunks(file: BinaryIO, kinds: Collection[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yields name and content of the chunks of some kinds, without comparing checksums."""
    for kind, length in heads(file):
        if kind in kinds:
            yield kind, file.read(length)


def read_chunks_without_pixels(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yields name and content of all chunks but IDAT and IEND; IHDR is the first of a sound file."""
    for kind, length in heads(file):
        if kind not in (b"IDAT", b"IEND"):
            yield kind, file.read(length)


def text_chunk(keyword: str, text: str) -> bytes:
    """Packs a text as tEXt if Latin-1 has all letters, else as iTXt."""
    name = keyword.encode("latin-1", "replace")[:79] + b"\0"
    if keyword != XMP_KEYWORD:
        try:
            return chunk(b"tEXt", name + text.encode("latin-1"))
        except UnicodeEncodeError:
            pass
    return chunk(b"iTXt", name + b"\0\0\0\0" + text.encode())


def parse_text(kind: bytes, payload: bytes) -> tuple[str, str]:
    """Parses keyword and text of a tEXt, zTXt or iTXt chunk; raises ValueError or zlib.error if it is damaged."""
    keyword, _, rest = payload.partition(b"\0")
    if kind == b"iTXt":
        flags, rest = rest[:2], rest[2:]
        _language, _translated, text = rest.split(b"\0", 2)
        return keyword.decode("latin-1"), (_inflate(text) if flags[:1] == b"\1" else text).decode()
    return keyword.decode("latin-1"), (_inflate(rest[1:]) if kind == b"zTXt" else rest).decode("latin-1")


def parse_profile(payload: bytes) -> bytes:
    """Parses the colour profile of an iCCP chunk; raises ValueError or zlib.error if it is damaged."""
    return _inflate(payload.partition(b"\0")[2][1:])


def _inflate(data: bytes) -> bytes:
    inflate = zlib.decompressobj()
    text = inflate.decompress(data, _MAX_INFLATED)
    if not inflate.eof:
        raise ValueError("a chunk is too large or cut short")
    return text
