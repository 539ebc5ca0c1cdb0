"""PNG read by rows: libpng decodes a few rows at a time, as small pictures."""

import functools
import io
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import imagecodecs

from swinir_jax.errors import InputError
from swinir_jax.images import png_reader
from swinir_jax.images.picture import CUT_AFTER_PIXELS
from swinir_jax.images.png_chunks import MAGIC, MAX_SIDE, chunk, heads, read_chunks_without_pixels
from swinir_jax.images.reading import checked
from swinir_jax.images.rows import BLOCK_ROWS, Block, RowSource

_PIECE = 1 << 16  # bytes of compressed data read at a time
_IHDR = ">IIBBBBB"
_CHANNELS = {0: 1, 2: 3}  # colour type -> channels, without palettes and alpha


def open_png(path: Path, file: BinaryIO) -> RowSource | None:
    """Reads the header of a PNG; returns None if the rows have to be decoded together."""
    (_, header), *chunks = read_chunks_without_pixels(file)
    is_cut = len(file.read(4)) < 4  # the last chunk's checksum, or what a cut file has instead
    ihdr = _Ihdr(*struct.unpack(_IHDR, header))
    if ihdr.colour_type not in _CHANNELS or ihdr.bits not in (8, 16) or ihdr.interlaced:
        return None
    if not ihdr.height or ihdr.width > MAX_SIDE:  # a row of any width would be decoded below
        return None
    row_bytes = 1 + ihdr.width * _CHANNELS[ihdr.colour_type] * ihdr.bits // 8  # the first byte names the filter
    first_row = io.BytesIO(_png(ihdr._replace(height=1), bytes(row_bytes), chunks))
    if png_reader.read_header(first_row)[1] != 1:
        return None
    first_row.seek(0)
    head = checked(png_reader.read(first_row))
    if head.alpha is not None:
        return None
    if is_cut:
        head = head.noting(CUT_AFTER_PIXELS)
    blocks = functools.partial(_png_blocks, path, ihdr, row_bytes)
    return RowSource.of_file(path, head, ihdr.height, 5 * BLOCK_ROWS * row_bytes, blocks)


class _Ihdr(NamedTuple):
    width: int
    height: int
    bits: int
    colour_type: int
    compression: int
    filtering: int
    interlaced: int


def _png(ihdr: _Ihdr, filtered_rows: bytes, chunks: Iterable[tuple[bytes, bytes]] = ()) -> bytes:
    """Makes a PNG file of filtered rows, uncompressed."""
    pixels = zlib.compress(filtered_rows, level=0)
    parts = [(b"IHDR", struct.pack(_IHDR, *ihdr)), *chunks, (b"IDAT", pixels), (b"IEND", b"")]
    return MAGIC + b"".join(chunk(kind, payload) for kind, payload in parts)


def _png_blocks(path: Path, ihdr: _Ihdr, row_bytes: int, first: int) -> Iterator[Block]:
    """Yields all blocks, whatever `first` is: a row needs the rows above to be decoded."""
    last_row, pending = b"", bytearray()
    with open(path, "rb") as file:
        pixels = _inflated(_image_data(file))
        for y in range(0, ihdr.height, BLOCK_ROWS):
            count = min(BLOCK_ROWS, ihdr.height - y)
            while len(pending) < count * row_bytes:
                pending += next(pixels)
            filtered = last_row + pending[: count * row_bytes]
            del pending[: count * row_bytes]
            rows = imagecodecs.png_decode(_png(ihdr._replace(height=len(filtered) // row_bytes), filtered))[-count:]
            last_row = b"\0" + rows[-1:].astype(rows.dtype.newbyteorder(">")).tobytes()  # filter 0 needs no row above
            yield y, rows


def _image_data(file: BinaryIO) -> Iterator[bytes]:
    """Yields the content of all IDAT chunks in small pieces.

    Raises:
      InputError: if the file is cut short or a checksum is wrong.
    """
    for kind, length in heads(file):
        if kind != b"IDAT":
            continue
        checksum = zlib.crc32(kind)
        while length:
            piece = file.read(min(length, _PIECE))
            if not piece:
                raise InputError("the file is cut short")
            checksum = zlib.crc32(piece, checksum)
            length -= len(piece)
            yield piece
        stored = file.read(4)
        if len(stored) == 4 and stored != struct.pack(">I", checksum):  # a cut file may lack the last checksum
            raise InputError("the file is damaged: a checksum is wrong")
    raise InputError("the file is cut short")


def _inflated(compressed: Iterator[bytes]) -> Iterator[bytes]:
    inflate = zlib.decompressobj()
    for piece in compressed:
        while piece:
            yield inflate.decompress(piece, _PIECE)
            piece = inflate.unconsumed_tail
