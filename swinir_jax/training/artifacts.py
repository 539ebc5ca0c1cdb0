"""The map of artefacts of LDL (Liang, Zeng and Zhang, CVPR 2022, arXiv 2203.09195)."""

import jax
import jax.numpy as jnp
from jax import lax

_WINDOW = 7  # side of the neighbourhood whose variance tells artefacts from smooth errors


def artifact_map(restored: jax.Array, averaged: jax.Array, hq: jax.Array) -> jax.Array:
    """Weighs pixels by the likelihood of an artefact.

    The weight is the variance of the residual around a pixel, scaled by the residual's variance in the whole image; 0
    where the moving average of the network is farther from the truth than the network.

    Args:
      restored: `[B, H, W, C]` output of the network, about [0, 1]; sides are at least 4.
      averaged: output of the moving average of the network.
      hq: truth.

    Returns:
      `[B, H, W, 1]` weights from 0 on; no gradient passes through them.
    """
    residual, averaged_residual = (
        jnp.sum(jnp.abs(hq - lax.stop_gradient(image)), -1, keepdims=True) for image in (restored, averaged)
    )
    image_weight = jnp.var(residual, axis=(1, 2, 3), keepdims=True, ddof=1) ** (1 / 5)
    weight = image_weight * _local_variance(residual)
    return jnp.where(residual < averaged_residual, jnp.zeros((), weight.dtype), weight)


def _local_variance(x: jax.Array) -> jax.Array:
    """Returns the unbiased variance in the window around each pixel of `[B, H, W, 1]`; borders are mirrored."""
    margin, pixels = _WINDOW // 2, _WINDOW**2
    padded = jnp.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)), mode="reflect")

    def window_sum(values: jax.Array) -> jax.Array:
        window = (1, _WINDOW, _WINDOW, 1)
        return lax.reduce_window(values, jnp.zeros((), values.dtype), lax.add, window, (1, 1, 1, 1), "VALID")

    mean = window_sum(padded) / pixels
    return jnp.maximum(window_sum(padded * padded) / pixels - mean * mean, 0) * (pixels / (pixels - 1))
