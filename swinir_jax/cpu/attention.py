"""Attention inside windows, in layouts for which XLA has fast products on a CPU.

Scores have keys before queries. Then all products but two, forward and backward, multiply row-major matrices without
transposing them, and one operation of XLA's library takes scores, bias, mask, softmax and the product with the values.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.ad_checkpoint import checkpoint_name

from swinir_jax.models.precision import product
from swinir_jax.models.windows import shift_mask

ATTENDED = "attended"
"""Name under which a backward pass that recomputes a layer finds the result of attention."""

_Saved = tuple[jax.Array, jax.Array, jax.Array, jax.Array, jax.Array | None, jax.Array]


def attention(
    position_bias: jax.Array, qkv: jax.Array, regions: jax.Array | None, dtype: Any, training: bool = False
) -> jax.Array:
    """Multi-head self-attention inside windows.

    Args:
      position_bias: `[heads, N, N]` relative position bias of key and query.
      qkv: `[windows, N, 3 C]`; queries are scaled.
      regions: `[windows, N]`: a token attends only to tokens of its own region; None for all tokens.
      dtype: dtype of the products; scores and softmax are float32 (float64 for float64).
      training: True where a gradient is taken: it is faster, and there is no forward-mode derivative.

    Returns:
      `[windows, N, C]`.
    """
    (windows, n, _), heads = qkv.shape, position_bias.shape[0]
    qkv = qkv.reshape(windows, n, 3, heads, -1).astype(dtype)
    q, k, v = (y.squeeze(2) for y in jnp.split(qkv, 3, axis=2))  # each [windows, N, heads, D]
    q, k, v = q.transpose(0, 2, 3, 1), k.transpose(0, 2, 1, 3), v.transpose(0, 2, 3, 1)  # k: [windows, heads, N, D]
    mask = None if regions is None else shift_mask(regions)[:, None]
    y = (_attend_in_training if training else _attend)(position_bias, q, k, v, mask)
    return y.transpose(0, 3, 1, 2).reshape(windows, n, -1)


def _attend(bias: jax.Array, q: jax.Array, k: jax.Array, v: jax.Array, mask: jax.Array | None) -> jax.Array:
    weights = _unnormalised_weights(bias, q, k, mask)
    # The softmax's division comes after the product with the values: there are fewer of them than weights.
    return product("whdk,whkq->whdq", v, weights.astype(v.dtype)) / weights.sum(axis=-2, keepdims=True)


def _unnormalised_weights(bias: jax.Array, q: jax.Array, k: jax.Array, mask: jax.Array | None) -> jax.Array:
    scores = product("whdq,whkd->whkq", q, k) + bias[None]
    if mask is not None:
        scores = scores + mask.astype(scores.dtype)
    return jnp.exp(scores - lax.stop_gradient(scores.max(axis=-2, keepdims=True)))


# Derived automatically, a backward pass that recomputes the weights would multiply them with the values again.
_attend_in_training = jax.custom_vjp(_attend)


def _forward(
    bias: jax.Array, q: jax.Array, k: jax.Array, v: jax.Array, mask: jax.Array | None
) -> tuple[jax.Array, _Saved]:
    y = checkpoint_name(_attend(bias, q, k, v, mask), ATTENDED)
    return y, (bias, q, k, v, mask, y)


def _backward(saved: _Saved, y_bar: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array, None]:
    bias, q, k, v, mask, y = saved
    weights = _unnormalised_weights(bias, q, k, mask)
    y_bar = y_bar / weights.sum(axis=-2, keepdims=True)
    factor = y_bar.astype(v.dtype)
    v_bar = product("whdq,whkq->whdk", factor, weights.astype(v.dtype))
    scores_bar = weights * (product("whdk,whdq->whkq", v, factor) - (y_bar * y).sum(axis=-2, keepdims=True))
    # A sum over windows as a product with ones, which takes far less time.
    rows = scores_bar.reshape(len(scores_bar), -1)
    bias_bar = (jnp.ones((1, len(rows)), rows.dtype) @ rows).reshape(bias.shape).astype(bias.dtype)
    factor = scores_bar.astype(q.dtype)
    q_bar, k_bar = product("whkd,whkq->whdq", k, factor), product("whkq,whdq->whkd", factor, q)
    return bias_bar, q_bar.astype(q.dtype), k_bar.astype(k.dtype), v_bar.astype(v.dtype), None


_attend_in_training.defvjp(_forward, _backward)
