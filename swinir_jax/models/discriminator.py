"""The U-Net discriminator with spectral normalisation of Real-ESRGAN (Wang et al. 2021), after KAIR's.

Named after KAIR's `models/network_discriminator.py`, `Discriminator_UNet`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from swinir_jax.models.convolution import Convolution
from swinir_jax.models.precision import convolve, residual_dtype

SPECTRAL = "spectral_norm"
"""Collection of the singular vectors that the power iteration keeps."""
_EPSILON = 1e-12  # of the norms of singular vectors, as PyTorch's
_INITIALIZER = nn.initializers.orthogonal(0.2)  # as in KAIR's options


class SpectralConv(nn.Module):
    """A convolution without bias, whose kernel is divided by its largest singular value.

    The singular vectors `u` and `v` of the kernel as a matrix `[kernel * kernel * in, out]` lie in the collection
    `SPECTRAL`; `power_iteration` improves them.

    Attributes:
      features: output channels.
      kernel: side of the kernel.
      stride: step between outputs in pixels.
      dtype: dtype of the products.
      convolution: function of `x, kernel, stride, padding, dtype`.
    """

    features: int
    kernel: int = 3
    stride: int = 1
    dtype: Any = jnp.float32
    convolution: Callable[..., jax.Array] = convolve

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """`[B, H, W, C]` -> `[B, H / stride, W / stride, features]`."""
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        kernel = self.param("kernel", _INITIALIZER, shape, jnp.float32)
        matrix = kernel.reshape(-1, self.features)
        u, v = (
            self.variable(SPECTRAL, name, lambda side=side: _normalised(jnp.ones(side, matrix.dtype))).value
            for name, side in (("u", self.features), ("v", len(matrix)))
        )
        sigma = v @ matrix @ u
        padding = (((self.kernel - 1) // 2,) * 2,) * 2
        return self.convolution(x, kernel / sigma, self.stride, padding, self.dtype)


class Discriminator(nn.Module):
    """Tells real photographs from restored ones, for each pixel.

    Attributes:
      features: channels at full resolution; 64 in the paper.
      dtype: dtype of the products.
      convolution: convolution of the normalised layers, as in `SpectralConv`.
    """

    features: int = 64
    dtype: Any = jnp.float32
    convolution: Callable[..., jax.Array] = convolve

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        """Judges images.

        Args:
          image: `[B, H, W, 3]` RGB in [0, 1]; sides are multiples of 8.

        Returns:
          `[B, H, W, 1]` logits, above 0 for real.
        """
        f = self.features

        def step(index: int, x: jax.Array, features: int, kernel: int = 3, stride: int = 1) -> jax.Array:
            layer = SpectralConv(features, kernel, stride, self.dtype, self.convolution, name=f"conv{index}")
            return nn.leaky_relu(layer(x), 0.2)

        def plain(name: str, features: int) -> Convolution:
            return Convolution(features, 3, _INITIALIZER, dtype=self.dtype, name=name)

        x0 = nn.leaky_relu(plain("conv0", f)(image), 0.2)
        x1 = step(1, x0, 2 * f, kernel=4, stride=2)
        x2 = step(2, x1, 4 * f, kernel=4, stride=2)
        x3 = step(3, x2, 8 * f, kernel=4, stride=2)
        x4 = step(4, _doubled(x3), 4 * f) + x2
        x5 = step(5, _doubled(x4), 2 * f) + x1
        x6 = step(6, _doubled(x5), f) + x0
        out = step(8, step(7, x6, f), f)
        return plain("conv9", 1)(out).astype(residual_dtype(self.dtype))


def power_iteration(params: Mapping[str, Any], spectral: Mapping[str, Any]) -> dict[str, dict[str, jax.Array]]:
    """Improves the singular vectors by one power iteration, which PyTorch makes in each pass in training.

    Args:
      params: parameters of a `Discriminator`.
      spectral: the collection `SPECTRAL`.

    Returns:
      The improved collection.
    """
    improved = {}
    for layer, vectors in spectral.items():
        u, v = _singular_vectors(params[layer]["kernel"], vectors["u"])
        improved[layer] = {"u": u, "v": v}
    return improved


def _singular_vectors(kernel: jax.Array, u: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the next estimates of u and v; no gradient passes through them."""
    matrix = jax.lax.stop_gradient(kernel).reshape(-1, kernel.shape[-1])
    v = _normalised(matrix @ u)
    return _normalised(v @ matrix), v


def _doubled(x: jax.Array) -> jax.Array:
    """Doubles both sides by bilinear interpolation, as PyTorch with `align_corners=False`."""
    b, h, w, c = x.shape
    return jax.image.resize(x, (b, 2 * h, 2 * w, c), "bilinear")


def _normalised(vector: jax.Array) -> jax.Array:
    return vector / jnp.maximum(jnp.linalg.norm(vector), _EPSILON)
