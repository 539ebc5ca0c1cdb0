"""Tiles of one static shape, and how their overlaps become one image."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np

Blend = Literal["smooth", "average"]
Shape = tuple[int, int]
"""Height and width, in pixels."""
Network = Callable[[np.ndarray], np.ndarray]
"""`[B, h, w, C]` -> `[B, h * scale, w * scale, C]`."""


def tile_starts(side: int, tile: int, overlap: int) -> list[int]:
    """First pixel of each tile along one side; the last tile ends with the side.

    All are multiples of the window if `side`, `tile` and `overlap` are.

    Args:
      side: at least `tile`, in pixels.
      tile: side of a tile.
      overlap: of neighbouring tiles, below `tile` unless one tile is enough; the last two may overlap by more.
    """
    return [0] if side == tile else [*range(0, side - tile, tile - overlap), side - tile]


def blend_weights(length: int, ramp: int, blend: Blend) -> np.ndarray:
    """How much each pixel of a tile counts along one axis.

    Args:
      length: of the tile, in pixels of the output.
      ramp: length of the overlap, in pixels of the output.
      blend: "average" counts all alike, as the official test script; "smooth" fades the borders, where the network
        saw least, in and out along the overlap, so that no seam shows.

    Returns:
      `[length]` float32, above 0.
    """
    if blend == "average" or ramp == 0:
        return np.ones(length, np.float32)
    position = np.arange(length)
    to_border = np.minimum(position, length - 1 - position) + 0.5
    return np.minimum(to_border / ramp, 1).astype(np.float32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tiling:
    """A grid of tiles over one image.

    Attributes:
      rows, cols: first pixel of the tiles, along each axis.
      tile: height and width of each tile.
      overlap: of neighbouring tiles, in pixels.
      scale: HQ / LQ side ratio.
      blend: how overlaps are merged.
    """

    rows: list[int]
    cols: list[int]
    tile: Shape
    overlap: int
    scale: int
    blend: Blend

    def __len__(self) -> int:
        return len(self.rows) * len(self.cols)

    @property
    def height(self) -> int:
        """Of the image that the grid covers, in pixels."""
        return self.rows[-1] + self.tile[0]

    @property
    def width(self) -> int:
        """Of the image that the grid covers, in pixels."""
        return self.cols[-1] + self.tile[1]

    def restore(self, image: np.ndarray, run: Network, batch_size: int, done: Callable[[int], None]) -> np.ndarray:
        """Runs the network over all tiles and blends the results.

        Args:
          image: `[H, W, C]`, padded so that the grid covers it.
          run: the network.
          batch_size: tiles in one call; a short last batch is filled up by repeating a tile.
          done: called with the number of tiles that were finished.

        Returns:
          `[H * scale, W * scale, C]` float32.
        """
        height, width, channels = image.shape
        restored = np.empty((height * self.scale, width * self.scale, channels), np.float32)
        end = 0
        for band in self.bands(lambda start, stop: image[start:stop], channels, run, batch_size, done):
            restored[end : end + len(band)] = band
            end += len(band)
        return restored

    def first_needed(self, band: int) -> int:
        """The first row of tiles, as an index, that has a part in a band."""
        return next(i for i, y in enumerate(self.rows) if y + self.tile[0] > self.rows[band])

    def bands(
        self,
        read: Callable[[int, int], np.ndarray],
        channels: int,
        run: Network,
        batch_size: int,
        done: Callable[[int], None],
        *,
        first: int = 0,
    ) -> Iterator[np.ndarray]:
        """As `restore`, from the top, holding one row of tiles: band i begins with the tiles of `rows[i]`.

        Args:
          read: (first row, behind the last) -> those rows of the image, `[n, W, C]`; called from top to bottom.
          channels: C.
          run: as in `restore`.
          batch_size: as in `restore`.
          done: as in `restore`.
          first: the band to begin with; it and those below are the same whatever is left out.

        Yields:
          `[n * scale, W * scale, C]` float32, all rows before those of the next band; valid until then.
        """
        begin = self.first_needed(first)
        height, width = self.tile
        strips = (read(y, y + height) for y in self.rows[begin:])
        tiles = (strip[:, x : x + width] for strip in strips for x in self.cols)
        restored = _run_all(tiles, run, batch_size, done)
        by_row, by_col = (blend_weights(side * self.scale, self.overlap * self.scale, self.blend) for side in self.tile)
        tile_weight = by_row[:, None, None] * by_col[None, :, None]
        row_norm = self._norm(self.rows, by_row)[:, None, None]
        col_norm = self._norm(self.cols, by_col)[:, None]
        total = np.zeros((len(by_row), len(col_norm), channels), np.float32)
        for i, y in enumerate(self.rows[begin:], begin):
            for x in self.cols:
                total[:, self._output(x, width)] += next(restored) * tile_weight
            end = self.rows[i + 1] if i + 1 < len(self.rows) else y + height
            band = total[: (end - y) * self.scale]
            if i >= first:
                band /= row_norm[y * self.scale : end * self.scale]
                band /= col_norm
                yield band
            kept = len(total) - len(band)
            total[:kept] = total[len(band) :]
            total[kept:] = 0

    def _norm(self, starts: list[int], weights: np.ndarray) -> np.ndarray:
        """The sum of weights along one axis; that of a pixel is the product of both axes'."""
        side = len(weights) // self.scale
        norm = np.zeros((starts[-1] + side) * self.scale, np.float32)
        for start in starts:
            norm[self._output(start, side)] += weights
        return norm

    def _output(self, start: int, side: int) -> slice:
        return slice(start * self.scale, (start + side) * self.scale)


def _run_all(
    tiles: Iterator[np.ndarray], run: Network, batch_size: int, done: Callable[[int], None]
) -> Iterator[np.ndarray]:
    while batch := list(itertools.islice(tiles, batch_size)):
        restored = run(np.stack(batch + [batch[-1]] * (batch_size - len(batch))))
        done(len(batch))  # now: nobody asks for what would follow the last tile
        yield from restored[: len(batch)]
