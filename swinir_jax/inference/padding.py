"""Padding by mirroring, on the host."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Literal

import numpy as np

Pad = Literal["reflect", "minimal", "official"]

MARGIN = 8
"""Pixels that "reflect" puts around an image.

Convolutions see zeros beyond what they are given, which leaves a rim around a flat saturated colour. In the bundled
networks the rim is off by up to 66 of 255 levels; behind 4 mirrored pixels by 6, behind 8 by 3, behind 16 by 2.
"""


@dataclasses.dataclass(frozen=True)
class _Way:
    """One way of padding: pixels before an image, pixels added at least, and whether the edge's pixel comes twice."""

    before: int
    least: int
    repeats_edge: bool


_WAYS: Mapping[Pad, _Way] = {
    "reflect": _Way(MARGIN, 2 * MARGIN, repeats_edge=False),
    "minimal": _Way(0, 0, repeats_edge=False),
    "official": _Way(0, 1, repeats_edge=True),
}


def padded_side(side: int, window_size: int, pad: Pad) -> int:
    """Length of a side after padding, in pixels.

    Args:
      side: before, in pixels.
      window_size: the length will be a multiple of it.
      pad: "reflect" adds a margin at both ends; "minimal" stays at a multiple; "official" goes to the next one even
        then, as the official test script.
    """
    return math.ceil((side + _WAYS[pad].least) / window_size) * window_size


def first_pixel(pad: Pad) -> int:
    """Where an image begins in the padded one, along each side."""
    return _WAYS[pad].before


def mirrored(side: int, length: int, pad: Pad) -> np.ndarray:
    """Which pixel stands at each place of a padded side, mirroring as often as it takes.

    Args:
      side: before padding, in pixels.
      length: after padding, in pixels.
      pad: the way of padding.

    Returns:
      `[length]` integers in [0, side).
    """
    way = _WAYS[pad]
    period = max(1, 2 * (side - 1 + way.repeats_edge))
    place = (np.arange(length) - way.before) % period
    return np.minimum(place, period - way.repeats_edge - place)


def pad_image(image: np.ndarray, height: int, width: int, pad: Pad) -> np.ndarray:
    """Pads `[h, w, C]` to `[height, width, C]`: the margin at the top and the left, the rest at the other ends."""
    h, w, _ = image.shape
    return image.take(mirrored(h, height, pad), axis=0).take(mirrored(w, width, pad), axis=1)


def cut(restored: np.ndarray, size: tuple[int, int], scale: int, pad: Pad) -> np.ndarray:
    """What `pad_image` put around an image of (h, w) off `[>= h * scale, >= w * scale, C]`."""
    first = first_pixel(pad) * scale
    return restored[first : first + size[0] * scale, first : first + size[1] * scale]
