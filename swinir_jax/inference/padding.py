"""Padding by mirroring, on the host."""

from collections.abc import Mapping
from typing import Literal

import numpy as np

Pad = Literal["minimal", "official"]

# np.pad's name for each way: the network's own forward does not repeat the edge pixel, the official test script does.
_MODES: Mapping[Pad, Literal["reflect", "symmetric"]] = {"minimal": "reflect", "official": "symmetric"}


def padded_side(side: int, window_size: int, pad: Pad) -> int:
    """Length of a side after padding, in pixels.

    Args:
      side: before, in pixels.
      window_size: the length will be a multiple of it.
      pad: "minimal" stays at a multiple; "official" goes to the next one even then, as the official test script.
    """
    return (side + window_size - 1 if pad == "minimal" else side + window_size) // window_size * window_size


def pad_image(image: np.ndarray, height: int, width: int, pad: Pad) -> np.ndarray:
    """Pads `[h, w, C]` at the bottom and the right to `[height, width, C]`, mirroring as often as it takes."""
    h, w, _ = image.shape
    return np.pad(image, ((0, height - h), (0, width - w), (0, 0)), mode=_MODES[pad])
