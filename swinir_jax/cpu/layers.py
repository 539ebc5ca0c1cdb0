"""The Swin Transformer layer by bands and groups of windows, which stay in a core's cache for the whole layer."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.ad_checkpoint import checkpoint_name

from swinir_jax.cpu.weights import Weights
from swinir_jax.models.layers import LAYER_NORM_EPSILON, gelu
from swinir_jax.models.precision import product
from swinir_jax.models.swin2 import normalize
from swinir_jax.models.windows import shift_mask, window_partition, window_reverse

GROUP_BYTES = 2**21  # of tokens: XLA divides each operation among the cores, by which small ones gain nothing
TRAINING_GROUP = 24  # windows; each core trains on images of its own
_ATTENDED = "attended"  # name under which a backward pass finds the result of attention


def window_layer(
    branches: Callable[..., jax.Array],
    w: Weights,
    x: jax.Array,
    m: int,
    shift: int,
    regions: jax.Array | None,
    dtype: Any,
    training: bool,
) -> jax.Array:
    """Applies a Swin Transformer layer as `FAMILIES[family].layer` of `models.families`.

    Goes over bands of rows of windows; each result overwrites its input. So nothing as large as the image is copied,
    neither for shifting windows nor for making tokens. In training all rows are one band, because a derivative would
    keep the image once per band.

    Args:
      branches: function of `BRANCHES` that computes the layer's two branches.
      w: weights of the layer.
      x: `[B, H, W, C]`; H and W are multiples of the window.
      m: side M of the window.
      shift: shift of the windows in pixels.
      regions: `[H / M, W / M, M * M]` from `shift_regions`, or None for W-MSA.
      dtype: dtype of the matrix products.
      training: True where a derivative is taken; the result is the same.

    Returns:
      `[B, H, W, C]`.
    """
    batch, height, width, c = x.shape
    group = TRAINING_GROUP if training else max(1, GROUP_BYTES // (m * m * c * x.dtype.itemsize))
    window_rows = height // m if training else _window_rows_per_band(group, batch, height // m, width // m)
    rows = window_rows * m
    run = functools.partial(on_windows, branches, w, dtype=dtype, training=training)

    def band(i: jax.Array | int, x: jax.Array) -> jax.Array:
        # The last band of shifted windows ends with the first rows of the image.
        starts, sizes = (i * rows + shift, (i + 1) * rows % height), (rows - shift, shift)
        parts = [lax.dynamic_slice_in_dim(x, *part, axis=1) for part in zip(starts, sizes, strict=True)]
        y = jnp.roll(jnp.concatenate(parts, axis=1), -shift, axis=2)
        windows = window_partition(y, m)  # [B, window_rows, W / M, N, C]
        band_regions = None if regions is None else lax.dynamic_slice_in_dim(regions, i * window_rows, window_rows)
        windows = on_images(run, windows, band_regions, w.get("keep"), group)
        y = jnp.roll(window_reverse(windows, m), shift, axis=2)
        for start, part in zip(starts, jnp.split(y, [rows - shift], axis=1), strict=True):
            x = lax.dynamic_update_slice_in_dim(x, part, start, axis=1)
        return x

    return band(0, x) if training or rows == height else lax.fori_loop(0, height // rows, band, x)


def _window_rows_per_band(group: int, batch: int, rows: int, columns: int) -> int:
    """Returns a divisor of `rows` for which a band has about a group of windows; all rows of symbolic sizes."""
    if any(map(jax.export.is_symbolic_dim, (batch, rows, columns))):
        return rows
    most = max(1, group // (batch * columns))
    return max(n for n in range(1, most + 1) if rows % n == 0)


def on_images(
    f: Callable[..., jax.Array], windows: jax.Array, regions: jax.Array | None, keep: jax.Array | None, group: int
) -> jax.Array:
    """Applies `f` to the windows of images by groups.

    Args:
      f: `(tokens [windows, N, C], regions [windows, N] or None, keep [windows, 2] or None) -> tokens`.
      windows: `[B, rows, columns, N, C]` tokens.
      regions: `[rows, columns, N]`, the same for each image, or None.
      keep: `[B, 2]` factors of stochastic depth, or None.
      group: largest number of windows in a group.

    Returns:
      `[B, rows, columns, N, C]`.
    """
    batch, rows, columns, n, c = windows.shape
    if regions is not None:
        regions = jnp.tile(regions.reshape(rows * columns, n), (batch, 1))
    if keep is not None:
        keep = jnp.repeat(keep, rows * columns, axis=0)
    return in_groups(f, (windows.reshape(batch * rows * columns, n, c), regions, keep), group).reshape(windows.shape)


def in_groups(f: Callable[..., jax.Array], arrays: Any, group: int) -> jax.Array:
    """Computes `f(*arrays)` by equal groups of up to `group` windows along the first axis; the last group is padded."""
    windows = arrays[0].shape[0]
    groups = (windows + group - 1) // group
    size = group if jax.export.is_symbolic_dim(windows) else -(-windows // groups)
    if size == windows:
        return f(*arrays)

    def split(x: jax.Array) -> jax.Array:
        x = jnp.pad(x, [(0, groups * size - windows), *[(0, 0)] * (x.ndim - 1)])
        return x.reshape(groups, size, *x.shape[1:])

    y = lax.map(lambda group: f(*group), jax.tree.map(split, arrays))
    return y.reshape(groups * size, *y.shape[2:])[:windows]


def on_windows(
    branches: Callable[..., jax.Array],
    w: Weights,
    tokens: jax.Array,
    regions: jax.Array | None,
    keep: jax.Array | None,
    *,
    dtype: Any,
    training: bool,
) -> jax.Array:
    """Applies a Swin Transformer layer to windows; a backward pass recomputes all but the result of attention.

    Args:
      branches: function of `BRANCHES` that computes the layer's two branches.
      w: weights of the layer.
      tokens: `[windows, N, C]`.
      regions: `[windows, N]`, or None for W-MSA.
      keep: `[windows, 2]` factors of stochastic depth, or None.
      dtype: dtype of the matrix products.
      training: True where a derivative is taken.

    Returns:
      `[windows, N, C]`.
    """

    def run(w: Weights, tokens: jax.Array, regions: jax.Array | None, keep: jax.Array | None) -> jax.Array:
        windows, n, c = tokens.shape
        factors = [1.0, 1.0] if keep is None else jnp.split(jnp.repeat(keep, n, axis=0), 2, axis=-1)

        def attend(qkv: jax.Array) -> jax.Array:
            y = attention(w["position_bias"], qkv.reshape(windows, n, 3 * c), regions, training)
            return y.reshape(windows * n, c)

        x = tokens.reshape(windows * n, c)  # the gradient of a product with three axes would be transposed first
        return branches(w, x, attend, factors, dtype).reshape(tokens.shape)

    if training:
        run = jax.checkpoint(run, policy=jax.checkpoint_policies.save_only_these_names(_ATTENDED))
    return run(w, tokens, regions, keep)


def swin_branches(w: Weights, x: jax.Array, attend: Callable[..., jax.Array], factors: Any, dtype: Any) -> jax.Array:
    """Adds the two branches of a Swin Transformer layer to tokens.

    Args:
      w: weights of the layer.
      x: `[tokens, C]`, tokens of whole windows.
      attend: attention inside windows, `[tokens, 3 C]` queries, keys and values -> `[tokens, C]`.
      factors: two factors of stochastic depth, one for each branch, numbers or `[tokens, 1]`.
      dtype: dtype of the matrix products.

    Returns:
      `[tokens, C]`.
    """
    y = attend(linear_of_normalised(w["qkv"], x, dtype))
    x = x + factors[0] * linear(w["proj"], y, dtype)
    y = linear(w["fc2"], gelu(linear_of_normalised(w["fc1"], x, dtype)), dtype)
    return x + factors[1] * y


def swin_v2_branches(w: Weights, x: jax.Array, attend: Callable[..., jax.Array], factors: Any, dtype: Any) -> jax.Array:
    """Adds the two branches of a Swin Transformer V2 layer to tokens, as `swin_branches`."""
    y = attend(with_cosine_scores(linear(w["qkv"], x, dtype), w["logit_scale"]))
    x = x + factors[0] * layer_norm(w["norm1"], linear(w["proj"], y, dtype))
    y = linear(w["fc2"], gelu(linear(w["fc1"], x, dtype)), dtype)
    return x + factors[1] * layer_norm(w["norm2"], y)


# By `SwinIRConfig.family`.
BRANCHES: Mapping[str, Callable[..., jax.Array]] = {"swinir": swin_branches, "swin2sr": swin_v2_branches}


def with_cosine_scores(qkv: jax.Array, logit_scale: jax.Array) -> jax.Array:
    """Scales queries and keys so that their products are cosines times `logit_scale`.

    Args:
      qkv: `[tokens, 3 C]` queries, keys and values.
      logit_scale: `[heads]`.

    Returns:
      `[tokens, 3 C]`.
    """
    tokens, heads = len(qkv), len(logit_scale)
    q, k, v = jnp.split(qkv.reshape(tokens, 3, heads, -1), 3, axis=1)
    q, k = normalize(q) * logit_scale[None, None, :, None], normalize(k)
    return jnp.concatenate([q, k, v], axis=1).reshape(qkv.shape)


def attention(position_bias: jax.Array, qkv: jax.Array, regions: jax.Array | None, training: bool = False) -> jax.Array:
    """Multi-head self-attention inside windows, in layouts for which XLA has fast products on a CPU.

    Scores have keys before queries. Then all products but two, forward and backward, multiply row-major matrices
    without transposing them, and one operation of XLA's library takes scores, bias, mask, softmax and the product with
    the values. In a network of bfloat16, products of 10 to 30 channels a head gain nothing from it, so these stay in
    the dtype of the residual stream.

    Args:
      position_bias: `[heads, N, N]` relative position bias of key and query.
      qkv: `[windows, N, 3 C]` in the dtype of the residual stream; queries are scaled.
      regions: `[windows, N]`: a token attends only to tokens of its own region; None for all tokens.
      training: True where a derivative is taken.

    Returns:
      `[windows, N, C]`.
    """
    (windows, n, _), heads = qkv.shape, position_bias.shape[0]
    qkv = qkv.reshape(windows, n, 3, heads, -1)
    q, k, v = (y.squeeze(2) for y in jnp.split(qkv, 3, axis=2))  # each [windows, N, heads, D]
    q, k, v = q.transpose(0, 2, 3, 1), k.transpose(0, 2, 1, 3), v.transpose(0, 2, 3, 1)  # k: [windows, heads, N, D]
    bias = position_bias[None]
    if training:  # a product with ones, because its gradient is a product, too: a sum over windows takes far longer
        bias = (jnp.ones((windows, 1), bias.dtype) @ bias.reshape(1, -1)).reshape(windows, *position_bias.shape)
    scores = product("whdq,whkd->whkq", q, k) + bias
    if regions is not None:
        scores = scores + shift_mask(regions)[:, None].astype(scores.dtype)
    weights = jnp.exp(scores - lax.stop_gradient(scores.max(axis=-2, keepdims=True)))
    # The softmax's division comes after the product with the values: there are fewer of them than weights.
    y = product("whdk,whkq->whdq", v, weights) / weights.sum(axis=-2, keepdims=True)
    return checkpoint_name(y.transpose(0, 3, 1, 2), _ATTENDED).reshape(windows, n, -1)


def linear(w: Weights, x: jax.Array, dtype: Any) -> jax.Array:
    """Linear layer, `[tokens, C]` -> `[tokens, features]`.

    The result is in the residual stream's dtype: rounding it to bfloat16 would take a CPU as long as the product.
    """
    return product("tc,cd->td", x.astype(dtype), w["kernel"].astype(dtype)) + w["bias"][None]


def linear_of_normalised(w: Weights, x: jax.Array, dtype: Any) -> jax.Array:
    """LayerNorm and the linear layer after it, by weights that remove the mean; the product is scaled, not `x`."""
    centred = x - x.mean(axis=-1, keepdims=True)
    # Rounded to bfloat16, kernels no longer remove the mean, and a large mean leaves few digits of the rest.
    factor = x if x.dtype == dtype else centred
    y = product("tc,cd->td", factor.astype(dtype), w["kernel"].astype(dtype))
    return y * reciprocal_deviation(centred) + w["bias"][None]


def layer_norm(w: Weights, x: jax.Array) -> jax.Array:
    """LayerNorm over the last axis, as `models.layers.layer_norm`."""
    x = x - x.mean(axis=-1, keepdims=True)
    scale, bias = (jnp.expand_dims(w[name], range(x.ndim - 1)) for name in ("scale", "bias"))
    return x * reciprocal_deviation(x) * scale + bias


def reciprocal_deviation(centred: jax.Array) -> jax.Array:
    """Returns LayerNorm's factor, `[..., C]` -> `[..., 1]`: one over the standard deviation of centred values."""
    return lax.rsqrt(jnp.square(centred).mean(axis=-1, keepdims=True) + LAYER_NORM_EPSILON)
