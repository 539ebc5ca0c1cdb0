"""Which tiles an image is cut into, by its size and the options; and those of many images, so that few are compiled."""

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np

from swinir_jax.config import SwinIRConfig
from swinir_jax.errors import InputError
from swinir_jax.inference.padding import Pad, padded_side
from swinir_jax.inference.tiling import Blend, Shape, Tiling, tile_starts

MAX_AUTO_TILE = 512  # larger tiles save little of the overlap
MAX_WORK = 4  # times the pixels of a padded image that a tile shared with other images may run
_OVERLAP = 32
MAX_PROGRAMS = 12  # that are compiled to save pixels; each takes memory, too
_MAX_ALONE = 3  # shapes that a run may compile before images share them
_PROGRAM_PIXELS = {"cpu": 2**16}  # that are run in about the time of compiling one program
_ACCELERATOR_PROGRAM_PIXELS = 2**22
_FORBIDDEN = 1e15  # pixels: more than any run has


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """How a Restorer pads images and cuts them into tiles; a pure function of sizes and options.

    All sides are in pixels of the input and multiples of the window.

    Attributes:
      tile: the largest side of a tile; 0 for whole images; "auto" for whole images where memory allows, else tiles.
      overlap: of neighbouring tiles.
      window: side of the network's windows.
      scale: HQ / LQ side ratio.
      blend: how overlaps are merged.
      pad: how images are padded.
      only: the one shape of tiles that the network takes; None for any.
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
        """The layout of a Restorer's options, which are described there.

        Raises:
          InputError: if they cannot be, or not together.
        """
        for name, value, allowed in (("blend", blend, get_args(Blend)), ("pad", pad, get_args(Pad))):
            if value not in allowed:
                raise InputError(f"{name} must be one of {allowed}, got {value!r}.")
        if tile != "auto" and not is_int(tile):
            raise InputError(f"tile must be a number of pixels or 'auto', got {tile!r}.")
        only = config.img_sides if config.ape else None
        if only:
            if tile not in ("auto", config.img_size):
                raise InputError(f"This network, with ape, takes tiles of {config.img_size} alone, not {tile}.")
            tile = min(only)
        window = config.window_size
        if tile != "auto":
            if tile < 0 or 0 < tile < window:
                raise InputError(f"tile={tile} is smaller than the window of {window} pixels.")
            tile = int(tile) // window * window
        if overlap is None:
            overlap = min(_OVERLAP, tile // 2 // window * window) if isinstance(tile, int) and tile else _OVERLAP
        if not is_int(overlap) or overlap < 0:
            raise InputError(f"overlap must be a number of pixels, got {overlap!r}.")
        rounded = math.ceil(overlap / window) * window
        if tile != "auto" and 0 < tile <= rounded:
            raise InputError(f"overlap={overlap}, in multiples of the window, must be below tile={tile}.")
        return cls(tile=tile, overlap=rounded, window=window, scale=config.upscale, blend=blend, pad=pad, only=only)

    def padded(self, size: Shape) -> Shape:
        """The size of an image after padding."""
        return padded_side(size[0], self.window, self.pad), padded_side(size[1], self.window, self.pad)

    def alone(self, size: Shape, limit: int = 0) -> Shape:
        """The tile of an image that shares none with others.

        A tile fits the image: a side of the tile is no longer than that of the image, and with `tile="auto"` no longer
        than it takes for the number of tiles. As the official script does, `pad="official"` has square tiles.

        Args:
          size: of the image, before padding.
          limit: with "auto", the largest side for the memory; 0 if the whole image fits.

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
        fit = self._balanced if self.tile == "auto" else min
        return fit(padded[0], side), fit(padded[1], side)

    def together(self, counts: Mapping[Shape, int], platform: str, limit: int = MAX_AUTO_TILE) -> dict[Shape, Shape]:
        """Tiles for many images, so that little is computed and little compiled.

        A program for each size would take most of the time of a folder of small images, and one for all sizes would run
        a small image as a large one. So a few shapes are chosen: again and again that one which saves most pixels over
        all images, until another saves less than it takes to compile. No image is run in tiles that take more than
        `MAX_WORK` times its pixels, if any take less. The sides come from a ladder, four to the octave: whoever keeps
        compiled programs finds them again in another run.

        Args:
          counts: how often images of each size will be restored.
          platform: "cpu" or another, for the time that compiling takes.
          limit: with `tile="auto"`, the largest side for the memory.

        Returns:
          The tile of each padded size; of none if each is to be restored as alone: where few shapes are needed even
          so, for whole images (`tile=0`), and with `pad="official"`, whose tiles are the script's.
        """
        if self.tile == 0 or self.pad == "official" or len({self.alone(size) for size in counts}) <= _MAX_ALONE:
            return {}
        often: Counter[Shape] = Counter()
        for size, count in counts.items():
            often[self.padded(size)] += count
        sizes = np.array(list(often))
        sides = _ladder(self.window, limit if self.tile == "auto" else self.tile)
        high, wide = (self._run_length(lengths[:, None], sides) for lengths in sizes.T)
        pixels = (high[:, :, None] * wide[:, None, :]).reshape(len(sizes), -1)
        too_many = pixels > np.maximum(MAX_WORK * sizes.prod(axis=1), pixels.min(axis=1))[:, None]
        work = np.where(too_many, _FORBIDDEN, pixels) * np.array(list(often.values()))[:, None]
        chosen = _choose(work, _PROGRAM_PIXELS.get(platform, _ACCELERATOR_PROGRAM_PIXELS))
        best = [chosen[i] for i in work[:, chosen].argmin(axis=1)]
        return {
            size: (int(sides[i // len(sides)]), int(sides[i % len(sides)])) for size, i in zip(often, best, strict=True)
        }

    def grid(self, padded: Shape, tile: Shape) -> Tiling:
        """Tiles over an image of a padded size; a tile may be larger."""
        rows, cols = (
            tile_starts(max(length, side), side, self.overlap) for length, side in zip(padded, tile, strict=True)
        )
        return Tiling(rows=rows, cols=cols, tile=tile, overlap=self.overlap, scale=self.scale, blend=self.blend)

    def work(self, padded: Shape, tile: Shape) -> int:
        """Pixels that the network runs for an image of a padded size."""
        return math.prod(
            int(self._run_length(np.array(length), np.array(side))) for length, side in zip(padded, tile, strict=True)
        )

    def smallest(self) -> int:
        """The smallest side of tiles that overlap."""
        return self.overlap + self.window

    def _balanced(self, length: int, side: int) -> int:
        """The shortest side of tiles that are as few as those of `side`."""
        if length <= side:
            return length
        gaps = math.ceil((length - self.overlap) / (side - self.overlap))
        return self.overlap + math.ceil((length - self.overlap) / gaps / self.window) * self.window

    def _run_length(self, length: np.ndarray, side: np.ndarray) -> np.ndarray:
        """Pixels along one axis that tiles of `side` run for images of `length`; infinite if they cannot."""
        step = side - self.overlap
        count = np.where(length <= side, 1, np.ceil((length - self.overlap) / np.maximum(step, 1)))
        possible = (length <= side) | (step > 0)
        if self.tile not in ("auto", 0):  # a tile that was asked for is smaller only where the image is
            possible &= (side == self.tile) | (length < self.tile)
        return np.where(possible, count * side, np.inf)


def is_int(value: Any) -> bool:
    """Whether a value is an integer; True and False are none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _ladder(window: int, largest: int) -> np.ndarray:
    """Sides up to `largest`: 1 to 8 windows, then 10, 12, 14, 16, 20, 24 and so on."""
    windows, last = [1], largest // window
    while windows[-1] < last:
        windows.append(min(last, windows[-1] + 2 ** max(0, windows[-1].bit_length() - 3)))
    return np.array(windows) * window


def _choose(work: np.ndarray, price: float) -> list[int]:
    """Few columns of `[images, shapes]` for a small sum of each row's least, with a price on each column."""
    chosen: list[int] = []
    best = np.full(len(work), 2 * work.max())
    while True:
        totals = np.minimum(best[:, None], work).sum(axis=0)
        shape = int(totals.argmin())
        covered = best.max() < _FORBIDDEN
        if covered and (len(chosen) >= MAX_PROGRAMS or best.sum() - totals[shape] <= price):
            break
        chosen.append(shape)
        best = np.minimum(best, work[:, shape])
    for shape in chosen[:-1]:  # one that those chosen after it have made superfluous
        rest = [other for other in chosen if other != shape]
        if work[:, rest].min(axis=1).sum() - best.sum() <= price:
            chosen = rest
            best = work[:, rest].min(axis=1)
    return chosen
