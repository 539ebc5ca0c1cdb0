"""Attention inside windows as one kernel: scores, bias, mask and softmax of a window never leave the chip.

Compiled by XLA, each of the steps reads and writes `[windows, heads, N, N]` float32 numbers, which takes far longer
than the arithmetic. Here, queries, keys and values are read once, from where the linear layer wrote them, and the
result is written once. The backward pass computes the weights again instead of keeping them.

One program takes one head of several windows in turn, so that the bias stays in registers and the bias's gradient is
summed there. The programs of a window's heads start one after the other: their columns of `qkv` share cache lines.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.pallas import cdiv, ds, next_power_of_2, pallas_call, program_id
from jax.experimental.pallas.triton import CompilerParams, load, store
from jax.sharding import Mesh, PartitionSpec


class Tuning(NamedTuple):
    """How the work is divided; the numbers do not change the result.

    Attributes:
      programs: about how many programs share the windows. Few leave processors idle towards the end; many read the
        bias often, and write many parts of its gradient.
      warps: warps of 32 threads for each program.
      stages: windows in work at a time; with 2, one is loaded while another is computed.
    """

    programs: int
    warps: int
    stages: int


TUNING = Tuning(programs=2048, warps=4, stages=2)


class Settings(NamedTuple):
    """Numbers that are fixed in a compiled kernel.

    Attributes:
      scale: factor on scores.
      masked: number added to masked scores.
      tuning: division of the work.
    """

    scale: float
    masked: float
    tuning: Tuning = TUNING


def is_supported(tokens: int, dtype: Any) -> bool:
    """Says whether there is a kernel for windows of `tokens` tokens and products in `dtype`.

    Arrays in a Triton program have sides of powers of two, which excludes windows of 7 x 7. Products of float32 numbers
    in full precision are made outside of the tensor cores, for which XLA's attention is as good.
    """
    return tokens == 64 and dtype == jnp.bfloat16


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def window_attention(qkv: jax.Array, bias: jax.Array, regions: jax.Array | None, settings: Settings) -> jax.Array:
    """Multi-head self-attention inside windows.

    Scores and softmax are float32; products take factors of the dtype of `qkv`. Has a reverse-mode derivative by `qkv`
    and `bias`, and no forward-mode one. Without an NVIDIA GPU, the kernel is interpreted, which is slow.

    Args:
      qkv: `[..., N, 3 C]`, queries, keys and values as a linear layer makes them: of each, C channels, head by head.
      bias: `[heads, N, N]`, added to the scores of each query and key.
      regions: `[..., N]` int32, with some of the last axes of windows: scores of tokens of different regions are
        masked. None for no mask.
      settings: scale of the scores and number for masked ones.

    Returns:
      `[..., N, C]` in the dtype of `qkv`.
    """
    return _forward(qkv, bias, regions, settings)


def _with_residuals(
    qkv: jax.Array, bias: jax.Array, regions: jax.Array | None, settings: Settings
) -> tuple[jax.Array, Any]:
    return _forward(qkv, bias, regions, settings), (qkv, bias, regions)


def _gradients(settings: Settings, residuals: Any, gradient: jax.Array) -> tuple[Any, ...]:
    qkv, bias, _ = residuals
    qkv_gradient, bias_gradients = _backward(*residuals, gradient.astype(qkv.dtype), settings)
    return qkv_gradient, bias_gradients.sum(axis=0).astype(bias.dtype), None


window_attention.defvjp(_with_residuals, _gradients)


def divided_attention(
    mesh: Mesh, qkv: jax.Array, bias: jax.Array, regions: jax.Array | None, settings: Settings
) -> jax.Array:
    """Computes `window_attention` on all devices of a mesh, each with an equal part of the first axis of `qkv`.

    The compiler cannot divide a kernel by itself. The gradient by `bias` is the sum over the devices.
    """
    part, whole = PartitionSpec(mesh.axis_names), PartitionSpec()

    def attend(qkv: jax.Array, bias: jax.Array, *regions: jax.Array) -> jax.Array:
        return window_attention(qkv, bias, regions[0] if regions else None, settings)

    given = () if regions is None else (regions,)
    specs = part, whole, *[whole for _ in given]
    return jax.shard_map(attend, mesh=mesh, in_specs=specs, out_specs=part, check_vma=False)(qkv, bias, *given)


# Compiled on their own, so that all layers of a network share one tracing.
@functools.partial(jax.jit, static_argnums=3)
def _forward(qkv: jax.Array, bias: jax.Array, regions: jax.Array | None, settings: Settings) -> jax.Array:
    """Returns the result of `window_attention`."""
    *windows, n, width = qkv.shape
    count = math.prod(windows)
    result = jax.ShapeDtypeStruct((count, n, width // 3), qkv.dtype)
    (y,) = _run(_forward_kernel, _arrays(qkv, bias, regions), lambda strips: [result], settings)
    return y.reshape(*windows, n, width // 3)


@functools.partial(jax.jit, static_argnums=4)
def _backward(
    qkv: jax.Array, bias: jax.Array, regions: jax.Array | None, gradient: jax.Array, settings: Settings
) -> tuple[jax.Array, jax.Array]:
    """Returns the gradients by `qkv` and, in `[strips of windows, heads, N, N]` parts, by `bias`."""
    arrays = _arrays(qkv, bias, regions)
    arrays.insert(2, gradient.reshape(-1, *gradient.shape[-2:]))
    by_qkv = jax.ShapeDtypeStruct(arrays[0].shape, qkv.dtype)

    def results(strips: int) -> list[jax.ShapeDtypeStruct]:
        return [by_qkv, jax.ShapeDtypeStruct((strips, *bias.shape), jnp.float32)]

    qkv_gradient, bias_gradients = _run(_backward_kernel, arrays, results, settings)
    return qkv_gradient.reshape(qkv.shape), bias_gradients


def _arrays(qkv: jax.Array, bias: jax.Array, regions: jax.Array | None) -> list[jax.Array]:
    """Returns the arguments of the kernels: `[windows, N, 3 C]`, `[heads, N, N]`, and if any `[windows, N]`."""
    arrays = [qkv.reshape(-1, *qkv.shape[-2:]), bias.astype(jnp.float32)]
    return arrays if regions is None else [*arrays, regions.reshape(-1, regions.shape[-1])]


def _run(
    kernel: Callable[..., None],
    arrays: Sequence[jax.Array],
    results: Callable[[int], list[jax.ShapeDtypeStruct]],
    settings: Settings,
) -> list[jax.Array]:
    """Runs a kernel with one program for each head and strip of windows.

    Args:
      kernel: function of the references to arrays and results, of `settings`, and of the number `strip` of windows in a
        strip.
      arrays: arguments; the first are `[windows, N, 3 C]` and `[heads, N, N]`.
      results: function of the number of strips, which returns the results' shapes.
      settings: as the kernel takes them, with the division of the work.
    """
    tuning = settings.tuning
    windows, heads = len(arrays[0]), len(arrays[1])
    strip = cdiv(windows * heads, tuning.programs)
    strips = cdiv(windows, strip)

    def call(interpret: bool, *arrays: jax.Array) -> list[jax.Array]:
        # A program finds its part of each array on its own: blocks of the grid have no sides like D = 30.
        return pallas_call(
            functools.partial(kernel, settings=settings, strip=strip),
            results(strips),
            grid=(heads, strips),  # heads vary fastest
            interpret=interpret,
            compiler_params=CompilerParams(num_warps=tuning.warps, num_stages=tuning.stages),
        )(*arrays)

    on_gpu, elsewhere = functools.partial(call, False), functools.partial(call, True)
    return lax.platform_dependent(*arrays, cuda=on_gpu, default=elsewhere)


def _forward_kernel(qkv_ref: Any, bias_ref: Any, *region_refs_and_y_ref: Any, settings: Settings, strip: int) -> None:
    """Attends in one head of a strip of windows."""
    *regions_ref, y_ref = region_refs_and_y_ref
    head, size = program_id(0), y_ref.shape[2] // len(bias_ref)
    bias = bias_ref[head]  # [N, N]

    def attend(window: jax.Array, _: None) -> None:
        q, k, v = _load_heads(qkv_ref, window, head, size, 3)
        weights, total = _weights(q, k, bias, regions_ref, window, settings)
        y = _dot(weights.astype(v.dtype), v, 1, 0) / total  # fewer divisions than of the weights
        _store_heads(y_ref, window, head, size, [y])

    _for_each_window(attend, strip, len(qkv_ref), None)


def _backward_kernel(
    qkv_ref: Any, bias_ref: Any, gradient_ref: Any, *other_refs: Any, settings: Settings, strip: int
) -> None:
    """Computes the gradients of one head of a strip of windows."""
    *regions_ref, qkv_gradient_ref, bias_gradient_ref = other_refs
    head, size = program_id(0), gradient_ref.shape[2] // len(bias_ref)
    bias = bias_ref[head]  # [N, N]

    def differentiate(window: jax.Array, bias_gradient: jax.Array) -> jax.Array:
        q, k, v = _load_heads(qkv_ref, window, head, size, 3)
        (by_y,) = _load_heads(gradient_ref, window, head, size, 1)
        weights, total = _weights(q, k, bias, regions_ref, window, settings)
        weights = weights / total
        by_v = _dot(weights.astype(v.dtype), by_y, 0, 0)
        by_weights = _dot(by_y, v, 1, 1)
        by_scores = weights * (by_weights - (weights * by_weights).sum(axis=1, keepdims=True))  # [N, N]
        rounded = by_scores.astype(v.dtype)
        by_q, by_k = _dot(rounded, k, 1, 0) * settings.scale, _dot(rounded, q, 0, 0) * settings.scale
        _store_heads(qkv_gradient_ref, window, head, size, [by_q, by_k, by_v])
        return bias_gradient + by_scores

    bias_gradient_ref[program_id(1), head] = _for_each_window(
        differentiate, strip, len(qkv_ref), jnp.zeros(bias.shape, jnp.float32)
    )


def _for_each_window(f: Callable[..., Any], strip: int, windows: int, first: Any) -> Any:
    """Folds `f(window, value) -> value` over the windows of this program's strip; the last one may be shorter."""
    start = program_id(1) * strip
    return lax.fori_loop(start, jnp.minimum(start + strip, windows), f, first)


def _weights(
    q: jax.Array, k: jax.Array, bias: jax.Array, regions_ref: Any, window: jax.Array, settings: Settings
) -> tuple[jax.Array, jax.Array]:
    """Returns exponentials of scores, `[N, N]` float32 of each query and key, and their sums, `[N, 1]`."""
    scores = _dot(q, k, 1, 1) * settings.scale + bias
    for ref in regions_ref:  # one or none
        regions = ref[lax.rem(window, len(ref))]  # the same for each image
        scores = jnp.where(regions[:, None] == regions[None, :], scores, scores + settings.masked)
    weights = jnp.exp(scores - scores.max(axis=1, keepdims=True))
    return weights, weights.sum(axis=1, keepdims=True)


def _dot(a: jax.Array, b: jax.Array, a_axis: int, b_axis: int) -> jax.Array:
    """Multiplies matrices, summing over one axis of each, in float32."""
    precision = lax.Precision.HIGHEST if a.dtype == jnp.float32 else None
    return lax.dot_general(
        a, b, (((a_axis,), (b_axis,)), ((), ())), precision=precision, preferred_element_type=jnp.float32
    )


def _load_heads(ref: Any, window: jax.Array, head: jax.Array, size: int, count: int) -> list[jax.Array]:
    """Loads `[N, D]` of a head from each of `count` groups of channels; D is filled up to a power of two by zeros."""
    return [load(part, mask=mask, other=0.0) for part, mask in _parts(ref, window, head, size, count)]


def _store_heads(ref: Any, window: jax.Array, head: jax.Array, size: int, values: Sequence[jax.Array]) -> None:
    """Stores what `_load_heads` would load."""
    for (part, mask), value in zip(_parts(ref, window, head, size, len(values)), values, strict=True):
        store(part, value.astype(ref.dtype), mask=mask)


def _parts(ref: Any, window: jax.Array, head: jax.Array, size: int, count: int) -> list[tuple[Any, jax.Array]]:
    n, width = ref.shape[1], max(16, next_power_of_2(size))  # products sum over 16 channels or more
    mask = lax.broadcasted_iota(jnp.int32, (n, width), 1) < size
    channels = ref.shape[2] // count
    return [(ref.at[window, :, ds(i * channels + head * size, width)], mask) for i in range(count)]
