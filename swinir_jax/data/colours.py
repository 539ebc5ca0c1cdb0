"""Conversions of 8-bit images between gray and RGB, as in the paper's tests."""

import numpy as np

from swinir_jax.colour import FULL_RANGE_LUMA, rgb_to_y
from swinir_jax.data.degradations import to_uint8


def as_rgb(image: np.ndarray) -> np.ndarray:
    """Converts uint8 `[h, w]` or `[h, w, 3]` to RGB `[h, w, 3]`; gray becomes three equal channels, as in OpenCV."""
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=-1)


def opencv_gray(image: np.ndarray) -> np.ndarray:
    """Converts uint8 `[h, w]` or RGB `[h, w, 3]` to gray `[h, w]` in 0..255, as OpenCV's `cvtColor` does."""
    return image if image.ndim == 2 else to_uint8(image @ np.array(FULL_RANGE_LUMA))


def matlab_gray(image: np.ndarray) -> np.ndarray:
    """Converts uint8 RGB `[h, w, 3]` to MATLAB's Y `[h, w]`, rounded, in 16..235; leaves a gray image as it is."""
    return image if image.ndim == 2 else to_uint8(rgb_to_y(image))
