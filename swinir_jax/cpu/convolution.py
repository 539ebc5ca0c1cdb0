"""Convolutions by strips of rows: XLA makes several packed copies of their input, too much for a photograph."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from swinir_jax.cpu.weights import Weights
from swinir_jax.models.precision import product_precision, residual_dtype

STRIP_PIXELS = 4096  # pixels of the features per strip; with 8192, classical x4 takes 17 MB more and no less time
_LEAST_ROWS = 16  # rows of a strip, however wide the image: lower strips would mostly be rows shared with others


def conv(w: Weights, x: jax.Array, dtype: Any) -> jax.Array:
    """Convolves by strips as `models.layers.conv`: `[B, H, W, C]` -> `[B, H, W, features]`."""
    return _with_bias(convolve, w, x, dtype)


def conv_whole(w: Weights, x: jax.Array, dtype: Any) -> jax.Array:
    """Convolves as `conv`, but without strips: for an image that is itself a strip."""
    return _with_bias(_convolve_whole, w, x, dtype)


def _with_bias(
    convolution: Callable[[jax.Array, jax.Array], jax.Array], w: Weights, x: jax.Array, dtype: Any
) -> jax.Array:
    y = convolution(x.astype(dtype), w["kernel"].astype(dtype)).astype(residual_dtype(dtype))
    return y + w["bias"].reshape(1, 1, 1, -1)


@jax.custom_jvp
def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolves by strips, with a derivative that is fast inside loops, too.

    XLA's fast library for CPUs takes convolutions whose axes have one order. Outside of loops XLA brings those of a
    gradient into this order, but inside, where the layers of a network are, it does not: they would take forty times as
    long.

    Args:
      x: `[B, H, W, C]`.
      kernel: `[K, K, C, features]`.

    Returns:
      `[B, H, W, features]`.
    """
    return in_strips(lambda strip: _convolve_whole(strip, kernel), x, kernel.shape[0] // 2)


@convolve.defjvp
def _convolve_jvp(
    primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    (x, kernel), (x_dot, kernel_dot) = primals, tangents
    # A gradient consists of the transposes of these two convolutions. With these orders of axes the transposes have the
    # library's order: the image, batch and channels swapped, is convolved with a cotangent of its own size.
    y_dot_by_x = _convolve(x_dot, kernel.swapaxes(2, 3), ("NHWC", "HWOI", "NHWC"))
    y_dot_by_kernel = _convolve(x.transpose(3, 1, 2, 0), kernel_dot.transpose(2, 0, 1, 3), ("CHWN", "IHWO", "HWNC"))
    return convolve(x, kernel), y_dot_by_x + y_dot_by_kernel.transpose(2, 0, 1, 3)


def _convolve_whole(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return _convolve(x, kernel, ("NHWC", "HWIO", "NHWC"))


def _convolve(x: jax.Array, kernel: jax.Array, axes: tuple[str, str, str]) -> jax.Array:
    """Convolves with zero padding; `axes` of input, kernel and output are named as in `lax.conv_dimension_numbers`."""
    return lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=axes, precision=product_precision(x.dtype)
    )


def in_strips(f: Callable[[Any], jax.Array], x: Any, reach: int) -> jax.Array:
    """Computes `f(x)` by strips of rows where the image is larger than a strip.

    Each strip comes with the neighbouring rows on which its result depends. At the border of the image a strip ends
    with the image, so that `f` pads there and only there.

    Args:
      f: `x -> [B, H * scale, W', C']`, made of convolutions and operations on single pixels.
      x: tree of arrays `[B, H, W, C]`, with any C each.
      reach: largest number of rows above and below a row of `x` on which its result depends.

    Returns:
      `f(x)`.
    """
    _, h, w, _ = jax.tree.leaves(x)[0].shape
    if jax.export.is_symbolic_dim(h) or jax.export.is_symbolic_dim(w):
        return f(x)
    rows = max(_LEAST_ROWS, STRIP_PIXELS // w)
    size = rows + 2 * reach
    if h <= size:
        return f(x)

    def strip(first: jax.Array | int) -> jax.Array:
        return f(jax.tree.map(lambda a: lax.dynamic_slice_in_dim(a, first, size, axis=1), x))

    strip_shape = jax.eval_shape(lambda: strip(0))
    scale = strip_shape.shape[1] // size

    def step(i: jax.Array, y: jax.Array) -> jax.Array:
        first = jnp.minimum(i * rows, h - rows)  # the last strip shares rows with the one before
        first_read = jnp.clip(first - reach, 0, h - size)
        result = lax.dynamic_slice_in_dim(strip(first_read), (first - first_read) * scale, rows * scale, axis=1)
        return lax.dynamic_update_slice_in_dim(y, result, first * scale, axis=1)

    # Every value is overwritten. Zeros would depend on nothing, and XLA would make them for all loops of a network at
    # its start.
    any_value = lax.stop_gradient(jax.tree.leaves(x)[0].ravel()[0]).astype(strip_shape.dtype)
    y = jnp.full((strip_shape.shape[0], h * scale, *strip_shape.shape[2:]), any_value)
    return lax.fori_loop(0, -(-h // rows), step, y)
