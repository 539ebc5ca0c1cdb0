"""Restoration of one picture file into another."""

import dataclasses
import time
from pathlib import Path

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


def restore_file(
    file: Path,
    target: Path,
    restorer: FileRestorer,
    *,
    by_rows: bool = False,
    memory: int | None = None,
    background: str | None = None,
    quality: int = 95,
    strip_metadata: bool = False,
) -> Restored:
    """Restores a picture file.

    Args:
      file: picture to read.
      target: file to write, in an existing folder; the ending decides the format.
      restorer: restorer of any networks.
      by_rows: whether to restore row after row of tiles, for a picture larger than memory; the background and the
        quality do not apply then.
      memory: bytes that reading may take; None for all free memory.
      background: colour behind a picture with alpha; None to keep alpha.
      quality: quality of JPEG and AVIF, 1 to 100.
      strip_metadata: whether to leave out date, camera, place, author and texts.

    Raises:
      InputError: if the file cannot be read, restored or written.
    """
    start = time.perf_counter()
    if by_rows:
        height, head = restorer.restore_file(file, target, strip_metadata=strip_metadata)
        seconds = (0.0, time.perf_counter() - start, 0.0)
        return Restored(before=None, after=head, height=height, notes=head.notes, seconds=seconds)
    picture = read_picture(file, memory=memory)
    if background and picture.alpha is not None:
        picture = flatten(picture, background).noting(f"put onto a {background} background")
    read = time.perf_counter()
    result = restore_picture(picture, restorer)
    restored = time.perf_counter()
    converted = write_picture(target, result, quality=quality, strip_metadata=strip_metadata)
    seconds = (read - start, restored - read, time.perf_counter() - restored)
    notes = (*result.notes, *converted)
    return Restored(before=picture, after=result, height=len(result.pixels), notes=notes, seconds=seconds)
