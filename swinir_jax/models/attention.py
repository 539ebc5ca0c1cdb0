"""Window attention, and how many windows a platform takes at a time: the one place that decides."""

import functools
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.ad_checkpoint import checkpoint_name

from swinir_jax.models.loops import with_derivative_of

SHIFT_MASK = -100.0  # the official value; not -inf

# A CPU takes so many windows at a time through a whole layer that their tokens, scores and hidden features stay in the
# cache of a core; all at once they would go through memory, which takes several times as long and as much of it.
_CPU_WINDOWS = 24
_ATTENDED = "attended"  # the name by which a backward pass finds attention's result, kept from the forward pass

Drop = Callable[[jax.Array], jax.Array]
Attend = Callable[[jax.Array, float, jax.Array, jax.Array | None, Drop | None], jax.Array]
Layer = Callable[..., jax.Array]  # (attend, variables, [windows, N, C], further arrays or None...) -> [windows, N, C]


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
    return checkpoint_name(y.astype(v.dtype).transpose(0, 3, 1, 2), _ATTENDED)


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


def over_windows(layer: Layer, variables: Any, tokens: jax.Array, *per_window: jax.Array | None) -> jax.Array:
    """Applies a layer that treats each window by itself, as suits the platform: which attention, how many at a time.

    Args:
      layer: `(attend, variables, tokens, *per_window) -> tokens`, which closes over no array.
      variables: of the layer.
      tokens: `[windows, N, C]`.
      *per_window: further arrays with one entry a window, or None.

    Returns:
      `[windows, N, C]`.
    """
    return lax.platform_dependent(
        (variables, tokens, *per_window),
        cpu=lambda operands: in_groups(functools.partial(layer, attention_on_cpu), *operands),
        default=lambda operands: layer(attention, *operands),
    )


def in_groups(layer: Layer, variables: Any, *per_window: jax.Array | None) -> jax.Array:
    """`layer(variables, *per_window)` by groups of windows."""
    windows = jax.tree.leaves(per_window)[0].shape[0]
    if jax.export.is_symbolic_dim(windows):  # of any size: groups that are filled up
        fill = (windows + _CPU_WINDOWS - 1) // _CPU_WINDOWS * _CPU_WINDOWS - windows
        filled = jax.tree.map(lambda x: jnp.pad(x, [(0, fill), *[(0, 0)] * (x.ndim - 1)]), per_window)
        return _in_place(layer, _CPU_WINDOWS, variables, filled)[:windows]
    if windows <= _CPU_WINDOWS:
        return _recomputed(layer)(variables, *per_window)
    # Equal groups where the number of windows allows: what remains is one more program.
    size = next((n for n in range(_CPU_WINDOWS, _CPU_WINDOWS // 2, -1) if windows % n == 0), _CPU_WINDOWS)
    whole = windows // size * size
    first, rest = (jax.tree.map(operator.itemgetter(part), per_window) for part in (slice(whole), slice(whole, None)))
    y = _in_place(layer, size, variables, first)
    return y if whole == windows else jnp.concatenate([y, _recomputed(layer)(variables, *rest)])


def _in_place(layer: Layer, size: int, variables: Any, per_window: Any) -> jax.Array:
    """Equal groups of windows, each written over its tokens; for a gradient, all would have to be kept before each."""

    def over_tokens(variables: Any, per_window: Any) -> jax.Array:
        def step(i: jax.Array, tokens: jax.Array) -> jax.Array:
            its = jax.tree.map(lambda x: lax.dynamic_slice_in_dim(x, i * size, size), (tokens, *per_window[1:]))
            return lax.dynamic_update_slice_in_dim(tokens, layer(variables, *its), i * size, axis=0)

        return lax.fori_loop(0, per_window[0].shape[0] // size, step, per_window[0])

    def mapped(variables: Any, per_window: Any) -> jax.Array:
        split = jax.tree.map(lambda x: x.reshape(-1, size, *x.shape[1:]), per_window)
        y = lax.map(lambda group: _recomputed(layer)(variables, *group), split)
        return y.reshape(-1, *y.shape[2:])

    return with_derivative_of(mapped, over_tokens)(variables, per_window)


def _recomputed(layer: Layer) -> Layer:
    """As `layer`; a backward pass computes it again but for attention's result."""
    return jax.checkpoint(layer, policy=jax.checkpoint_policies.save_only_these_names(_ATTENDED))
