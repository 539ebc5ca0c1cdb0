"""Pictures of any size to files, from the top; what was written before a process was killed is used again."""

import dataclasses
import itertools
import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Self

import imagecodecs
import numpy as np

from swinir_jax.errors import InputError
from swinir_jax.files import cannot_write, companion, replacing, write_bytes
from swinir_jax.images.encoding import encode_png
from swinir_jax.images.picture import Picture
from swinir_jax.images.png_chunks import MAGIC, chunk
from swinir_jax.images.targets import LIMITS, WRITABLE
from swinir_jax.images.tiff_writing import write_tiff
from swinir_jax.images.writing import fitted

GROUP = 256
"""Rows that are compressed at a time; also the side of a TIFF's tiles."""
_LENGTH = "<Q"  # before each part of the unfinished file
_SUB = 1  # PNG's filter that subtracts the pixel to the left
_ZLIB_HEADER, _EMPTY_LAST_BLOCK = b"\x78\x9c", b"\x03\0"


def check_target(target: Path, height: int, width: int) -> None:
    """Refuses what cannot be written by rows.

    Raises:
      InputError: if the name's ending is not that of PNG or TIFF, or a side is longer than the format allows.
    """
    name = WRITABLE.get(target.suffix.lower())
    if name not in ("PNG", "TIFF"):
        raise InputError(f"{target}: what is larger than the memory is written as PNG or TIFF; choose --format.")
    if max(height, width) > LIMITS[name].max_side:
        raise InputError(f"{target}: {name} cannot hold {width} x {height} pixels.")


def progress_file(target: Path) -> Path:
    """Where a `RowWriter` notes how far it got: a hidden file beside the target."""
    return companion(target, ".partial.json")


def is_unfinished(target: Path) -> bool:
    """Whether a `RowWriter` was stopped before it had written the target."""
    return progress_file(target).is_file()


def read_progress(target: Path) -> dict[str, Any] | None:
    """What `RowWriter` was told to remember about an unfinished result; None if there is none."""
    state = _State.read(target)
    return state.about if state else None


@dataclasses.dataclass
class _State:
    about: dict[str, Any]
    rows: int = 0  # stored
    size: int = 0  # of the unfinished file, in bytes
    checksum: int = zlib.adler32(b"")  # of a PNG's rows

    @staticmethod
    def read(target: Path) -> "_State | None":
        try:
            return _State(**json.loads(progress_file(target).read_bytes()))
        except (OSError, ValueError, TypeError):  # there is none, or it is not ours
            return None


class RowWriter:
    """A PNG, or a tiled BigTIFF, that grows from the top.

    Compressed parts are gathered in a hidden file beside the target, how far that got in `progress_file`; the target
    itself is there when all is done.
    """

    def __init__(self, target: Path, head: Picture, height: int, about: Mapping[str, Any]):
        """Opens the unfinished file, or goes on with the one that is there.

        Args:
          target: what `check_target` lets pass.
          head: a `Picture` of one row of the result, for its width, kind, profile, resolution and metadata.
          height: of the result in pixels.
          about: what the result depends on, for JSON; an unfinished file about something else is begun anew.

        Raises:
          InputError: if the file cannot be opened.
        """
        self._target = Path(os.path.realpath(target))
        name = WRITABLE[target.suffix.lower()]
        self._is_png = name == "PNG"
        self._head, self._height = fitted(head, name)[0], height
        self._state = _State(dict(about))
        self._waiting: list[np.ndarray] = []  # rows that do not fill a part yet
        self._partial = companion(target, ".partial")
        stored = _State.read(target)
        if stored and stored.about == about and _size(self._partial) >= stored.size:
            self._state = stored
        try:
            if not self._state.rows:  # what it tells of is gone with the next line
                progress_file(self._target).unlink(missing_ok=True)
            self._file = open(self._partial, "r+b" if self._state.rows else "wb")  # noqa: SIM115
            self._file.truncate(self._state.size)
            self._file.seek(0, os.SEEK_END)
        except OSError as error:
            raise cannot_write(self._target, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    @property
    def rows(self) -> int:
        """How many rows are stored; writing goes on behind them."""
        return self._state.rows

    def write(self, rows: np.ndarray) -> None:
        """Takes the next rows, `[n, w]` or `[n, w, 3]` of the dtype of `head`, and stores them in groups.

        Raises:
          InputError: if they cannot be written.
        """
        self._waiting.append(rows)
        waiting = sum(map(len, self._waiting))
        stored = waiting if self.rows + waiting == self._height else waiting // GROUP * GROUP
        if not stored:
            return
        joined = np.concatenate(self._waiting)
        self._waiting = [joined[stored:].copy()]
        try:
            for y in range(0, stored, GROUP):
                self._store(joined[y : min(y + GROUP, stored)])
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise cannot_write(self._target, error) from error
        write_bytes(progress_file(self._target), json.dumps(dataclasses.asdict(self._state)).encode())

    def finish(self) -> None:
        """Makes the target of the stored rows, which are all, and removes the unfinished file.

        Raises:
          InputError: if it cannot be written; then the same can be tried again.
        """
        assemble = self._write_png if self._is_png else self._write_tiff
        try:
            with replacing(self._target) as temporary, open(temporary, "x+b") as file:
                assemble(file)
                file.flush()
                os.fsync(file.fileno())
            progress_file(self._target).unlink(missing_ok=True)
            self._partial.unlink()
        except OSError as error:
            raise cannot_write(self._target, error) from error

    def _store(self, rows: np.ndarray) -> None:
        for data in self._png_parts(rows) if self._is_png else _tiff_tiles(rows):
            self._file.write(struct.pack(_LENGTH, len(data)) + data)
            self._state.size += struct.calcsize(_LENGTH) + len(data)
        self._state.rows += len(rows)

    def _stored(self) -> Iterator[bytes]:
        with open(self._partial, "rb") as file:
            while head := file.read(struct.calcsize(_LENGTH)):
                yield file.read(*struct.unpack(_LENGTH, head))

    def _png_parts(self, rows: np.ndarray) -> Iterator[bytes]:
        n, w = rows.shape[:2]
        pixels = rows.astype(rows.dtype.newbyteorder(">"), order="C").view(np.uint8).reshape(n, w, -1)
        filtered = np.full((n, 1 + pixels[0].size), _SUB, np.uint8)  # Sub needs no row above, which may be stored
        filtered[:, 1:] = imagecodecs.delta_encode(pixels, axis=1).reshape(n, -1)
        raw = filtered.tobytes()
        self._state.checksum = zlib.adler32(raw, self._state.checksum)
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        yield deflate.compress(raw) + deflate.flush(zlib.Z_FULL_FLUSH)  # more can follow

    def _write_png(self, file: BinaryIO) -> None:
        one_row, end = encode_png(self._head, 0), len(MAGIC)
        while one_row[end + 4 : end + 8] != b"IDAT":
            end += 12 + int.from_bytes(one_row[end : end + 4])
        ihdr = one_row[16:20] + struct.pack(">I", self._height) + one_row[24:29]
        file.write(MAGIC + chunk(b"IHDR", ihdr) + one_row[33:end])
        trailer = _EMPTY_LAST_BLOCK + struct.pack(">I", self._state.checksum)
        for data in itertools.chain([_ZLIB_HEADER], self._stored(), [trailer]):
            file.write(chunk(b"IDAT", data))
        file.write(chunk(b"IEND", b""))

    def _write_tiff(self, file: BinaryIO) -> None:
        pixels = self._head.pixels
        write_tiff(
            file,
            self._head,
            bigtiff=True,
            data=self._stored(),
            shape=(self._height, *pixels.shape[1:]),
            dtype=pixels.dtype,
            planarconfig="contig" if pixels.ndim == 3 else None,
            tile=(GROUP, GROUP),
        )


def _tiff_tiles(rows: np.ndarray) -> Iterator[bytes]:
    for x in range(0, rows.shape[1], GROUP):
        tile = np.zeros((GROUP, GROUP, *rows.shape[2:]), rows.dtype)
        part = rows[:, x : x + GROUP]
        tile[: part.shape[0], : part.shape[1]] = part
        yield bytes(imagecodecs.zlib_encode(imagecodecs.delta_encode(tile, axis=1).tobytes()))


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1
