"""Window attention, written for GPUs and TPUs and for CPUs; `groups.py` says which runs where."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jax.ad_checkpoint import checkpoint_name

SHIFT_MASK = -100.0  # the official value; not -inf

ATTENDED = "attended"  # the name by which a backward pass finds attention's result, kept from the forward pass

Drop = Callable[[jax.Array], jax.Array]
Attend = Callable[[jax.Array, float, jax.Array, jax.Array | None, Drop | None], jax.Array]


def attention(
    qkv: jax.Array, scale: float, bias: jax.Array, labels: jax.Array | None, drop: Drop | None = None
) -> jax.Array:
    """Multi-head self-attention inside windows: the reference, and what GPUs and TPUs run.

    Args:
      qkv: `[windows, N, 3, heads, D]` queries, keys and values, float32 or bfloat16.
      scale: factor on the queries.
      bias: `[heads, N, N]` relative position bias, of query and key.
      labels: `[windows, N]` regions of shifted windows (see `shift_labels`), or None for W-MSA.
      drop: dropout, applied to the attention weights.

    Returns:
      `[windows, N, heads, D]` in the dtype of `qkv`; scores and softmax are float32 (float64 for float64).
    """
    q, k, v = qkv.transpose(2, 0, 3, 1, 4)  # each [windows, heads, N, D]
    scores = _product("whqd,whkd->whqk", q * scale, k) + bias
    weights, total = _softmax(scores, labels, axis=-1)
    if drop is not None:
        weights = drop(weights)
    y = _product("whqk,whkd->whqd", weights.astype(v.dtype), v) / total
    return y.astype(v.dtype).transpose(0, 2, 1, 3)


def attention_on_cpu(
    qkv: jax.Array, scale: float, bias: jax.Array, labels: jax.Array | None, drop: Drop | None = None
) -> jax.Array:
    """As `attention`, in the layouts for which XLA's CPU backend has fast products: keys, then queries.

    Forward and backward, each product but two then multiplies row-major matrices as they lie. The bias is spread over
    the windows by a product with ones, because the gradient of that is a product, too: a sum over windows takes as long
    as all the rest of attention.
    """
    windows = qkv.shape[0]
    q, k, v = (part.squeeze(2) for part in jnp.split(qkv, 3, axis=2))
    q = (q * scale).transpose(0, 2, 3, 1)  # [windows, heads, D, N]
    k = k.transpose(0, 2, 1, 3)  # [windows, heads, N, D]
    v = v.transpose(0, 2, 3, 1)  # [windows, heads, D, N]
    spread = jnp.ones((windows, 1), bias.dtype) @ bias.transpose(0, 2, 1).reshape(1, -1)
    scores = _product("whdq,whkd->whkq", q, k) + spread.reshape(windows, *bias.shape)
    weights, total = _softmax(scores, labels, axis=-2)
    if drop is not None:
        weights = drop(weights)
    y = _product("whdk,whkq->whdq", v, weights.astype(v.dtype)) / total
    return checkpoint_name(y.astype(v.dtype).transpose(0, 3, 1, 2), ATTENDED)


def _product(equation: str, a: jax.Array, b: jax.Array) -> jax.Array:
    precision = None if a.dtype == jnp.bfloat16 else lax.Precision.HIGHEST
    dtype = jnp.promote_types(a.dtype, jnp.float32)
    return jnp.einsum(equation, a, b, precision=precision, preferred_element_type=dtype)


def _softmax(scores: jax.Array, labels: jax.Array | None, axis: int) -> tuple[jax.Array, jax.Array]:
    """Weights over an axis and their sum, to divide by after the product with the values: fewer divisions."""
    if labels is not None:
        apart = labels[:, None, :, None] != labels[:, None, None, :]
        scores = scores + jnp.where(apart, jnp.asarray(SHIFT_MASK, scores.dtype), 0)
    weights = jnp.exp(scores - lax.stop_gradient(scores.max(axis=axis, keepdims=True)))
    return weights, weights.sum(axis=axis, keepdims=True)
