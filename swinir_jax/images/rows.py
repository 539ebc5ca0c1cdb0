"""A picture whose rows are decoded or computed when they are needed."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from swinir_jax.images.picture import Picture
from swinir_jax.images.reading import refusing

Block = tuple[int, np.ndarray]
"""Number of the first row, and rows, `[n, w]` or `[n, w, C]`."""

BLOCK_ROWS = 64
"""Height of decoded blocks in formats without strips or tiles."""


@dataclasses.dataclass(frozen=True, eq=False)
class RowSource:
    """An upright picture without alpha, whose rows are decoded or computed when they are needed.

    Attributes:
      path: file of the picture, or of the picture that the rows are computed from.
      head: `Picture` of one row, with the profile, resolution, metadata and notes of the whole picture.
      height: height of the picture in pixels.
      block_bytes: largest memory that decoding or holding a block takes.
      blocks: function of a row number that yields blocks of any height; the first block contains that row or begins
        above it. Raises InputError if the file is damaged or cut short.
      dtype: dtype of the blocks: the dtype of `head`, or float32 for values in [0, 1].
    """

    path: Path
    head: Picture
    height: int
    block_bytes: int
    blocks: Callable[[int], Iterator[Block]]
    dtype: np.dtype

    @classmethod
    def of_file(
        cls, path: Path, head: Picture, height: int, block_bytes: int, decode: Callable[[int], Iterator[Block]]
    ) -> "RowSource":
        """Returns the rows of a file.

        Args:
          path: as the attribute.
          head: as the attribute.
          height: as the attribute.
          block_bytes: as the attribute.
          decode: function as `blocks`, which may raise the decoders' errors.
        """

        def blocks(first: int) -> Iterator[Block]:
            decoded = decode(first)
            while True:
                with refusing(path):
                    block = next(decoded, None)
                if block is None:
                    return
                yield block

        return cls(path, head, height, block_bytes, blocks, head.pixels.dtype)

    @property
    def width(self) -> int:
        """Width of the picture in pixels."""
        return self.head.pixels.shape[1]

    @property
    def channels(self) -> int:
        """Number of channels, 1 for gray and 3 for RGB."""
        return self.head.channels


class RowWindow:
    """Rows of a source, read from top to bottom."""

    def __init__(self, source: RowSource, first: int):
        """Starts reading at row `first`."""
        self._source = source
        self._blocks = source.blocks(first)
        self._recent: list[Block] = []
        self._end = 0  # row after the last decoded one

    def read(self, start: int, stop: int) -> np.ndarray:
        """Decodes rows, and forgets the rows above.

        Args:
          start: first row, not above the `start` of the previous call.
          stop: row after the last one.

        Returns:
          `[stop - start, w, 1 or 3]` float32 in [0, 1].

        Raises:
          InputError: if the file is damaged or cut short.
        """
        source = self._source
        rows = np.empty((stop - start, source.width, source.channels), np.float32)
        while self._end < stop:
            y, block = next(self._blocks)
            self._recent.append((y, block))
            self._end = y + len(block)
            self._forget(start)
        self._forget(start)
        for y, block in self._recent:
            low, high = max(start, y), min(stop, y + len(block))
            if low < high:
                rows[low - start : high - start] = block[low - y : high - y].reshape(high - low, *rows.shape[1:])
        if source.dtype != np.float32:
            rows /= np.float32(np.iinfo(source.dtype).max)
        return rows

    def _forget(self, start: int) -> None:
        self._recent = [(y, block) for y, block in self._recent if y + len(block) > start]
