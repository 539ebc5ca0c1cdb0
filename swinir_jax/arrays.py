"""Checks of the arrays that a network is called with, before any of its arithmetic."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from swinir_jax.errors import InputError

_MOST_CHANNELS = 4  # RGB and alpha
_NOISY_RANGE = (-1.0, 2.0)  # of nearly all values of an image in [0, 1] under strong noise
_OUTLIERS = 0.01  # largest share of values outside
_SIGNED_RANGE = (-1.1, 1.1)  # of all values of an image in [-1, 1], also of a network's answer
_DARK, _DARK_SHARE = -0.5, 0.02  # more values of black under noise of sigma 50 are not as low


def as_batch(lq: Any, channels: int) -> jax.Array | np.ndarray:
    """Returns a batch of images as an array; values are checked where that does not wait for a device.

    Args:
      lq: array of JAX, or what NumPy makes an array of; `[B, h, w, channels]`, floating.
      channels: channels of the network.

    Raises:
      InputError: as `check_batch`, and as `check_values` for all but JAX's arrays.
    """
    try:
        batch = lq if isinstance(lq, jax.Array) else np.asarray(lq)
    except ValueError as error:
        raise InputError(f"Not a batch of images: {error}") from error
    check_batch(batch, channels)
    if isinstance(batch, np.ndarray):
        check_values(batch)
        # JAX would take other byte orders for native ones without a word, and has no floats of more than 64 bits.
        dtype = np.float64 if batch.dtype.itemsize > 8 else batch.dtype.newbyteorder("=")
        batch = batch.astype(dtype, copy=False)
    return batch


def check_batch(lq: Any, channels: int) -> None:
    """Refuses what is not a batch of images, by type and shape alone, so that tracers are checked too.

    Args:
      lq: array of `[B, h, w, channels]`, floating.
      channels: channels of the network.

    Raises:
      InputError: if `lq` is no array, has another layout or dtype or is empty; the message says how to mend it.
    """
    if not isinstance(lq, jax.Array | np.ndarray):
        raise InputError(f"A network takes an array [B, h, w, {channels}], got {type(lq).__name__}; np.asarray(...).")
    if lq.ndim != 4 or lq.shape[-1] != channels:
        raise InputError(
            f"A network takes [B, h, w, {channels}] images, got an array of shape {lq.shape}"
            f"{_mended(lq.shape, channels)}."
        )
    if not jnp.issubdtype(lq.dtype, jnp.floating):
        raise InputError(f"A network takes floats in [0, 1], got {lq.dtype}; divide 8-bit images by 255.")
    if 0 in lq.shape:
        raise InputError(f"A network takes at least one pixel, got an array of shape {lq.shape}.")


def _mended(shape: Sequence[int], channels: int) -> str:
    """Returns the end of a message on a batch of another layout; empty if nothing is likely."""
    if len(shape) == 4 and shape[1] == channels:
        return "; channels come last: x.transpose(0, 2, 3, 1)"
    if len(shape) == 3 and shape[-1] == channels:
        return "; a batch of one is x[None]"
    if len(shape) == 3 and shape[0] == channels:
        return "; channels come last, and a batch of one is x.transpose(1, 2, 0)[None]"
    return ""


def check_image(image: np.ndarray, channels: int) -> None:
    """Refuses an array that is not one image, `[h, w]` or `[h, w, C]`.

    Args:
      image: any array.
      channels: channels of the network, which an image of few rows may have as its last axis.

    Raises:
      InputError: if the array has other axes or is empty; the message says how to mend it.
    """
    shape = image.shape
    hint = ""
    if image.ndim == 4:
        hint = "; for batches, call swinir_jax.fast_apply(model, params)"
    elif image.ndim == 3 and shape[0] <= _MOST_CHANNELS < shape[-1] != channels:
        hint = "; channels come last: image.transpose(1, 2, 0)"
    if image.ndim not in (2, 3) or 0 in shape or hint:
        raise InputError(f"An image is [h, w] or [h, w, C], got an array of shape {shape}{hint}.")


def check_values(images: np.ndarray) -> None:
    """Refuses floats that are not finite or so often far from [0, 1] that they have another scale; noise may leave it.

    Args:
      images: floats of any shape.

    Raises:
      InputError: if the values cannot be those of images in [0, 1]; the message says how to scale them.
    """
    low, high = float(images.min()), float(images.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise InputError("The image has values that are not finite.")
    least, greatest = _NOISY_RANGE
    if (low < least or high > greatest) and np.mean((images < least) | (images > greatest)) > _OUTLIERS:
        raise InputError(
            f"Float images are in [0, 1], this one has values from {low:g} to {high:g}; divide an image in 0..255 by "
            "255, or pass uint8."
        )
    least, greatest = _SIGNED_RANGE
    if least <= low < _DARK and high <= greatest and np.mean(images < _DARK) > _DARK_SHARE:
        raise InputError(
            f"Float images are in [0, 1], this one has values from {low:g} to {high:g} and looks like [-1, 1]; pass "
            "(image + 1) / 2."
        )
