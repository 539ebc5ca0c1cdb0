"""Images by number, alone, joined, and as they were at the start."""

import bisect
import dataclasses
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from swinir_jax.data.pairs import Size
from swinir_jax.errors import InputError

Sizes = tuple[Size, Size | None]  # of HQ and of LQ


class ImageSource(Protocol):
    """Images by number; some sources have an LQ image beside each."""

    def __len__(self) -> int:
        """How many there are."""

    def name(self, index: int) -> str:
        """What messages call an image."""

    def sizes(self, index: int) -> Sizes:
        """Height and width of HQ and of LQ, without decoding; InputError if they cannot be read."""

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray | None]:
        """HQ and LQ, each uint8 `[h, w]` or `[h, w, 3]` RGB; InputError if they cannot be read."""


class JoinedSource:
    """The images of several sources, one source after the other.

    Args:
      sources: at least one.
    """

    def __init__(self, sources: Sequence[ImageSource]):
        self._sources = sources
        self._starts = [0, *itertools.accumulate(map(len, sources))]

    def __len__(self) -> int:
        """How many there are in all."""
        return self._starts[-1]

    def name(self, index: int) -> str:
        """The source's own."""
        source, inside = self._find(index)
        return source.name(inside)

    def sizes(self, index: int) -> Sizes:
        """Height and width of HQ and of LQ."""
        source, inside = self._find(index)
        return source.sizes(inside)

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray | None]:
        """HQ and LQ, uint8."""
        source, inside = self._find(index)
        return source.read(inside)

    def _find(self, index: int) -> tuple[ImageSource, int]:
        number = bisect.bisect_right(self._starts, index) - 1
        return self._sources[number], index - self._starts[number]


class UsableImages:
    """Images that patches can be cut from, as they were at the start: one that has changed its size is not read.

    Args:
      source: the images.
      sizes: from `usable_images`.
    """

    def __init__(self, source: ImageSource, sizes: Mapping[int, Sizes]):
        self._source, self._sizes, self._numbers = source, sizes, [*sizes]

    def __len__(self) -> int:
        """How many there are."""
        return len(self._numbers)

    def name(self, index: int) -> str:
        """The source's own."""
        return self._source.name(self._numbers[index])

    def sizes(self, index: int) -> Sizes:
        """Height and width of HQ and of LQ."""
        return self._sizes[self._numbers[index]]

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray | None]:
        """HQ and LQ, uint8."""
        hq, lq = self._source.read(self._numbers[index])
        found = (hq.shape[:2], None if lq is None else lq.shape[:2])
        if found != self.sizes(index):
            raise InputError(f"{self.name(index)}: {_describe(found)}, at the start {_describe(self.sizes(index))}")
        return hq, lq


@dataclasses.dataclass(frozen=True)
class StoredImage:
    """An image that has no file of its own, where a path is taken, too.

    Attributes:
      source: that holds it.
      index: its number there.
      part: 0 for HQ, 1 for LQ.
    """

    source: ImageSource
    index: int
    part: int

    def __str__(self) -> str:
        """What messages call it."""
        return self.source.name(self.index)

    @property
    def stem(self) -> str:
        """A name for files that are made of it."""
        return re.sub(r"[^\w.-]+", "_", str(self))

    @property
    def sizes(self) -> Sizes:
        """Height and width of HQ and of LQ."""
        return self.source.sizes(self.index)

    def read(self) -> np.ndarray:
        """The image, uint8 `[h, w]` or `[h, w, 3]`; InputError if it cannot be read."""
        image = self.source.read(self.index)[self.part]
        if image is None:
            raise InputError(f"{self}: no longer there.")
        return image


def _describe(sizes: Sizes) -> str:
    (h, w), lq = sizes
    return f"{w}x{h}" + (f" with LQ of {lq[1]}x{lq[0]}" if lq else "")
