"""Restoration of picture files."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

from swinir_jax.images import Picture, flatten, read_picture, write_picture
from swinir_jax.images.row_writing import drop_unfinished
from swinir_jax.inference.chain import NetworkChain
from swinir_jax.inference.pictures import restore_picture


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


@dataclasses.dataclass
class FileRestoration:
    """Restoration of a picture file in three stages, which follow each other, each in any thread.

    Attributes:
      file: picture to read.
      target: file to write, in an existing folder; the ending decides the format.
      restorer: restorer of any networks.
      by_rows: whether to restore row after row of tiles, for a picture larger than memory, all in the second stage; the
        quality does not apply then.
      memory: bytes that reading may take; None for all free memory.
      background: colour behind a picture with alpha; None to keep alpha.
      quality: quality of JPEG and AVIF, 1 to 100.
      strip_metadata: whether to leave out date, camera, place, author and texts.
    """

    file: Path
    target: Path
    restorer: NetworkChain
    _: dataclasses.KW_ONLY
    by_rows: bool = False
    memory: int | None = None
    background: str | None = None
    quality: int = 95
    strip_metadata: bool = False
    _before: Picture | None = dataclasses.field(default=None, init=False)
    _after: Picture = dataclasses.field(init=False)  # one row, by rows
    _height: int = dataclasses.field(init=False)
    _seconds: list[float] = dataclasses.field(default_factory=lambda: [0.0] * 3, init=False)

    def run(self) -> Restored:
        """Takes the picture through all stages.

        Raises:
          InputError: if the file cannot be read, restored or written.
        """
        self.read()
        self.restore()
        return self.write()

    def read(self) -> None:
        """Reads the picture.

        Raises:
          InputError: if the file cannot be read.
        """
        if self.by_rows:
            return
        with self._timed(0):
            picture = read_picture(self.file, memory=self.memory)
            if self.background and picture.alpha is not None:
                picture = flatten(picture, self.background)
            self._before = picture

    def restore(self) -> None:
        """Runs the networks.

        Raises:
          InputError: if the picture cannot be restored, or, by rows, read or written.
        """
        with self._timed(1):
            if self._before:
                self._after = restore_picture(self._before, self.restorer)
                self._height = len(self._after.pixels)
            else:
                self._height, self._after = self.restorer.restore_file(
                    self.file, self.target, background=self.background, strip_metadata=self.strip_metadata
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
                    self.target, self._after, quality=self.quality, strip_metadata=self.strip_metadata
                )
            with contextlib.suppress(OSError):  # the result is there
                drop_unfinished(self.target)
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
