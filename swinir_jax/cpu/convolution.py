"""Convolutions by strips of rows, as XLA packs their input several times, with gradients by matrix products."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from swinir_jax.cpu.weights import Weights
from swinir_jax.models import precision
from swinir_jax.models.precision import product, product_precision, residual_dtype

Padding = tuple[tuple[int, int], tuple[int, int]]

PRODUCT_PIXELS = 1024  # pixels of the output per matrix product in the gradient by a kernel
STRIP_PIXELS = 4096  # pixels of the features per strip; with 8192, classical x4 takes 17 MB more and no less time
_LEAST_ROWS = 16  # rows of a strip, however wide the image: lower strips would mostly be rows shared with others


def conv(w: Weights, x: jax.Array, dtype: Any) -> jax.Array:
    """Convolves by strips as a convolution of `models.layers`; returns `[B, H, W, features]` in the residual dtype."""
    return _with_bias(convolve, w, x, dtype)


def conv_whole(w: Weights, x: jax.Array, dtype: Any) -> jax.Array:
    """Convolves as `conv`, but without strips: for an image that is itself a strip."""
    return _with_bias(_convolve_whole, w, x, dtype)


def _with_bias(
    convolution: Callable[[jax.Array, jax.Array], jax.Array], w: Weights, x: jax.Array, dtype: Any
) -> jax.Array:
    y = convolution(x.astype(dtype), w["kernel"].astype(dtype)).astype(residual_dtype(dtype))
    return y + w["bias"].reshape(1, 1, 1, -1)


def convolve_padded(x: jax.Array, kernel: jax.Array, stride: int, padding: Padding, dtype: Any) -> jax.Array:
    """Convolves as `models.precision.convolve`, for layers with kernels that are trained."""
    return convolve(x.astype(dtype), kernel.astype(dtype), stride, padding)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def convolve(x: jax.Array, kernel: jax.Array, stride: int = 1, padding: Padding | None = None) -> jax.Array:
    """Convolves with derivatives that are fast on a CPU.

    Args:
      x: `[B, H, W, C]`.
      kernel: `[K, K, C, features]`.
      stride: step between outputs in pixels.
      padding: rows above and below, columns left and right, of zeros; None for an output of the size of `x`, which is
        computed by strips; K is odd then.

    Returns:
      `[B, H', W', features]` in the dtype of `x`; float32 if `x` is bfloat16 and `padding` is None.
    """
    if padding is None:
        return in_strips(lambda strip: _convolve_whole(strip, kernel), x, len(kernel) // 2)
    return precision.convolve(x, kernel, stride, padding, x.dtype)


@convolve.defjvp
def _convolve_jvp(
    stride: int,
    padding: Padding | None,
    primals: tuple[jax.Array, jax.Array],
    tangents: tuple[jax.Array, jax.Array],
) -> tuple[jax.Array, jax.Array]:
    (x, kernel), (x_dot, kernel_dot) = primals, tangents
    around = padding or ((len(kernel) // 2,) * 2,) * 2
    # The transpose of this convolution has the order of axes that XLA's fast library for CPUs takes. Outside of loops
    # XLA brings gradients into this order, but inside, where the layers of a network are, it does not: they would take
    # forty times as long.
    y_dot_by_x = precision.convolve(x_dot, kernel.swapaxes(2, 3), stride, around, x.dtype, kernel_axes="HWOI")
    y = convolve(x, kernel, stride, padding)
    return y, (y_dot_by_x + _convolve_by_products(x, kernel_dot, stride, around)).astype(y.dtype)


def _convolve_by_products(x: jax.Array, kernel: jax.Array, stride: int, padding: Padding) -> jax.Array:
    """Convolves as `models.precision.convolve`, a few rows at a time, each time by one matrix product.

    The gradient by the kernel is then a sum of matrix products. XLA's own is a convolution with a kernel as large as
    the image, which takes up to six times as long.
    """
    side, _, _, features = kernel.shape
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    h, w = ((n - side) // stride + 1 for n in x.shape[1:3])
    rows = next(n for n in range(max(1, min(h, PRODUCT_PIXELS // w)), 0, -1) if h % n == 0)

    @jax.checkpoint  # keeps x for the gradient, not K * K copies
    def product(kernel: jax.Array, place: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        image, row = place
        size = (1, (rows - 1) * stride + side, *x.shape[2:])
        read = lax.dynamic_slice(x, (image, row * stride, 0, 0), size)[0]
        taps = [read[i::stride, j::stride][:rows, :w] for i in range(side) for j in range(side)]
        columns = jnp.concatenate(taps, axis=-1).reshape(rows * w, -1)
        matrix = kernel.reshape(-1, features).astype(x.dtype)
        return kernel, jnp.dot(columns, matrix, precision=product_precision(x.dtype))

    places = jnp.meshgrid(jnp.arange(len(x)), jnp.arange(0, h, rows), indexing="ij")
    # The gradient is summed in the dtype of the kernel that is carried.
    _, y = lax.scan(product, kernel.astype(residual_dtype(x.dtype)), [place.ravel() for place in places])
    return y.reshape(len(x), h, w, features)


def _convolve_whole(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolves; in bfloat16, in which XLA multiplies faster than it convolves, by a product for each kernel row."""
    if x.dtype != jnp.bfloat16:
        return precision.convolve(x, kernel, 1, "SAME", x.dtype)
    side, _, c, features = kernel.shape
    h, w = x.shape[1:3]
    x = jnp.pad(x, ((0, 0), *((side // 2,) * 2,) * 2, (0, 0)))
    beside = jnp.concatenate([x[:, :, i : i + w] for i in range(side)], axis=-1)
    rows = kernel.reshape(side, side * c, features)
    products = (product("bhwc,cd->bhwd", beside[:, i : i + h], rows[i]) for i in range(side))
    return functools.reduce(jnp.add, products)


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
