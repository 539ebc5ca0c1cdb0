"""Tiles of one static shape, and how their overlaps become one image."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np

Blend = Literal["smooth", "average"]


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
      tile: side of each tile.
      overlap: of neighbouring tiles, in pixels.
      scale: HQ / LQ side ratio.
      blend: how overlaps are merged.
    """

    rows: list[int]
    cols: list[int]
    tile: int
    overlap: int
    scale: int
    blend: Blend

    def __len__(self) -> int:
        return len(self.rows) * len(self.cols)

    def restore(
        self, image: np.ndarray, run: Callable[[np.ndarray], np.ndarray], batch_size: int, done: Callable[[int], None]
    ) -> np.ndarray:
        """Runs the network over all tiles and blends the results.

        Args:
          image: `[H, W, C]`, padded so that the grid covers it.
          run: the network, `[batch_size, h, w, C]` -> `[batch_size, h * scale, w * scale, C]`.
          batch_size: tiles in one call; a short last batch is filled up by repeating a tile.
          done: called with the number of tiles that were finished.

        Returns:
          `[H * scale, W * scale, C]` float32.
        """
        height, width, channels = (image.shape[0] * self.scale, image.shape[1] * self.scale, image.shape[2])
        total = np.zeros((height, width, channels), np.float32)
        weights = blend_weights(self.tile * self.scale, self.overlap * self.scale, self.blend)
        tile_weight = weights[:, None, None] * weights[None, :, None]
        for corners in _batches(itertools.product(self.rows, self.cols), batch_size):
            tiles = [image[y : y + self.tile, x : x + self.tile] for y, x in corners]
            tiles += [tiles[-1]] * (batch_size - len(tiles))
            for (y, x), restored in zip(corners, run(np.stack(tiles)), strict=False):
                total[self._output(y), self._output(x)] += restored * tile_weight
            done(len(corners))
        for axis, starts in enumerate((self.rows, self.cols)):  # the sum of weights is a product of one for each axis
            norm = np.zeros(total.shape[axis], np.float32)
            for start in starts:
                norm[self._output(start)] += weights
            total /= np.expand_dims(norm, (1 - axis, 2))
        return total

    def _output(self, start: int) -> slice:
        return slice(start * self.scale, (start + self.tile) * self.scale)


def _batches(items: Iterator[tuple[int, int]], size: int) -> Iterator[list[tuple[int, int]]]:
    while batch := list(itertools.islice(items, size)):
        yield batch
