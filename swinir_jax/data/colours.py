"""Gray and RGB of 8-bit files as the paper's tests take them, each from a file of either kind."""

import numpy as np

from swinir_jax.colour import FULL_RANGE_LUMA, rgb_to_y
from swinir_jax.data.degradations import to_uint8


def as_rgb(image: np.ndarray) -> np.ndarray:
    """RGB, uint8 `[h, w, 3]`: of a gray image `[h, w]` three equal channels, as OpenCV reads its file in colour."""
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=-1)


def opencv_gray(image: np.ndarray) -> np.ndarray:
    """Gray, uint8 `[h, w]` in 0..255: of RGB `[h, w, 3]` what OpenCV reads of its file in gray."""
    return image if image.ndim == 2 else to_uint8(image @ np.array(FULL_RANGE_LUMA))


def matlab_gray(image: np.ndarray) -> np.ndarray:
    """Gray, uint8 `[h, w]`: of RGB `[h, w, 3]` MATLAB's Y, rounded, in 16..235; a gray image stays in 0..255."""
    return image if image.ndim == 2 else to_uint8(rgb_to_y(image))
