"""Convolutions by name, and the end of each RSTB, which is made of them."""

import math
from collections.abc import Callable
from typing import Any, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp

from swinir_jax.config import SwinIRConfig
from swinir_jax.models import precision
from swinir_jax.models.precision import add_bias, residual_dtype


class Convolve(Protocol):
    """A convolution that finds its own parameters by name: `Convolutions`, or the one of `swinir_jax.cpu`.

    `residual_conv` and the reconstructions take it as an argument, so that modules and `swinir_jax.cpu` share them.
    """

    def __call__(self, x: jax.Array, features: int, name: str, kernel: int = 3) -> jax.Array:
        """`[B, H, W, C]` -> `[B, H, W, features]`."""


class Convolutions:
    """The convolutions of one module by name, with zero padding, which keeps the size.

    Make it in a compact method: the calling module owns the kernels and biases, initialised as PyTorch's `Conv2d`.

    Attributes:
      dtype: dtype of the convolutions.
    """

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        self._made: dict[str, Convolution] = {}

    def __call__(self, x: jax.Array, features: int, name: str, kernel: int = 3) -> jax.Array:
        """Convolves; a second call of one name uses the same parameters.

        Args:
          x: `[B, H, W, C]`.
          features: number of output channels.
          name: name of the convolution in the calling module.
          kernel: side of the kernel, odd.

        Returns:
          `[B, H, W, features]` in the residual stream's dtype.
        """
        if name not in self._made:
            bound = 1 / math.sqrt(kernel**2 * x.shape[-1])

            def uniform(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
                return jax.random.uniform(key, shape, dtype, -bound, bound)

            self._made[name] = Convolution(features, kernel, uniform, uniform, self.dtype, name=name)
        return self._made[name](x).astype(residual_dtype(self.dtype))


class Convolution(nn.Module):
    """Convolution with zero padding; `nn.Conv` would sum the gradient of the bias in `dtype`.

    Attributes:
      features: number of output channels.
      kernel: side of the kernel, odd.
      kernel_init: initialiser of the kernel.
      bias_init: initialiser of the bias.
      dtype: dtype of the convolution.
    """

    features: int
    kernel: int
    kernel_init: Callable[..., jax.Array]
    bias_init: Callable[..., jax.Array] = nn.initializers.zeros
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """`[B, H, W, C]` -> `[B, H, W, features]` in `dtype`."""
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        y = precision.convolve(x, self.param("kernel", self.kernel_init, shape, jnp.float32), 1, "SAME", self.dtype)
        return add_bias(y, self.param("bias", self.bias_init, (self.features,), jnp.float32))


def residual_conv(convolve: Convolve, x: jax.Array, config: SwinIRConfig, name: str) -> jax.Array:
    """The end of each RSTB and of the body: one convolution, or three with a bottleneck of a quarter of the width."""
    c = config.embed_dim
    if config.resi_connection == "1conv":
        return convolve(x, c, name)
    x = nn.leaky_relu(convolve(x, c // 4, f"{name}_0"), 0.2)
    x = nn.leaky_relu(convolve(x, c // 4, f"{name}_2", kernel=1), 0.2)
    return convolve(x, c, f"{name}_4")
