"""Convolutions by strips of rows: XLA packs what it convolves several times over, which of a photograph is too much."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from swinir_jax.cpu.weights import Weights
from swinir_jax.models.layers import precision, residual_dtype

STRIP_PIXELS = 4096  # of the features, to convolve at a time; 8192 take classical x4 17 MB more and no less time
# Of a strip, however wide the image: lower ones would be mostly the rows that they share with others.
_LEAST_ROWS = 16


def conv(w: Weights, x: jax.Array, dtype: Any) -> jax.Array:
    """A convolution that keeps the size, as `models.layers.conv`: `[B, H, W, C]` -> `[B, H, W, features]`."""
    return _biased(convolve, w, x, dtype)


def whole_conv(w: Weights, x: jax.Array, dtype: Any) -> jax.Array:
    """As `conv`, on an image that is itself a strip."""
    return _biased(_convolve_whole, w, x, dtype)


def _biased(convolution: Callable[..., jax.Array], w: Weights, x: jax.Array, dtype: Any) -> jax.Array:
    y = convolution(x.astype(dtype), w["kernel"].astype(dtype)).astype(residual_dtype(dtype))
    return y + w["bias"].reshape(1, 1, 1, -1)


@jax.custom_jvp
def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`[B, H, W, C]`, `[M, M, C, features]` -> `[B, H, W, features]`, with a derivative that is fast in loops, too.

    A CPU's fast library takes convolutions of axes in one order alone. XLA brings those of a gradient into that order
    outside of loops only; inside, where the layers of a network are, they would take forty times as long.
    """
    return in_strips(lambda strip: _convolve_whole(strip, kernel), x, kernel.shape[0] // 2)


@convolve.defjvp
def _convolve_jvp(
    primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    (x, kernel), (x_dot, kernel_dot) = primals, tangents
    # The axes' orders are those for which the transposed convolutions, of which the gradient consists, have the
    # library's: an image with its batch and channels swapped is convolved with a cotangent as large as itself.
    of_x = _convolve(x_dot, kernel.swapaxes(2, 3), ("NHWC", "HWOI", "NHWC"))
    of_kernel = _convolve(x.transpose(3, 1, 2, 0), kernel_dot.transpose(2, 0, 1, 3), ("CHWN", "IHWO", "HWNC"))
    return convolve(x, kernel), of_x + of_kernel.transpose(2, 0, 1, 3)


def _convolve_whole(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return _convolve(x, kernel, ("NHWC", "HWIO", "NHWC"))


def _convolve(x: jax.Array, kernel: jax.Array, axes: tuple[str, str, str]) -> jax.Array:
    """With axes of the image, the kernel and the result in any order, named as in `lax.conv_dimension_numbers`."""
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=axes, precision=precision(x.dtype))


def in_strips(f: Callable[[Any], jax.Array], x: Any, reach: int) -> jax.Array:
    """`f(x)` a strip of rows at a time, where the image is larger than a strip.

    Each strip is cut out with the rows that `f` reaches; at the image's border it ends there, so that what `f` does
    there, such as padding, it does there alone.

    Args:
      f: `x -> [B, H * scale, W', C']`, convolutions and what treats each pixel by itself.
      x: arrays `[B, H, W, C]`, each of its own C.
      reach: rows above and below a row of `x` that its results depend on, at most.

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

    restored = jax.eval_shape(lambda: strip(0))
    scale = restored.shape[1] // size

    def step(i: jax.Array, y: jax.Array) -> jax.Array:
        first = jnp.minimum(i * rows, h - rows)  # the last strip shares rows with the one before
        cut = jnp.clip(first - reach, 0, h - size)
        inner = lax.dynamic_slice_in_dim(strip(cut), (first - cut) * scale, rows * scale, axis=1)
        return lax.dynamic_update_slice_in_dim(y, inner, first * scale, axis=1)

    # All of it is overwritten. Zeros, which depend on nothing, XLA would make for all loops of a network up front.
    any_value = lax.stop_gradient(jax.tree.leaves(x)[0].ravel()[0]).astype(restored.dtype)
    y = jnp.full((restored.shape[0], h * scale, *restored.shape[2:]), any_value)
    return lax.fori_loop(0, -(-h // rows), step, y)
