"""The Swin Transformer layer by bands and groups of windows, which stay in a core's cache through all of it."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.ad_checkpoint import checkpoint_name

from swinir_jax.cpu.weights import Weights
from swinir_jax.models.layers import gelu, precision, residual_dtype
from swinir_jax.models.windows import shift_mask, window_partition, window_reverse

GROUP = 24  # windows at a time: their tokens, scores and hidden features then stay in a core's cache
_ATTENDED = "attended"  # attention's result, which a backward pass finds under this name


def layer(
    w: Weights, x: jax.Array, m: int, shift: int, regions: jax.Array | None, dtype: Any, training: bool
) -> jax.Array:
    """As `models.layers.SwinTransformerBlock`.

    Goes by bands of rows of windows, each written over what it was computed from: nothing as large as the image is
    copied, neither to shift windows nor to make tokens of them. In training all rows are one band, for a derivative
    would keep the image for each.

    Args:
      w: weights of the layer.
      x: `[B, H, W, C]`, H and W multiples of the window.
      m: side of the window.
      shift: by how many pixels the windows are shifted.
      regions: `[H / M, W / M, M * M]` from `shift_regions`, or None for W-MSA.
      dtype: of matrix products.
      training: whether a derivative is asked; the result is the same.

    Returns:
      `[B, H, W, C]`.
    """
    batch, height, width, _ = x.shape
    rows = height // m if training else _rows_of_a_band(batch, height // m, width // m)
    size = rows * m

    def band(i: jax.Array | int, x: jax.Array) -> jax.Array:
        # The last band of shifted windows ends in the image's first rows.
        parts = [(i * size + shift, size - shift), ((i + 1) * size % height, shift)]
        y = jnp.concatenate([lax.dynamic_slice_in_dim(x, *part, axis=1) for part in parts], axis=1)
        windows = window_partition(jnp.roll(y, -shift, axis=2), m)  # [B, rows, W / M, N, C]
        here = None if regions is None else lax.dynamic_slice_in_dim(regions, i * rows, rows)
        windows = on_images(
            functools.partial(on_windows, w, dtype=dtype, training=training), windows, here, w.get("keep")
        )
        y = jnp.roll(window_reverse(windows, m), shift, axis=2)
        for (first, _), part in zip(parts, jnp.split(y, [size - shift], axis=1), strict=True):
            x = lax.dynamic_update_slice_in_dim(x, part, first, axis=1)
        return x

    return band(0, x) if training or size == height else lax.fori_loop(0, height // size, band, x)


def _rows_of_a_band(batch: int, rows: int, columns: int) -> int:
    """Rows of windows, of which a band has about as many as a group; all where the sizes are not known."""
    if any(map(jax.export.is_symbolic_dim, (batch, rows, columns))):
        return rows
    most = max(1, GROUP // (batch * columns))
    return max(n for n in range(1, most + 1) if rows % n == 0)


def on_images(
    f: Callable[..., jax.Array], windows: jax.Array, regions: jax.Array | None, keep: jax.Array | None
) -> jax.Array:
    """`f` on the windows `[B, rows, columns, N, C]` of images, by groups.

    Args:
      f: `(tokens [windows, N, C], regions [windows, N] or None, keep [windows, 2] or None) -> tokens`.
      windows: their tokens.
      regions: `[rows, columns, N]`, the same for each image, or None.
      keep: `[B, 2]`, or None.

    Returns:
      As `windows`.
    """
    batch, rows, columns, n, c = windows.shape
    if regions is not None:
        regions = jnp.tile(regions.reshape(rows * columns, n), (batch, 1))
    if keep is not None:
        keep = jnp.repeat(keep, rows * columns, axis=0)
    return in_groups(f, (windows.reshape(batch * rows * columns, n, c), regions, keep)).reshape(windows.shape)


def in_groups(f: Callable[..., jax.Array], arrays: Any) -> jax.Array:
    """`f(*arrays)` by equal groups of up to `GROUP` windows, their first axis; the last group is filled up."""
    windows = arrays[0].shape[0]
    groups = (windows + GROUP - 1) // GROUP
    size = GROUP if jax.export.is_symbolic_dim(windows) else -(-windows // groups)
    if size == windows:
        return f(*arrays)

    def split(x: jax.Array) -> jax.Array:
        x = jnp.pad(x, [(0, groups * size - windows), *[(0, 0)] * (x.ndim - 1)])
        return x.reshape(groups, size, *x.shape[1:])

    y = lax.map(lambda group: f(*group), jax.tree.map(split, arrays))
    return y.reshape(groups * size, *y.shape[2:])[:windows]


def on_windows(
    w: Weights, tokens: jax.Array, regions: jax.Array | None, keep: jax.Array | None, *, dtype: Any, training: bool
) -> jax.Array:
    """A Swin Transformer layer on `[windows, N, C]`; a backward pass computes it again, but for attention's result."""
    run: Callable[..., jax.Array] = functools.partial(_on_windows, dtype=dtype, training=training)
    if training:
        run = jax.checkpoint(run, policy=jax.checkpoint_policies.save_only_these_names(_ATTENDED))
    return run(w, tokens, regions, keep)


def _on_windows(
    w: Weights, tokens: jax.Array, regions: jax.Array | None, keep: jax.Array | None, dtype: Any, training: bool
) -> jax.Array:
    windows, n, c = tokens.shape
    factors = [1.0, 1.0] if keep is None else jnp.split(jnp.repeat(keep, n, axis=0), 2, axis=-1)  # [windows * N, 1]
    x = tokens.reshape(windows * n, c)  # the gradient of a product of three axes would be transposed first
    y = attention(
        w["position"], normalised_linear(w["qkv"], x, dtype).reshape(windows, n, 3 * c), regions, dtype, training
    )
    x = x + factors[0] * linear(w["proj"], y.reshape(windows * n, c), dtype)
    y = linear(w["fc2"], gelu(normalised_linear(w["fc1"], x, dtype)), dtype)
    return (x + factors[1] * y).reshape(tokens.shape)


def attention(
    position: jax.Array, qkv: jax.Array, regions: jax.Array | None, dtype: Any, training: bool = False
) -> jax.Array:
    """Multi-head self-attention inside windows, in the layouts for which XLA's CPU backend has fast products.

    Keys come before queries: forward and backward, each product but two then multiplies row-major matrices as they lie,
    and scores, bias, mask, softmax and the product with the values are one operation of XLA's library.

    Args:
      position: `[heads, N, N]` relative position bias, of key and query.
      qkv: `[windows, N, 3 C]`, queries scaled.
      regions: `[windows, N]`; tokens see those of their own region alone. None for all.
      dtype: of the products; scores and softmax are float32 (float64 for float64).
      training: whether a derivative is asked.

    Returns:
      `[windows, N, C]`.
    """
    (windows, n, _), heads = qkv.shape, position.shape[0]
    q, k, v = (y.squeeze(2) for y in jnp.split(qkv.reshape(windows, n, 3, heads, -1).astype(dtype), 3, axis=2))
    q, k, v = q.transpose(0, 2, 3, 1), k.transpose(0, 2, 1, 3), v.transpose(0, 2, 3, 1)  # k: [windows, heads, N, D]
    bias = position[None]
    if training:  # the gradient of a product with ones is a product, too; a sum over windows takes far longer
        bias = (jnp.ones((windows, 1), bias.dtype) @ bias.reshape(1, -1)).reshape(windows, *position.shape)
    scores = _product("whdq,whkd->whkq", q, k) + bias
    if regions is not None:
        scores = scores + shift_mask(regions)[:, None].astype(scores.dtype)
    weights = jnp.exp(scores - lax.stop_gradient(scores.max(axis=-2, keepdims=True)))
    # Divided by the sum after the product with the values: fewer divisions.
    y = _product("whdk,whkq->whdq", v, weights.astype(dtype)) / weights.sum(axis=-2, keepdims=True)
    return checkpoint_name(y.transpose(0, 3, 1, 2), _ATTENDED).reshape(windows, n, -1)


def linear(w: Weights, x: jax.Array, dtype: Any) -> jax.Array:
    """`[tokens, C]` -> `[tokens, features]` in the dtype of the residual stream."""
    return _product("tc,cd->td", x.astype(dtype), w["kernel"].astype(dtype)) + w["bias"][None]


def normalised_linear(w: Weights, x: jax.Array, dtype: Any) -> jax.Array:
    """A linear layer behind a LayerNorm: the kernel takes the mean of `x` out, and the result is what is scaled."""
    y = _product("tc,cd->td", x.astype(dtype), w["kernel"].astype(dtype))
    return y * reciprocal_deviation(x - x.mean(axis=-1, keepdims=True)) + w["bias"][None]


def layer_norm(w: Weights, x: jax.Array) -> jax.Array:
    """As `models.layers.layer_norm`, over the last axis of `[B, H, W, C]`."""
    x = x - x.mean(axis=-1, keepdims=True)
    return x * reciprocal_deviation(x) * w["scale"].reshape(1, 1, 1, -1) + w["bias"].reshape(1, 1, 1, -1)


def reciprocal_deviation(centred: jax.Array) -> jax.Array:
    """One over the standard deviation of the last axis, which stays as 1."""
    return lax.rsqrt(jnp.square(centred).mean(axis=-1, keepdims=True) + 1e-5)


def _product(equation: str, a: jax.Array, b: jax.Array) -> jax.Array:
    """With its result in the dtype of the residual stream: a CPU would take as long again to round it to bfloat16."""
    return jnp.einsum(equation, a, b, precision=precision(a.dtype), preferred_element_type=residual_dtype(a.dtype))
