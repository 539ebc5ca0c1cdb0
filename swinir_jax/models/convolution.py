"""Convolution that keeps the size, with the gradient that suits the platform: the one place that decides."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from swinir_jax.models.strips import in_strips


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
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(1, 1),
        padding="SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=_precision(x),
    )


@jax.custom_jvp
def convolve_on_cpu(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """As `convolve_plainly`, by strips of rows, with a derivative of matrix products, one for each pixel of the kernel.

    XLA's CPU backend brings the convolutions that a gradient consists of into the form of its fast library only outside
    of loops; inside, where the RSTBs are, they take forty times as long.
    """
    return in_strips(lambda strip: convolve_plainly(strip, kernel), x, kernel.shape[0] // 2)


@convolve_on_cpu.defjvp
def _convolve_on_cpu_jvp(
    primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    (x, kernel), (x_dot, kernel_dot) = primals, tangents
    y = convolve_on_cpu(x, kernel)
    return y, (_by_products(x_dot, kernel) + _by_products(x, kernel_dot)).reshape(y.shape)


def _by_products(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The convolution as a sum of matrix products: `[B * H * W, features]`."""
    size, (_, h, w, c) = kernel.shape[0], x.shape
    pad = (size // 2, size // 2)
    padded = jnp.pad(x, ((0, 0), pad, pad, (0, 0)))
    products = [
        jnp.dot(padded[:, i : i + h, j : j + w].reshape(-1, c), kernel[i, j], precision=_precision(x))
        for i in range(size)
        for j in range(size)
    ]
    return functools.reduce(jnp.add, products)


def _precision(x: jax.Array) -> lax.Precision | None:
    return None if x.dtype == jnp.bfloat16 else lax.Precision.HIGHEST
