"""Luma of RGB images by ITU-R BT.601."""

import numpy as np

from swinir_jax.errors import InputError

FULL_RANGE_LUMA = (0.299, 0.587, 0.114)  # weights of R, G and B for luma in 0..255, as in JPEG files and OpenCV

# MATLAB's weights, for RGB in [0, 1], and offset: luma in 16..235.
_Y_FROM_RGB = (65.481, 128.553, 24.966)
_Y_OFFSET = 16.0


def rgb_to_y(image: np.ndarray) -> np.ndarray:
    """Computes the luma of an RGB image as MATLAB's `rgb2ycbcr` does, without rounding.

    Args:
      image: `[h, w, 3]` RGB; uint8, or float on the 0..255 scale.

    Returns:
      `[h, w]` float64 in 16..235.

    Raises:
      InputError: if the shape or the dtype does not fit, or a value is not finite.
    """
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3:
        raise InputError(f"Y needs an RGB image of shape [h, w, 3], got {image.shape}.")
    check_samples(image, "image")
    return image.astype(np.float64) @ (np.array(_Y_FROM_RGB) / 255) + _Y_OFFSET


def check_samples(image: np.ndarray, name: str) -> None:
    """Raises InputError, which calls the image `name`, if it is not uint8 or finite float."""
    if image.dtype != np.uint8 and not np.issubdtype(image.dtype, np.floating):
        raise InputError(f"{name} must be uint8, or float on the 0..255 scale, got {image.dtype}.")
    if not np.isfinite(image).all():
        raise InputError(f"{name} has values that are not finite.")
