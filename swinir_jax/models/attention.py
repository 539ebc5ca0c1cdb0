"""How window attention runs on each platform: the one place that decides.

`attention_reference` says what is computed; the other paths give the same values and gradients, faster.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

SHIFT_MASK = -100.0  # the official value; not -inf

# Windows that a CPU core's cache holds together with their scores; 4 to 16 measured alike.
_CPU_GROUP = 8


def attention_reference(
    qkv: jax.Array,
    bias: jax.Array,
    labels: jax.Array | None,
    scale: float,
    drop: Callable[[jax.Array], jax.Array] = lambda weights: weights,
) -> jax.Array:
    """Multi-head self-attention inside windows, all windows at once.

    Args:
      qkv: `[windows, N, 3, heads, D]`, float32 or bfloat16.
      bias: `[heads, N, N]` relative position bias, float32.
      labels: `[windows, N]` regions of shifted windows (see `shift_labels`), or None for W-MSA.
      scale: factor on the queries.
      drop: applied to the attention weights (dropout).

    Returns:
      `[windows, N, heads, D]` in the dtype of `qkv`; scores and softmax are float32.
    """
    q, k, v = jnp.moveaxis(qkv, 2, 0)  # each [windows, N, heads, D]
    score_dtype = jnp.promote_types(q.dtype, jnp.float32)
    scores = jnp.einsum("wqhd,wkhd->whqk", q * scale, k, preferred_element_type=score_dtype) + bias
    if labels is not None:
        apart = labels[:, None, :, None] != labels[:, None, None, :]
        scores = jnp.where(apart, scores + SHIFT_MASK, scores)
    weights = drop(jax.nn.softmax(scores, axis=-1)).astype(v.dtype)
    return jnp.einsum("whqk,wkhd->wqhd", weights, v)


def attention_grouped(qkv: jax.Array, bias: jax.Array, labels: jax.Array | None, scale: float) -> jax.Array:
    """As `attention_reference`, a few windows at a time, so that their scores never leave the cache.

    The backward pass computes the scores again: keeping those of all windows would undo the saving.
    """

    @jax.checkpoint
    def one_window(window: tuple[jax.Array, jax.Array | None]) -> jax.Array:
        tokens, regions = window
        return attention_reference(tokens[None], bias, None if regions is None else regions[None], scale)[0]

    return lax.map(one_window, (qkv, labels), batch_size=_CPU_GROUP)


def window_attention(qkv: jax.Array, bias: jax.Array, labels: jax.Array | None, scale: float) -> jax.Array:
    """`attention_reference` in the way that suits the platform which the program is compiled for.

    Args:
      qkv: `[B * nW, N, 3, heads, D]`.
      bias: `[heads, N, N]`.
      labels: `[nW, N]`, the same for each of the B images, or None.
      scale: factor on the queries.

    Returns:
      `[B * nW, N, heads, D]`.
    """
    if labels is not None:
        labels = jnp.tile(labels, (qkv.shape[0] // labels.shape[0], 1))
    operands = (qkv, bias) if labels is None else (qkv, bias, labels)

    def run(path: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
        return lambda qkv, bias, labels=None: path(qkv, bias, labels, scale)

    return lax.platform_dependent(*operands, cpu=run(attention_grouped), default=run(attention_reference))
