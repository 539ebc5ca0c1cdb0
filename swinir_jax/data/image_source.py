"""Numbered collections of images."""

import bisect
import dataclasses
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from swinir_jax.data.pairs import Size
from swinir_jax.errors import InputError

Sizes = tuple[Size, Size | None]  # HQ size, LQ size


class ImageSource(Protocol):
    """Numbered collection of HQ images, with or without LQ images."""

    def __len__(self) -> int:
        """Returns the number of images."""

    def name(self, index: int) -> str:
        """Returns the name of an image for messages."""

    def sizes(self, index: int) -> Sizes:
        """Returns (height, width) of HQ and LQ from headers; raises InputError if they cannot be read."""

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns HQ and LQ, uint8 `[h, w]` or `[h, w, 3]` RGB; raises InputError if they cannot be read."""


class JoinedSource:
    """Concatenation of several sources.

    Args:
      sources: at least one source.
    """

    def __init__(self, sources: Sequence[ImageSource]):
        self._sources = sources
        self._starts = [0, *itertools.accumulate(map(len, sources))]

    def __len__(self) -> int:
        """Returns the number of images in all sources."""
        return self._starts[-1]

    def name(self, index: int) -> str:
        """Returns the name of an image for messages."""
        source, source_index = self._find(index)
        return source.name(source_index)

    def sizes(self, index: int) -> Sizes:
        """Returns (height, width) of HQ and LQ."""
        source, source_index = self._find(index)
        return source.sizes(source_index)

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns HQ and LQ, uint8."""
        source, source_index = self._find(index)
        return source.read(source_index)

    def _find(self, index: int) -> tuple[ImageSource, int]:
        number = bisect.bisect_right(self._starts, index) - 1
        return self._sources[number], index - self._starts[number]


class UsableImages:
    """Subset of a source; an image whose size has changed since the start of the run counts as unreadable.

    Args:
      source: all images.
      sizes: sizes by index in the source, from `usable_images`.
    """

    def __init__(self, source: ImageSource, sizes: Mapping[int, Sizes]):
        self._source, self._sizes, self._indices = source, sizes, [*sizes]

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self._indices)

    def name(self, index: int) -> str:
        """Returns the name of an image for messages."""
        return self._source.name(self._indices[index])

    def sizes(self, index: int) -> Sizes:
        """Returns (height, width) of HQ and LQ."""
        return self._sizes[self._indices[index]]

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns HQ and LQ, uint8; raises InputError if they cannot be read or their sizes have changed."""
        hq, lq = self._source.read(self._indices[index])
        sizes = (hq.shape[:2], None if lq is None else lq.shape[:2])
        if sizes != self.sizes(index):
            raise InputError(f"{self.name(index)}: {_describe(sizes)}, at the start {_describe(self.sizes(index))}")
        return hq, lq


@dataclasses.dataclass(frozen=True)
class StoredImage:
    """Image without a file of its own, for code that also accepts paths.

    Attributes:
      source: source that contains the image.
      index: index of the image in the source.
      part: 0 for HQ, 1 for LQ.
    """

    source: ImageSource
    index: int
    part: int

    def __str__(self) -> str:
        """Returns the name of the image for messages."""
        return self.source.name(self.index)

    @property
    def stem(self) -> str:
        """Name of the image for files made from it."""
        return re.sub(r"[^\w.-]+", "_", str(self))

    @property
    def sizes(self) -> Sizes:
        """(height, width) of HQ and LQ."""
        return self.source.sizes(self.index)

    def read(self) -> np.ndarray:
        """Returns the image, uint8 `[h, w]` or `[h, w, 3]`; raises InputError if it cannot be read."""
        image = self.source.read(self.index)[self.part]
        if image is None:
            raise InputError(f"{self}: no longer there.")
        return image


def _describe(sizes: Sizes) -> str:
    (h, w), lq = sizes
    return f"{w}x{h}" + (f" with LQ of {lq[1]}x{lq[0]}" if lq else "")
