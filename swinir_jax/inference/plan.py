"""Choice of tiles by the sizes of images and the options of a Restorer."""

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np

from swinir_jax.config import SwinIRConfig
from swinir_jax.errors import InputError, is_int
from swinir_jax.inference.padding import Pad, padded_side
from swinir_jax.inference.tiling import Blend, Shape, Tiling, tile_starts

MAX_AUTO_TILE = 512  # larger tiles save little of the overlap
MAX_WORK = 4  # pixels that shared tiles may run for each pixel of a padded image
OVERLAP = 32  # pixels that neighbouring tiles share, unless the tiles are small
MAX_PROGRAMS = 12  # compiled programs of a plan, because each takes memory
_MAX_ALONE = 3  # shapes that a run may compile before images share tiles
_CPU_PROGRAM_PIXELS, _PROGRAM_PIXELS = 2**16, 2**22  # pixels that run in about the time of compiling one program
_FORBIDDEN = 1e15  # pixels, more than any run has


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """Padding of images and division into tiles, as pure functions of sizes and options.

    Sides are in input pixels; those of tiles are multiples of the window.

    Attributes:
      tile: largest side of a tile; 0 for whole images; "auto" for whole images where memory allows, else tiles.
      overlap: pixels that neighbouring tiles share.
      window: side of the network's windows.
      scale: HQ / LQ side ratio.
      blend: blending of overlaps.
      pad: kind of padding.
      only: the one tile that a network with `ape` takes; None for networks without.
    """

    tile: int | Literal["auto"]
    overlap: int
    window: int
    scale: int
    blend: Blend
    pad: Pad
    only: Shape | None

    @classmethod
    def of(
        cls, config: SwinIRConfig, *, tile: int | Literal["auto"], overlap: int | None, blend: Blend, pad: Pad
    ) -> "Layout":
        """Returns the layout for options of a Restorer, where they are described.

        Raises:
          InputError: if an option has another value, or options contradict each other.
        """
        for name, value, allowed in (("blend", blend, get_args(Blend)), ("pad", pad, get_args(Pad))):
            if value not in allowed:
                raise InputError(f"{name} must be one of {allowed}, got {value!r}.")
        if tile != "auto" and not is_int(tile):
            raise InputError(f"tile must be a number of pixels or 'auto', got {tile!r}.")
        only = config.example_sides if config.ape else None
        if only:
            if tile != "auto" and only != (tile, tile):
                raise InputError(f"This network, with ape, takes only tiles of {only[0]}x{only[1]}, not {tile}.")
            tile = min(only)
        window = config.side_multiple
        if tile != "auto":
            if tile < 0 or 0 < tile < window:
                raise InputError(f"tile={tile} is smaller than the window of {window} pixels.")
            tile = int(tile) // window * window
        if overlap is None:
            overlap = _default_overlap(tile, window) if isinstance(tile, int) and tile else OVERLAP
        if not is_int(overlap) or overlap < 0:
            raise InputError(f"overlap must be a number of pixels, got {overlap!r}.")
        rounded = math.ceil(overlap / window) * window
        if tile != "auto" and 0 < tile <= rounded:
            raise InputError(f"overlap={overlap}, in multiples of the window, must be below tile={tile}.")
        return cls(tile=tile, overlap=rounded, window=window, scale=config.upscale, blend=blend, pad=pad, only=only)

    def padded(self, size: Shape) -> Shape:
        """Returns the size of an image after padding."""
        return padded_side(size[0], self.window, self.pad), padded_side(size[1], self.window, self.pad)

    def alone(self, size: Shape, limit: int | None = None) -> Shape:
        """Returns the tile of an image that does not share tiles with others.

        The tile fits the image: its sides are the shortest for the number of tiles. `pad="official"` has square tiles,
        as the official test script has.

        Args:
          size: size of the image before padding.
          limit: with `tile="auto"`, largest side that fits into memory; None if the whole image fits.

        Raises:
          InputError: if the image is too narrow for official tiles.
        """
        if self.only:
            return self.only
        padded = self.padded(size)
        side = limit if self.tile == "auto" else self.tile
        if not side:
            return padded
        if self.pad == "official":
            side = min(side, *padded)
            if side <= self.overlap and padded != (side, side):
                raise InputError(f"An image of {size[1]}x{size[0]} is too narrow for an overlap of {self.overlap}.")
            return side, side
        return self.balanced(padded[0], side), self.balanced(padded[1], side)

    def together(self, counts: Mapping[Shape, int], platform: str, limit: int = MAX_AUTO_TILE) -> dict[Shape, Shape]:
        """Returns tiles for many images that need little computation and few programs.

        One program for each size would spend most of the time on compiling, and one program for all sizes would run
        small images as large ones. So shapes are added greedily: each time the shape that saves the most pixels over
        all images, until the next one saves less than its compilation costs. No image runs in tiles of more than
        `MAX_WORK` times its own pixels if other tiles run fewer. Sides come from a ladder of four steps to the octave,
        so that another run finds the same programs in the compilation cache.

        Args:
          counts: number of images of each size before padding.
          platform: "cpu" or another one, which decides the cost of compiling.
          limit: with `tile="auto"`, largest side that fits into memory.

        Returns:
          The tile for each padded size. Empty if each image shall have its own tile: if few shapes are needed, for
          whole images (`tile=0`), and with `pad="official"`, whose tiles are those of the official test script.
        """
        if self.tile == 0 or self.pad == "official" or len({self.alone(size) for size in counts}) <= _MAX_ALONE:
            return {}
        padded: Counter[Shape] = Counter()
        for size, count in counts.items():
            padded[self.padded(size)] += count
        sizes = np.array(list(padded))
        largest = limit if self.tile == "auto" else self.tile
        sides = _ladder(self.window, largest)
        # Tiles that hardly overlap would be as small as a window, with a seam at each border, because none wastes less.
        cost = dataclasses.replace(self, overlap=max(self.overlap, _default_overlap(largest, self.window)))
        heights, widths = (cost._run_length(lengths[:, None], sides) for lengths in sizes.T)  # each [sizes, sides]
        pixels = (heights[:, :, None] * widths[:, None, :]).reshape(len(sizes), -1)  # [sizes, tiles]
        too_many = pixels > np.maximum(MAX_WORK * sizes.prod(axis=1), pixels.min(axis=1))[:, None]
        work = np.where(too_many, _FORBIDDEN, pixels) * np.array(list(padded.values()))[:, None]
        chosen = _choose(work, _CPU_PROGRAM_PIXELS if platform == "cpu" else _PROGRAM_PIXELS)
        best = [divmod(chosen[i], len(sides)) for i in work[:, chosen].argmin(axis=1)]
        return {size: (int(sides[i]), int(sides[j])) for size, (i, j) in zip(padded, best, strict=True)}

    def grid(self, padded: Shape, tile: Shape) -> Tiling:
        """Returns the grid of tiles over an image of a padded size, which may be smaller than a tile."""
        rows, cols = (
            tile_starts(max(length, side), side, self.overlap) for length, side in zip(padded, tile, strict=True)
        )
        return Tiling(rows=rows, cols=cols, tile=tile, overlap=self.overlap, scale=self.scale, blend=self.blend)

    def work(self, padded: Shape, tile: Shape) -> int:
        """Returns the number of pixels that the network runs for an image of a padded size."""
        return math.prod(
            int(self._run_length(np.array(length), np.array(side))) for length, side in zip(padded, tile, strict=True)
        )

    def smallest(self) -> int:
        """Returns the smallest side of overlapping tiles."""
        return self.overlap + self.window

    def balanced(self, length: int, side: int) -> int:
        """Returns the shortest side that needs as few tiles as `side` does."""
        if length <= side:
            return length
        gaps = math.ceil((length - self.overlap) / (side - self.overlap))
        return self.overlap + math.ceil((length - self.overlap) / gaps / self.window) * self.window

    def _run_length(self, length: np.ndarray, side: np.ndarray) -> np.ndarray:
        """Returns the pixels along one axis that tiles of `side` run for images of `length`; infinite if impossible."""
        step = side - self.overlap
        count = np.where(length <= side, 1, np.ceil((length - self.overlap) / np.maximum(step, 1)))
        possible = (length <= side) | (step > 0)
        return np.where(possible, count * side, np.inf)


def _default_overlap(tile: int, window: int) -> int:
    """Returns the overlap of tiles of a side, less than the usual one if they are small."""
    return min(OVERLAP, tile // 2 // window * window)


def _ladder(window: int, largest: int) -> np.ndarray:
    """Returns sides up to `largest`: 1 to 8 windows, then 10, 12, 14, 16, 20, 24 and so on."""
    windows, last = [1], largest // window
    while windows[-1] < last:
        windows.append(min(last, windows[-1] + 2 ** max(0, windows[-1].bit_length() - 3)))
    return np.array(windows) * window


def _choose(work: np.ndarray, price: float) -> list[int]:
    """Returns few columns of `work`, `[sizes, tiles]`, with a small sum of row minima plus `price` for each column."""
    chosen: list[int] = []
    best = np.full(len(work), 2 * work.max())
    while True:
        totals = np.minimum(best[:, None], work).sum(axis=0)
        shape = int(totals.argmin())
        covered = bool(chosen) and best.max() < _FORBIDDEN
        if covered and (len(chosen) >= MAX_PROGRAMS or best.sum() - totals[shape] <= price):
            break
        chosen.append(shape)
        best = np.minimum(best, work[:, shape])
    for shape in chosen[:-1]:  # later choices may have made an earlier one superfluous
        rest = [other for other in chosen if other != shape]
        if work[:, rest].min(axis=1).sum() - best.sum() <= price:
            chosen = rest
            best = work[:, rest].min(axis=1)
    return chosen
