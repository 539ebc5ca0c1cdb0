"""Division of an image into tiles of one static shape, and blending of their overlaps."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np

Blend = Literal["smooth", "average"]
Shape = tuple[int, int]
"""Height and width, in pixels."""
RunBatch = Callable[[np.ndarray], np.ndarray]
"""`[B, h, w, C]` -> `[B, h * scale, w * scale, C]`."""


def tile_starts(side: int, tile: int, overlap: int) -> list[int]:
    """Returns the first pixel of each tile along one side; the last tile ends with the side.

    The pixels are multiples of the window if `side`, `tile` and `overlap` are.

    Args:
      side: side of the image in pixels, at least `tile`.
      tile: side of a tile in pixels.
      overlap: pixels that neighbours share, fewer than `tile` unless one tile suffices; the last two may share more.
    """
    return [0] if side == tile else [*range(0, side - tile, tile - overlap), side - tile]


def blend_weights(length: int, ramp: int, blend: Blend) -> np.ndarray:
    """Returns the weight of each pixel of a tile along one axis.

    Args:
      length: side of the tile in output pixels.
      ramp: overlap in output pixels.
      blend: "average" weights all pixels alike, as the official test script does; "smooth" lets weights fall along the
        overlap to the border of the tile, where the network saw the least context, so that no seam shows.

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
      rows, cols: first pixel of each tile, along each axis.
      tile: height and width of each tile in pixels.
      overlap: pixels that neighbouring tiles share.
      scale: HQ / LQ side ratio.
      blend: blending of overlaps.
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
        """Height of the image that the grid covers, in pixels."""
        return self.rows[-1] + self.tile[0]

    @property
    def width(self) -> int:
        """Width of the image that the grid covers, in pixels."""
        return self.cols[-1] + self.tile[1]

    def restore(self, image: np.ndarray, run: RunBatch, batch_size: int, done: Callable[[int], None]) -> np.ndarray:
        """Runs the network over all tiles and blends the results.

        Args:
          image: `[H, W, C]` of the grid's height and width.
          run: function of a batch of tiles.
          batch_size: tiles in one call; a short last batch is filled with copies of a tile.
          done: called with the number of tiles just finished.

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
        """Returns the index of the first row of tiles that reaches into a band."""
        return next(i for i, y in enumerate(self.rows) if y + self.tile[0] > self.rows[band])

    def bands(
        self,
        read: Callable[[int, int], np.ndarray],
        channels: int,
        run: RunBatch,
        batch_size: int,
        done: Callable[[int], None],
        *,
        first: int = 0,
        stop: int | None = None,
    ) -> Iterator[np.ndarray]:
        """Restores from top to bottom, with one row of tiles in memory; band i begins with the tiles of `rows[i]`.

        Args:
          read: function from (first row, row after the last) to those rows of the image, `[n, W, C]`; called from top
            to bottom.
          channels: number of channels C.
          run: as for `restore`.
          batch_size: as for `restore`.
          done: as for `restore`.
          first: index of the first band to restore; bands do not depend on it.
          stop: index after the last band to restore; None for all.

        Yields:
          `[n * scale, W * scale, C]` float32, the rows up to the next band; valid until the next one is yielded.
        """
        begin = self.first_needed(first)
        height, width = self.tile
        strips = (read(y, y + height) for y in self.rows[begin:stop])
        tiles = (strip[:, x : x + width] for strip in strips for x in self.cols)
        restored = _run_all(tiles, run, batch_size, done)
        by_row, by_col = (blend_weights(side * self.scale, self.overlap * self.scale, self.blend) for side in self.tile)
        tile_weight = by_row[:, None, None] * by_col[None, :, None]
        row_norm = self._norm(self.rows, by_row)[:, None, None]
        col_norm = self._norm(self.cols, by_col)[:, None]
        total = np.zeros((len(by_row), len(col_norm), channels), np.float32)
        for i, y in enumerate(self.rows[begin:stop], begin):
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
        """Returns the sum of weights along one axis; the sum at a pixel is the product over both axes."""
        side = len(weights) // self.scale
        norm = np.zeros((starts[-1] + side) * self.scale, np.float32)
        for start in starts:
            norm[self._output(start, side)] += weights
        return norm

    def _output(self, start: int, side: int) -> slice:
        return slice(start * self.scale, (start + side) * self.scale)


def _run_all(
    tiles: Iterator[np.ndarray], run: RunBatch, batch_size: int, done: Callable[[int], None]
) -> Iterator[np.ndarray]:
    while batch := list(itertools.islice(tiles, batch_size)):
        restored = run(np.stack(batch + [batch[-1]] * (batch_size - len(batch))))
        done(len(batch))  # before the yield, because the caller takes nothing after the last tile
        yield from restored[: len(batch)]
