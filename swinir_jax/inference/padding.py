"""Padding by mirroring, on the host."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Literal

import numpy as np

Pad = Literal["reflect", "minimal", "official"]

MARGIN = 8
"""Mirrored pixels that "reflect" puts around an image.

Convolutions see zeros outside of the image, which leaves a rim around flat saturated colours. In the bundled networks
the rim is off by up to 66 of 255 levels; after 4 mirrored pixels by 6, after 8 by 3, after 16 by 2.
"""


@dataclasses.dataclass(frozen=True)
class _Padding:
    """Padding of a side: pixels before the image, least pixels in all, and whether the mirror repeats the edge."""

    before: int
    least: int
    repeats_edge: bool


_PADDINGS: Mapping[Pad, _Padding] = {
    "reflect": _Padding(MARGIN, 2 * MARGIN, repeats_edge=False),
    "minimal": _Padding(0, 0, repeats_edge=False),
    "official": _Padding(0, 1, repeats_edge=True),
}


def padded_side(side: int, window_size: int, pad: Pad) -> int:
    """Returns the length of a side after padding, in pixels.

    Args:
      side: length before padding, in pixels.
      window_size: divisor of the padded length.
      pad: "reflect" adds a margin at both ends; "minimal" adds nothing to a multiple of `window_size`; "official" adds
        a whole window to a multiple, as the official test script does.
    """
    return math.ceil((side + _PADDINGS[pad].least) / window_size) * window_size


def first_pixel(pad: Pad) -> int:
    """Returns the first pixel of the image within the padded one, along each side."""
    return _PADDINGS[pad].before


def mirrored(side: int, length: int, pad: Pad) -> np.ndarray:
    """Returns the pixel at each position of a padded side; short sides are mirrored repeatedly.

    Args:
      side: length before padding, in pixels.
      length: length after padding, in pixels.
      pad: kind of padding.

    Returns:
      `[length]` integers in [0, side).
    """
    padding = _PADDINGS[pad]
    period = max(1, 2 * (side - 1 + padding.repeats_edge))
    position = (np.arange(length) - padding.before) % period
    return np.minimum(position, period - padding.repeats_edge - position)


def pad_image(image: np.ndarray, height: int, width: int, pad: Pad) -> np.ndarray:
    """Pads `[h, w, C]` to `[height, width, C]`: a margin at the top and the left, the rest at the bottom and right."""
    h, w, _ = image.shape
    return image.take(mirrored(h, height, pad), axis=0).take(mirrored(w, width, pad), axis=1)


def cut(restored: np.ndarray, size: tuple[int, int], scale: int, pad: Pad) -> np.ndarray:
    """Cuts the restored image out of the padded one.

    Args:
      restored: `[>= h * scale, >= w * scale, C]`, the result for an image from `pad_image`.
      size: (h, w) of the image before padding.
      scale: HQ / LQ side ratio.
      pad: kind of padding.

    Returns:
      `[h * scale, w * scale, C]`.
    """
    first = first_pixel(pad) * scale
    return restored[first : first + size[0] * scale, first : first + size[1] * scale]
