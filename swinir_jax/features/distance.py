"""Distances between images by the features of a pretrained network: a loss for training, a measure for evaluation."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from swinir_jax.errors import InputError
from swinir_jax.features.network import FeatureNetwork, Params
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
      restored: `[B, H, W, 3]` RGB, about [0, 1].
      hq: truth of the same shape; no gradient reaches it.
      key: random key; both images are cut alike by less than `phases` pixels, so that the grid of strided layers
        averages out of the gradients. None cuts nothing.
      dtype: dtype of the products.

    Returns:
      Scalars, means over the batch.

    Raises:
      InputError: if there is no network of that name, the shapes differ or are others, or a side is shorter than the
        network's `least_side`.
    """
    network, hq = feature_network(name), jax.lax.stop_gradient(hq)
    pairs = _feature_pairs(network, params, restored, hq, key, dtype)
    return tuple(w * jnp.mean(jnp.abs(x - y)) for w, (x, y) in zip(network.weights, pairs, strict=True))


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


def perceptual_distance(name: str, params: Params, a: jax.Array, b: jax.Array) -> jax.Array:
    """Computes the distance between images of LPIPS (Zhang et al. 2018), with equal weights of all channels.

    Features are scaled to length 1 over the channels; their squared differences are summed over channels and layers and
    averaged over pixels.

    Args:
      name: name in `FEATURE_NETWORKS`.
      params: parameters from `load_features`.
      a: `[B, H, W, 3]` RGB in [0, 1].
      b: images of the same shape.

    Returns:
      A scalar, the mean over the batch: 0 for equal images, at most 4 for each feature.

    Raises:
      InputError: if there is no network of that name, the shapes differ or are others, or a side is shorter than the
        network's `least_side`.
    """
    pairs = _feature_pairs(feature_network(name), params, a, b, None, jnp.float32)
    return jnp.stack([jnp.mean(jnp.sum(jnp.square(_unit(x) - _unit(y)), axis=-1)) for x, y in pairs]).sum()


def _feature_pairs(
    network: FeatureNetwork, params: Params, a: jax.Array, b: jax.Array, key: jax.Array | None, dtype: Any
) -> Iterator[tuple[jax.Array, jax.Array]]:
    if a.ndim != 4 or a.shape[-1] != 3 or a.shape != b.shape:
        raise InputError(f"Images to compare are [B, H, W, 3] of one shape, got {a.shape} and {b.shape}.")
    height, width = a.shape[1:3]
    if min(height, width) < network.least_side:
        least = f"{network.least_side}x{network.least_side}"
        raise InputError(f"{network.name} compares images of at least {least} pixels, got {height}x{width}.")
    if key is not None and network.phases > 1:
        corner = (0, *jax.random.randint(key, (2,), 0, network.phases), 0)
        size = (a.shape[0], height - network.phases + 1, width - network.phases + 1, a.shape[3])
        a, b = (jax.lax.dynamic_slice(image, corner, size) for image in (a, b))
    return zip(network.apply(params, a, dtype), network.apply(params, b, dtype), strict=True)


def _unit(features: jax.Array) -> jax.Array:
    return features * jax.lax.rsqrt(jnp.sum(jnp.square(features), axis=-1, keepdims=True) + _EPSILON)
