"""Noise that a picture shows, as far as it can be told from texture."""

import numpy as np

from swinir_jax.colour import FULL_RANGE_LUMA
from swinir_jax.images import Picture

NOISY_LEVEL = 4.5
"""`noise_level` above which noise is plain to see. docs/which_model.md has the levels of test pictures."""

_BLOCK = 8  # pixels
_CALMEST = 10  # per cent of the blocks
_EXTREMES = (16, 239)  # darker and brighter blocks are left out, because values beyond 0 and 255 were cut off
_LARGEST = 2048  # pixels of a side; of larger pictures, the middle is measured
_FEWEST = 16  # blocks


def noise_level(picture: Picture) -> float:
    """Estimates the noise of a picture's luma where the picture is calmest.

    The mask of Immerkær (1996), a difference of two Laplacians, takes smooth content away. The mean absolute answer in
    a block of 8x8 pixels gives the standard deviation of white noise, beside which texture and edges count as noise; so
    the tenth of the blocks with the least decides.

    Args:
      picture: picture of any kind; alpha does not count.

    Returns:
      Standard deviation in 0..255; 0 for a picture that is too small to tell.
    """
    height, width = picture.pixels.shape[:2]
    top, left = max(0, height - _LARGEST) // 2, max(0, width - _LARGEST) // 2
    pixels = picture.pixels[top : top + _LARGEST, left : left + _LARGEST].astype(np.float32)
    if picture.pixels.dtype == np.uint16:
        pixels /= 257
    luma = pixels @ np.array(FULL_RANGE_LUMA, np.float32) if pixels.ndim == 3 else pixels
    answer = np.abs(np.diff(np.diff(luma, n=2, axis=0), n=2, axis=1))
    by_block = _blocks(answer).mean(axis=(1, 3))
    brightness = _blocks(luma[1:-1, 1:-1]).mean(axis=(1, 3))
    levels = by_block[(brightness > _EXTREMES[0]) & (brightness < _EXTREMES[1])]
    if levels.size < _FEWEST:
        return 0.0
    return float(np.sqrt(np.pi / 2) / 6 * np.percentile(levels, _CALMEST))


def _blocks(values: np.ndarray) -> np.ndarray:
    """Divides `[h, w]` into `[rows, block, columns, block]`, without the rest at the bottom and the right."""
    rows, columns = (side // _BLOCK for side in values.shape)
    return values[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK)
