"""A picture whose rows are decoded when they are needed."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from swinir_jax.images.picture import Picture
from swinir_jax.images.reading import refusing

Block = tuple[int, np.ndarray]
"""The first row's number, and rows."""

BLOCK_ROWS = 64
"""Decoded at a time where the format does not tell."""


@dataclasses.dataclass(frozen=True, eq=False)
class RowSource:
    """An upright picture without alpha, whose rows are decoded when they are needed.

    Attributes:
      path: of the file.
      head: a `Picture` of one row, for what the file says about all of them.
      height: of the picture in pixels.
      block_bytes: memory that reading takes, at most.
      blocks: the rows from one of them on, `[n, w]` or `[n, w, 3]`, in blocks of any height; the first may begin
        above. Raises whatever the decoders do.
    """

    path: Path
    head: Picture
    height: int
    block_bytes: int
    blocks: Callable[[int], Iterator[Block]]

    @property
    def width(self) -> int:
        """In pixels."""
        return self.head.pixels.shape[1]

    @property
    def channels(self) -> int:
        """1 for gray, 3 for RGB."""
        return 1 if self.head.pixels.ndim == 2 else 3


class RowWindow:
    """Rows of a source, which are asked for from the top to the bottom."""

    def __init__(self, source: RowSource, first: int):
        """Starts reading at row `first`."""
        self._source = source
        self._blocks = source.blocks(first)
        self._held: list[tuple[int, np.ndarray]] = []
        self._end = 0  # of the rows decoded so far

    def read(self, start: int, stop: int) -> np.ndarray:
        """Decodes some rows; those above are forgotten.

        Args:
          start: the first row, not above that of the call before.
          stop: behind the last row.

        Returns:
          `[stop - start, w, 1 or 3]` float32 in [0, 1].

        Raises:
          InputError: if the file is damaged or cut short.
        """
        source = self._source
        rows = np.empty((stop - start, source.width, source.channels), np.float32)
        with refusing(source.path):
            while self._end < stop:
                y, block = next(self._blocks)
                self._held.append((y, block))
                self._end = y + len(block)
                self._forget(start)
        self._forget(start)
        for y, block in self._held:
            low, high = max(start, y), min(stop, y + len(block))
            if low < high:
                rows[low - start : high - start] = block[low - y : high - y].reshape(high - low, *rows.shape[1:])
        rows /= np.float32(np.iinfo(source.head.pixels.dtype).max)
        return rows

    def _forget(self, start: int) -> None:
        self._held = [(y, block) for y, block in self._held if y + len(block) > start]
