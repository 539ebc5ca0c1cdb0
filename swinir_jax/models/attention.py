"""Window attention, and how many windows a platform takes at a time: the one place that decides."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

SHIFT_MASK = -100.0  # the official value; not -inf

# A CPU takes so many windows at a time through a whole layer that their tokens, scores and hidden features stay in the
# cache of a core; all at once they would go through memory, which takes several times as long and as much of it.
_CPU_WINDOWS = 32

Drop = Callable[[jax.Array], jax.Array]
Layer = Callable[..., jax.Array]  # ([windows, N, C], one array or None a window...) -> [windows, N, C]


def attention(
    q: jax.Array, k: jax.Array, v: jax.Array, bias: jax.Array, labels: jax.Array | None, drop: Drop | None = None
) -> jax.Array:
    """Multi-head self-attention inside windows.

    Args:
      q: `[windows, heads, N, D]` queries, float32 or bfloat16, scaled already.
      k: keys of the same shape.
      v: values of the same shape.
      bias: `[heads, N, N]` relative position bias.
      labels: `[windows, N]` regions of shifted windows (see `shift_labels`), or None for W-MSA.
      drop: dropout, applied to the attention weights.

    Returns:
      `[windows, heads, N, D]` in the dtype of `v`; scores and softmax are float32 (float64 for float64).
    """
    score_dtype = jnp.promote_types(q.dtype, jnp.float32)
    precision = None if q.dtype == jnp.bfloat16 else lax.Precision.HIGHEST
    scores = jnp.einsum("whqd,whkd->whqk", q, k, precision=precision, preferred_element_type=score_dtype) + bias
    if labels is not None:
        apart = labels[:, None, :, None] != labels[:, None, None, :]
        scores = jnp.where(apart, scores + SHIFT_MASK, scores)
    weights = jnp.exp(scores - lax.stop_gradient(scores.max(axis=-1, keepdims=True)))
    total = weights.sum(axis=-1, keepdims=True)
    if drop is not None:
        weights = drop(weights)
    # Divided after the product: N * D values instead of N * N.
    weights = weights.astype(v.dtype)
    y = jnp.einsum("whqk,whkd->whqd", weights, v, precision=precision, preferred_element_type=score_dtype)
    return (y / total).astype(v.dtype)


def over_windows(layer: Layer, tokens: jax.Array, *per_window: jax.Array | None) -> jax.Array:
    """Applies a layer that treats each window by itself, as many windows at a time as suit the platform.

    Args:
      layer: `(tokens, *per_window) -> tokens`.
      tokens: `[windows, N, C]`.
      *per_window: further arrays with one entry a window, or None.

    Returns:
      `[windows, N, C]`.
    """
    return lax.platform_dependent(
        (tokens, per_window), cpu=lambda operands: _in_groups(layer, *operands), default=lambda o: layer(o[0], *o[1])
    )


def _in_groups(layer: Layer, tokens: jax.Array, per_window: tuple[Any, ...]) -> jax.Array:
    def one_window(window: tuple[jax.Array, tuple[Any, ...]]) -> jax.Array:
        return layer(*jax.tree.map(lambda leaf: leaf[None], (window[0], *window[1])))[0]

    return lax.map(jax.checkpoint(one_window), (tokens, per_window), batch_size=_CPU_WINDOWS)
