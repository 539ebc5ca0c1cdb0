"""Writing of pictures of any size, by rows; a later process continues what a killed one has begun."""

import contextlib
import dataclasses
import io
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
from swinir_jax.files import cannot_write, companion, new_file, write_bytes
from swinir_jax.images.encoding import encode_png
from swinir_jax.images.picture import Picture
from swinir_jax.images.png_chunks import MAGIC, chunk, read_chunks_without_pixels
from swinir_jax.images.targets import LIMITS, WRITABLE
from swinir_jax.images.tiff_writing import write_tiff
from swinir_jax.images.writing import fitted

GROUP = 256
"""Number of rows compressed together; also the side of a TIFF file's tiles."""
_LENGTH = "<Q"  # length that precedes each part of the unfinished file
_SUB = 1  # PNG filter that subtracts the pixel to the left
_ZLIB_HEADER, _EMPTY_LAST_BLOCK = b"\x78\x9c", b"\x03\0"


def check_target(target: Path, height: int, width: int) -> None:
    """Refuses files that cannot be written by rows.

    Raises:
      InputError: if the format is not written by rows, or a side is longer than the format allows.
    """
    name = WRITABLE.get(target.suffix.lower())
    if name is None or not LIMITS[name].by_rows:
        formats = " or ".join(name for name, limits in LIMITS.items() if limits.by_rows)
        raise InputError(f"{target}: a result larger than memory is written as {formats}; choose one by --format.")
    if max(height, width) > LIMITS[name].max_side:
        raise InputError(f"{target}: {name} cannot hold {width} x {height} pixels.")


def progress_file(target: Path) -> Path:
    """Returns the hidden file beside the target in which a `RowWriter` stores its progress."""
    return companion(target, ".partial.json")


def read_progress(target: Path) -> dict[str, Any] | None:
    """Returns the settings of an unfinished result; None if there is no unfinished result."""
    state = _State.read(target)
    return state.settings if state else None


def drop_unfinished(target: Path) -> None:
    """Removes what a `RowWriter` has left that was stopped before the target was written; raises OSError."""
    progress_file(target).unlink(missing_ok=True)
    _partial_file(target).unlink(missing_ok=True)


def _partial_file(target: Path) -> Path:
    return companion(target, ".partial")


@dataclasses.dataclass
class _State:
    settings: dict[str, Any]
    rows: int = 0  # number of stored rows
    size: int = 0  # size of the unfinished file in bytes
    checksum: int = zlib.adler32(b"")  # checksum of a PNG file's filtered rows

    @staticmethod
    def read(target: Path) -> "_State | None":
        try:
            return _State(**json.loads(progress_file(target).read_bytes()))
        except (OSError, ValueError, TypeError):  # the file does not exist, or has other content
            return None


class RowWriter:
    """Writer of a PNG or tiled BigTIFF file from top to bottom.

    Compressed rows are gathered in a hidden file beside the target, and the progress in `progress_file`. The target
    appears when all rows are written. Both hidden files are removed after an error that a later run would meet again,
    such as a damaged input; they stay after an interruption or an error of the system.

    Attributes:
      notes: what the format cannot hold, as `write_picture` returns it.
    """

    def __init__(self, target: Path, head: Picture, height: int, settings: Mapping[str, Any]):
        """Opens a new unfinished file, or continues an existing one with the same settings.

        Args:
          target: file that `check_target` accepts.
          head: `Picture` of one row, with the width, kind, profile, resolution and metadata of the result.
          height: height of the result in pixels.
          settings: everything the result depends on, as JSON values.

        Raises:
          InputError: if the file cannot be opened.
        """
        self._target = Path(os.path.realpath(target))
        name = WRITABLE[target.suffix.lower()]
        self._is_png = name == "PNG"
        self._head, self.notes = fitted(head, name)
        self._height = height
        self._state = _State(dict(settings))
        self._waiting: list[np.ndarray] = []  # rows that do not fill a group yet
        self._partial = _partial_file(target)
        stored = _State.read(target)
        if stored and stored.settings == settings and _size(self._partial) >= stored.size:
            self._state = stored
        try:
            if not self._state.rows:  # the next line drops the file that the progress is about
                progress_file(self._target).unlink(missing_ok=True)
            self._file = open(self._partial, "r+b" if self._state.rows else "wb")  # noqa: SIM115
            self._file.truncate(self._state.size)
            self._file.seek(0, os.SEEK_END)
        except OSError as error:
            raise cannot_write(self._target, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._file.close()
        is_final = isinstance(error, InputError) and not isinstance(error.__cause__, OSError)
        if is_final or not self.rows:
            with contextlib.suppress(OSError):  # the first error is the one to report
                drop_unfinished(self._target)

    @property
    def rows(self) -> int:
        """Number of stored rows; `write` continues after them."""
        return self._state.rows

    def write(self, rows: np.ndarray) -> None:
        """Stores the next rows, `[n, w]` or `[n, w, 3]` of the dtype of `head`, in groups.

        Raises:
          InputError: if the rows cannot be written.
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
        """Writes the target from all stored rows, and removes the unfinished file.

        Raises:
          InputError: if the target cannot be written; a second call can then succeed.
        """
        with new_file(self._target) as file:
            self._write_png(file) if self._is_png else self._write_tiff(file)
        try:
            drop_unfinished(self._target)
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
        filtered = np.full((n, 1 + pixels[0].size), _SUB, np.uint8)  # Sub does not need the row above
        filtered[:, 1:] = imagecodecs.delta_encode(pixels, axis=1).reshape(n, -1)
        raw = filtered.tobytes()
        self._state.checksum = zlib.adler32(raw, self._state.checksum)
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS, strategy=zlib.Z_RLE)  # as `encode_png`
        yield deflate.compress(raw) + deflate.flush(zlib.Z_FULL_FLUSH)  # the next part is independent of this one

    def _write_png(self, file: BinaryIO) -> None:
        (_, ihdr), *others = read_chunks_without_pixels(io.BytesIO(encode_png(self._head, 0)))
        ihdr = ihdr[:4] + struct.pack(">I", self._height) + ihdr[8:]
        trailer = _EMPTY_LAST_BLOCK + struct.pack(">I", self._state.checksum)
        pixels = ((b"IDAT", data) for data in itertools.chain([_ZLIB_HEADER], self._stored(), [trailer]))
        file.write(MAGIC)
        for kind, payload in itertools.chain([(b"IHDR", ihdr)], others, pixels, [(b"IEND", b"")]):
            file.write(chunk(kind, payload))

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
