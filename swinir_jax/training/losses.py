"""Training losses by name."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from swinir_jax.differentiable_metrics import ssim
from swinir_jax.training.experiment import LossConfig


def _l1(restored: jax.Array, hq: jax.Array, config: LossConfig) -> jax.Array:
    return jnp.mean(jnp.abs(restored - hq))


def _l2(restored: jax.Array, hq: jax.Array, config: LossConfig) -> jax.Array:
    return jnp.mean(jnp.square(restored - hq))


def _charbonnier(restored: jax.Array, hq: jax.Array, config: LossConfig) -> jax.Array:
    return jnp.mean(jnp.sqrt(jnp.square(restored - hq) + config.eps))


def _l1_ssim(restored: jax.Array, hq: jax.Array, config: LossConfig) -> jax.Array:
    dissimilarity = 1 - jnp.mean(ssim(restored, hq))
    return (1 - config.ssim_weight) * _l1(restored, hq, config) + config.ssim_weight * dissimilarity


_LOSSES: Mapping[str, Callable[[jax.Array, jax.Array, LossConfig], jax.Array]] = {
    "l1": _l1,
    "l2": _l2,
    "charbonnier": _charbonnier,
    "l1_ssim": _l1_ssim,
}


def pixel_loss(config: LossConfig, restored: jax.Array, hq: jax.Array) -> jax.Array:
    """Computes the loss of the pixels, a scalar, without its weight.

    Args:
      config: name and parameters of the loss.
      restored: `[B, h, w, C]` about [0, 1], float32 or float64.
      hq: ground truth of the same shape and dtype.

    Raises:
      InputError: if a side has fewer than 11 pixels, for the loss "l1_ssim".
    """
    return _LOSSES[config.name](restored, hq, config)
