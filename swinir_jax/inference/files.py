"""Restoration of picture files."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from swinir_jax.images import Picture, flatten, read_picture, write_picture
from swinir_jax.inference.chain import NetworkChain
from swinir_jax.inference.pictures import restore_picture
from swinir_jax.inference.streaming import StreamingRestorer

FileRestorer = StreamingRestorer | NetworkChain
"""Restorer of files, as `make_restorer` returns one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Restored:
    """A restored file.

    Attributes:
      before: the picture that was read, on the background if there is one; None if the file was restored by rows.
      after: the restored picture; one row of it if the file was restored by rows.
      height: height of the restored picture in pixels.
      notes: short sentences on what was converted, left out or assumed.
      seconds: time of reading, restoring and writing; by rows, these happen in turn and are counted as restoring.
    """

    before: Picture | None
    after: Picture
    height: int
    notes: tuple[str, ...]
    seconds: tuple[float, float, float]

    @property
    def width(self) -> int:
        """Width of the restored picture in pixels."""
        return self.after.pixels.shape[1]


class FileRestoration:
    """Restoration of a picture file in three stages, which follow each other, each in any thread."""

    def __init__(
        self,
        file: Path,
        target: Path,
        restorer: FileRestorer,
        *,
        by_rows: bool = False,
        memory: int | None = None,
        background: str | None = None,
        quality: int = 95,
        strip_metadata: bool = False,
    ):
        """Does nothing yet.

        Args:
          file: picture to read.
          target: file to write, in an existing folder; the ending decides the format.
          restorer: restorer of any networks.
          by_rows: whether to restore row after row of tiles, for a picture larger than memory, all in the second stage;
            the background and the quality do not apply then.
          memory: bytes that reading may take; None for all free memory.
          background: colour behind a picture with alpha; None to keep alpha.
          quality: quality of JPEG and AVIF, 1 to 100.
          strip_metadata: whether to leave out date, camera, place, author and texts.
        """
        self._file, self._target, self._restorer, self._by_rows = file, target, restorer, by_rows
        self._memory, self._background, self._quality = memory, background, quality
        self._strip_metadata = strip_metadata
        self._before: Picture | None = None
        self._seconds = [0.0, 0.0, 0.0]

    def read(self) -> None:
        """Reads the picture.

        Raises:
          InputError: if the file cannot be read.
        """
        if self._by_rows:
            return
        with self._timed(0):
            picture = read_picture(self._file, memory=self._memory)
            if self._background and picture.alpha is not None:
                picture = flatten(picture, self._background).noting(f"put onto a {self._background} background")
            self._before = picture

    def restore(self) -> None:
        """Runs the networks.

        Raises:
          InputError: if the picture cannot be restored, or, by rows, read or written.
        """
        with self._timed(1):
            if self._before:
                self._after = restore_picture(self._before, self._restorer)
                self._height = len(self._after.pixels)
            else:
                self._height, self._after = self._restorer.restore_file(
                    self._file, self._target, strip_metadata=self._strip_metadata
                )

    def write(self) -> Restored:
        """Writes the result.

        Raises:
          InputError: if the result cannot be written.
        """
        notes = self._after.notes
        if self._before:
            with self._timed(2):
                converted = write_picture(
                    self._target, self._after, quality=self._quality, strip_metadata=self._strip_metadata
                )
            notes = (*notes, *converted)
        reading, restoring, writing = self._seconds
        return Restored(
            before=self._before,
            after=self._after,
            height=self._height,
            notes=notes,
            seconds=(reading, restoring, writing),
        )

    @contextlib.contextmanager
    def _timed(self, stage: int) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._seconds[stage] = time.perf_counter() - start


def restore_file(file: Path, target: Path, restorer: FileRestorer, **options: Any) -> Restored:
    """Restores a picture file, with the arguments of FileRestoration.

    Raises:
      InputError: if the file cannot be read, restored or written.
    """
    restoration = FileRestoration(file, target, restorer, **options)
    restoration.read()
    restoration.restore()
    return restoration.write()
