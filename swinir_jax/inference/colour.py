"""Restoration of gray images by RGB networks and of RGB images by gray networks."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from swinir_jax.colour import FULL_RANGE_LUMA
from swinir_jax.errors import InputError

_LUMA = np.array(FULL_RANGE_LUMA, np.float32)
_CHROMA_SCALE = np.array([1.772, 1.402], np.float32)  # (B - Y) and (R - Y) over Cb and Cr

RunImage = Callable[[np.ndarray], np.ndarray]
"""`[h, w, C] -> [h * scale, w * scale, C]`, of the network's C."""


def resize(image: np.ndarray, scale: int) -> np.ndarray:
    """Enlarges `[h, w, C]` float32 by bicubic interpolation."""
    if scale == 1:
        return image
    h, w, channels = image.shape
    size = (w * scale, h * scale)
    planes = [Image.fromarray(image[..., i]).resize(size, Image.Resampling.BICUBIC) for i in range(channels)]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)


def gray_through_rgb(image: np.ndarray, network: RunImage, scale: int) -> np.ndarray:
    """Restores `[h, w, 1]` as three equal channels by an RGB network, and takes the luma of the result."""
    return network(np.repeat(image, 3, axis=-1)) @ _LUMA[:, None]


def rgb_through_gray(image: np.ndarray, network: RunImage, scale: int) -> np.ndarray:
    """Restores the luma of `[h, w, 3]` by a gray network, and resizes the chroma."""
    luma = image @ _LUMA[:, None]
    chroma = resize((image[..., [2, 0]] - luma) / _CHROMA_SCALE, scale)
    luma = network(luma)
    blue, red = np.moveaxis(luma + chroma * _CHROMA_SCALE, -1, 0)
    green = (luma[..., 0] - _LUMA[0] * red - _LUMA[2] * blue) / _LUMA[1]
    return np.stack([red, green, blue], axis=-1)


def _unchanged(image: np.ndarray, network: RunImage, scale: int) -> np.ndarray:
    return network(image)


# By channels of the image (without alpha) and of the network: the function, and the note for the user.
_THROUGH = {(1, 3): gray_through_rgb, (3, 1): rgb_through_gray}
CHANNEL_NOTES = {
    (1, 3): "gray, restored as three equal channels by an RGB network",
    (3, 1): "colour through a gray network: the luma was restored, the chroma resized",
}


def through_network(image: np.ndarray, network: RunImage, channels: int, scale: int) -> np.ndarray:
    """Restores an image by a network of another or the same number of channels.

    Args:
      image: `[h, w, C]` float32.
      network: `[h, w, channels]` -> `[h * scale, w * scale, channels]`.
      channels: channels of the network.
      scale: HQ / LQ side ratio.

    Returns:
      `[h * scale, w * scale, C]` float32.

    Raises:
      InputError: if the network cannot restore images of C channels.
    """
    given = image.shape[-1]
    if given != channels and (given, channels) not in _THROUGH:
        raise InputError(f"This network restores images of {channels} channels, got an image of {given}.")
    return _THROUGH.get((given, channels), _unchanged)(image, network, scale)
