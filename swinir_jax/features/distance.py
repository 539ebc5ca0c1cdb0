"""Distances between images by the features of a pretrained network: a loss for training, a measure for evaluation."""

from typing import Any

import jax
import jax.numpy as jnp

from swinir_jax.features.network import Params
from swinir_jax.features.zoo import feature_network

_EPSILON = 1e-10  # added to the squared norms of features, which may be 0


def perceptual_losses(
    name: str,
    params: Params,
    restored: jax.Array,
    hq: jax.Array,
    key: jax.Array | None = None,
    dtype: Any = jnp.float32,
) -> tuple[jax.Array, ...]:
    """Computes the weighted L1 distance of each feature; the perceptual loss is their sum.

    Args:
      name: name in `FEATURE_NETWORKS`.
      params: parameters from `load_features`.
      restored: `[B, H, W, 3]` RGB, about [0, 1]; sides of 32 are enough for all networks.
      hq: truth of the same shape; no gradient reaches it.
      key: random key; both images are then shifted alike by less than `phases` pixels, so that no grid of strided
        layers shows in the gradient's mean.
      dtype: dtype of the products.

    Returns:
      Scalars, means over the batch.

    Raises:
      InputError: if there is no network of that name.
    """
    network = feature_network(name)
    hq = jax.lax.stop_gradient(hq)
    if key is not None and network.phases > 1:
        restored, hq = _shifted(restored, hq, network.phases, key)
    pairs = zip(network.apply(params, restored, dtype), network.apply(params, hq, dtype), strict=True)
    return tuple(w * jnp.mean(jnp.abs(ours - theirs)) for w, (ours, theirs) in zip(network.weights, pairs, strict=True))


def perceptual_loss(
    name: str,
    params: Params,
    restored: jax.Array,
    hq: jax.Array,
    key: jax.Array | None = None,
    dtype: Any = jnp.float32,
) -> jax.Array:
    """Computes the perceptual loss, the sum of `perceptual_losses`; for VGG19 it is KAIR's."""
    return jnp.stack(perceptual_losses(name, params, restored, hq, key, dtype)).sum()


def perceptual_distance(name: str, params: Params, a: jax.Array, b: jax.Array, dtype: Any = jnp.float32) -> jax.Array:
    """Computes the distance between images of LPIPS (Zhang et al. 2018), with equal weights of all channels.

    Features are scaled to length 1 over the channels; their squared differences are summed over channels and layers and
    averaged over pixels.

    Args:
      name: name in `FEATURE_NETWORKS`.
      params: parameters from `load_features`.
      a: `[B, H, W, 3]` RGB in [0, 1]; sides of 32 are enough for all networks.
      b: images of the same shape.
      dtype: dtype of the products.

    Returns:
      A scalar, the mean over the batch: 0 for equal images, at most 4 for each layer.

    Raises:
      InputError: if there is no network of that name.
    """
    network = feature_network(name)
    pairs = zip(network.apply(params, a, dtype), network.apply(params, b, dtype), strict=True)
    return jnp.stack([jnp.mean(jnp.sum(jnp.square(_unit(x) - _unit(y)), axis=-1)) for x, y in pairs]).sum()


def _unit(features: jax.Array) -> jax.Array:
    return features * jax.lax.rsqrt(jnp.sum(jnp.square(features), axis=-1, keepdims=True) + _EPSILON)


def _shifted(a: jax.Array, b: jax.Array, phases: int, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Cuts both images at the same random place, `phases` - 1 pixels smaller on both sides."""
    size = (a.shape[0], a.shape[1] - phases + 1, a.shape[2] - phases + 1, a.shape[3])
    y, x = jax.random.randint(key, (2,), 0, phases)
    return tuple(jax.lax.dynamic_slice(image, (0, y, x, 0), size) for image in (a, b))  # type: ignore[return-value]
