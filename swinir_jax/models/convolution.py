"""Convolution that keeps the size, with the gradient that suits the platform: the one place that decides."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from swinir_jax.models.strips import in_strips

_STRIP_PIXELS = 4096  # of the image, to convolve at a time on a CPU

Convolution = Callable[[jax.Array, jax.Array], jax.Array]  # (image, kernel) -> image, as `convolve`


def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolves with zero padding, as PyTorch's `Conv2d` does.

    Args:
      x: `[B, H, W, C]`.
      kernel: `[M, M, C, features]`, M odd, of the same dtype.

    Returns:
      `[B, H, W, features]`; float32 is not rounded to fewer bits on its way.
    """
    return lax.platform_dependent(x, kernel, cpu=convolve_on_cpu, default=convolve_plainly)


def convolve_plainly(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The reference, and what GPUs and TPUs run."""
    return _convolve(x, kernel, ("NHWC", "HWIO", "NHWC"))


@jax.custom_jvp
def convolve_on_cpu(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """As `convolve_plainly`, by strips of rows, with a derivative that is fast in loops, too.

    A CPU's fast library takes convolutions of axes in one order alone. XLA brings those of a gradient into that order
    outside of loops only; inside, where training in several parts is, they would take forty times as long.
    """
    return in_strips(lambda strip: convolve_plainly(strip, kernel), x, kernel.shape[0] // 2, _STRIP_PIXELS)


@convolve_on_cpu.defjvp
def _convolve_on_cpu_jvp(
    primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    (x, kernel), (x_dot, kernel_dot) = primals, tangents
    # The axes' orders are those for which the transposed convolutions, of which the gradient consists, have the
    # library's: an image with its batch and channels swapped is convolved with a cotangent as large as itself.
    of_x = _convolve(x_dot, kernel.swapaxes(2, 3), ("NHWC", "HWOI", "NHWC"))
    of_kernel = _convolve(x.transpose(3, 1, 2, 0), kernel_dot.transpose(2, 0, 1, 3), ("CHWN", "IHWO", "HWNC"))
    return convolve_on_cpu(x, kernel), of_x + of_kernel.transpose(2, 0, 1, 3)


def _convolve(x: jax.Array, kernel: jax.Array, axes: tuple[str, str, str]) -> jax.Array:
    """With axes of the image, the kernel and the result in any order, named as in `lax.conv_dimension_numbers`."""
    precision = None if x.dtype == jnp.bfloat16 else lax.Precision.HIGHEST
    return lax.conv_general_dilated(
        x, kernel, window_strides=(1, 1), padding="SAME", dimension_numbers=axes, precision=precision
    )
