"""TIFF read by rows of strips or tiles."""

import functools
import itertools
import mmap
from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile

from swinir_jax.errors import InputError
from swinir_jax.images import tiff_reader
from swinir_jax.images.picture import Picture, frame_note, plausible_dpi
from swinir_jax.images.reading import checked
from swinir_jax.images.rows import BLOCK_ROWS, Block, RowSource


def open_tiff(path: Path) -> RowSource | None:
    """Reads the header of the first page; returns None for a picture that cannot be decoded by rows."""
    with tifffile.TiffFile(path) as tiff:
        page = tiff_reader.first_page(tiff)
        h, w = page.imagelength, page.imagewidth
        channels = tiff_reader.COLOURS.get(page.photometric)
        if (
            not channels
            or page.axes not in ("YX", "YXS", "SYX")
            or page.samplesperpixel != channels
            or page.sampleformat != tifffile.SAMPLEFORMAT.UINT
            or page.bitspersample not in (8, 16)
            or tiff_reader.orientation(page) != 1
            or not h * w
        ):
            return None
        tiff_reader.check_segments(page, tiff.filehandle.size)
        dtype = np.dtype(f"u{page.bitspersample // 8}")
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            metadata, notes = tiff_reader.read_metadata(page, content)
        head = Picture(
            np.zeros((1, w) if channels == 1 else (1, w, 3), dtype),
            None,
            page.tags.valueof(tiff_reader.ICC_PROFILE) or None,
            plausible_dpi(tiff_reader.resolution(page)),
            metadata=metadata,
            notes=notes + frame_note(tiff_reader.count_frames(tiff, page)),
        )
        block_rows = BLOCK_ROWS if page.is_contiguous else page.chunks[page.axes.index("Y") - page.ndim]
    return RowSource.of_file(
        path, checked(head), h, 2 * min(block_rows, h) * head.pixels.nbytes, functools.partial(_tiff_blocks, path)
    )


def _tiff_blocks(path: Path, first: int) -> Iterator[Block]:
    with tifffile.TiffFile(path) as tiff:
        page = tiff_reader.first_page(tiff)
        read = _contiguous_rows if page.is_contiguous else _segment_rows
        for y, rows in read(tiff, page, first):
            if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
                rows = np.iinfo(rows.dtype).max - rows
            yield y, rows


def _contiguous_rows(tiff: tifffile.TiffFile, page: tifffile.TiffPage, first: int) -> Iterator[Block]:
    """Yields rows of an uncompressed picture, which may be a single strip."""
    h, w = page.imagelength, page.imagewidth
    planes, per_row = (3, w) if page.axes == "SYX" else (1, w * page.samplesperpixel)
    dtype = np.dtype(f"{tiff.byteorder}u{page.bitspersample // 8}")
    for y in range(first, h, BLOCK_ROWS):
        count = min(BLOCK_ROWS, h - y)
        parts = []
        for plane in range(planes):
            tiff.filehandle.seek(page.dataoffsets[0] + (plane * h + y) * per_row * dtype.itemsize)
            data = tiff.filehandle.read(count * per_row * dtype.itemsize)
            if page.fillorder == tifffile.FILLORDER.LSB2MSB:
                data = bytes(imagecodecs.bitorder_decode(data))
            parts.append(np.frombuffer(data, dtype).reshape(count, w, -1))
        yield y, np.concatenate(parts, axis=-1).astype(dtype.newbyteorder("="), copy=False)


def _segment_rows(tiff: tifffile.TiffFile, page: tifffile.TiffPage, first: int) -> Iterator[Block]:
    """Yields the rows of each row of strips or tiles."""
    h, w = page.imagelength, page.imagewidth
    step, across = (page.tilelength, -(-w // page.tilewidth)) if page.is_tiled else (page.rowsperstrip, 1)
    down = -(-h // step)
    planes = len(page.dataoffsets) // (down * across)
    jpeg = dict(jpegtables=page.jpegtables, jpegheader=page.jpegheader)  # of all segments
    for j in range(first // step, down):
        rows = np.empty((min(step, h - j * step), w, page.samplesperpixel), f"u{page.bitspersample // 8}")
        for plane, i in itertools.product(range(planes), range(across)):
            segment = (plane * down + j) * across + i
            tiff.filehandle.seek(page.dataoffsets[segment])
            data = tiff.filehandle.read(page.databytecounts[segment])
            decoded, (channel, _, _, x, _), _ = page.decode(data, segment, **jpeg)
            if decoded is None:
                raise InputError("the file is cut short: a part of the picture is missing")
            part = decoded[0, : len(rows), : w - x]
            rows[:, x : x + part.shape[1], channel : channel + part.shape[2]] = part
        yield j * step, rows
