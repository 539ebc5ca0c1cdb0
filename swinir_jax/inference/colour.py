"""Images of one number of channels through a network of another."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from swinir_jax.colour import FULL_RANGE_LUMA
from swinir_jax.errors import InputError

_LUMA = np.array(FULL_RANGE_LUMA, np.float32)
_CHROMA_SCALE = np.array([1.772, 1.402], np.float32)  # (B - Y) and (R - Y) over Cb and Cr

Network = Callable[[np.ndarray], np.ndarray]  # [h, w, C] -> [h * scale, w * scale, C], both of the network's C


def resize(image: np.ndarray, scale: int) -> np.ndarray:
    """Enlarges `[h, w, C]` float32 by bicubic interpolation."""
    if scale == 1:
        return image
    h, w, channels = image.shape
    size = (w * scale, h * scale)
    planes = [Image.fromarray(image[..., i]).resize(size, Image.Resampling.BICUBIC) for i in range(channels)]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)


def gray_through_rgb(image: np.ndarray, network: Network, scale: int) -> np.ndarray:
    """`[h, w, 1]` through a network for RGB: as three equal channels, of whose results the luma is taken."""
    return network(np.repeat(image, 3, axis=-1)) @ _LUMA[:, None]


def rgb_through_gray(image: np.ndarray, network: Network, scale: int) -> np.ndarray:
    """`[h, w, 3]` through a network for gray: it restores the luma; the chroma is resized."""
    luma = image @ _LUMA[:, None]
    chroma = resize((image[..., [2, 0]] - luma) / _CHROMA_SCALE, scale)
    luma = network(luma)
    blue, red = np.moveaxis(luma + chroma * _CHROMA_SCALE, -1, 0)
    green = (luma[..., 0] - _LUMA[0] * red - _LUMA[2] * blue) / _LUMA[1]
    return np.stack([red, green, blue], axis=-1)


def _as_it_is(image: np.ndarray, network: Network, scale: int) -> np.ndarray:
    return network(image)


# By the channels of the image (without alpha) and of the network, where they differ.
_THROUGH = {(1, 3): gray_through_rgb, (3, 1): rgb_through_gray}


def through_network(image: np.ndarray, network: Network, channels: int, scale: int) -> np.ndarray:
    """Restores an image by a network for `channels` channels.

    Args:
      image: `[h, w, C]` float32.
      network: `[h, w, channels]` -> `[h * scale, w * scale, channels]`.
      channels: of the network.
      scale: HQ / LQ side ratio.

    Returns:
      `[h * scale, w * scale, C]` float32.

    Raises:
      InputError: if there is no way from C channels to the network's.
    """
    given = image.shape[-1]
    if given != channels and (given, channels) not in _THROUGH:
        raise InputError(f"This network restores images of {channels} channels, got one of {given}.")
    return _THROUGH.get((given, channels), _as_it_is)(image, network, scale)
