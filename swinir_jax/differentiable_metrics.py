"""Differentiable SSIM in JAX, for losses.

Agrees with `swinir_jax.metrics`, which measures 8-bit images in float64, up to float32 rounding.
"""

import functools
import operator

import jax
import jax.numpy as jnp

from swinir_jax import metrics
from swinir_jax.errors import InputError


def ssim(restored: jax.Array, hq: jax.Array) -> jax.Array:
    """Computes the structural similarity of each image like `swinir_jax.metrics.ssim`, averaged over channels.

    Args:
      restored: `[B, h, w, C]` float in [0, 1], sides of at least 11 pixels; half precision is converted to float32.
      hq: ground truth of the same shape.

    Returns:
      `[B]` similarities, at most 1; identical images have 1.

    Raises:
      InputError: if the shapes differ or are not `[B, h, w, C]`, a side is too short, or a dtype is not float.
    """
    restored, hq = _checked(restored, hq)
    h, w = restored.shape[1:3]
    if min(h, w) < metrics.SSIM_WINDOW_SIZE:
        raise InputError(f"SSIM needs sides of at least {metrics.SSIM_WINDOW_SIZE} pixels, got {h}x{w}.")
    c1, c2 = metrics.SSIM_K1**2, metrics.SSIM_K2**2
    # Variances are differences of nearly equal numbers; values around zero have the smallest float32 errors.
    x, y = restored - 0.5, hq - 0.5
    shifted_x, shifted_y = _filter_valid(x), _filter_valid(y)
    covariance = _filter_valid(x * y) - shifted_x * shifted_y
    variances = _filter_valid(x**2 + y**2) - (shifted_x**2 + shifted_y**2)
    mean_x, mean_y = shifted_x + 0.5, shifted_y + 0.5
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    similarity /= (mean_x**2 + mean_y**2 + c1) * (variances + c2)
    return jnp.mean(similarity, axis=(1, 2, 3))


def _checked(restored: jax.Array, hq: jax.Array) -> tuple[jax.Array, jax.Array]:
    restored, hq = jnp.asarray(restored), jnp.asarray(hq)
    if restored.shape != hq.shape or restored.ndim != 4:
        raise InputError(f"The images must share one shape [B, h, w, C]: restored {restored.shape}, hq {hq.shape}.")
    for name, image in (("restored", restored), ("hq", hq)):
        if not jnp.issubdtype(image.dtype, jnp.floating):
            raise InputError(f"{name} must be float in [0, 1], got {image.dtype}.")
    dtype = jnp.float64 if jnp.float64 in (restored.dtype, hq.dtype) else jnp.float32
    return restored.astype(dtype), hq.astype(dtype)


def _filter_valid(images: jax.Array) -> jax.Array:
    """Computes Gaussian means over whole windows: `[B, h, w, C]` to `[B, h - 10, w - 10, C]`.

    Sums of shifted images replace a convolution, because accelerators round the operands of convolutions too coarsely
    for variances.
    """
    window = metrics.gaussian_window().tolist()
    for axis in (1, 2):
        length = images.shape[axis] - len(window) + 1
        parts = [w * jax.lax.slice_in_dim(images, i, i + length, axis=axis) for i, w in enumerate(window)]
        images = functools.reduce(operator.add, parts)
    return images
