"""The four ways from deep features to an image; plain functions for use in SwinIR's compact method."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from swinir_jax.config import SwinIRConfig
from swinir_jax.models.layers import Conv

NUM_FEAT = 64  # channels between the body and the last convolution, where there are such

Reconstruction = Callable[[jax.Array, jax.Array, SwinIRConfig, Any], jax.Array]


def pixel_shuffle(x: jax.Array, scale: int) -> jax.Array:
    """Turns channels into pixels, in PyTorch's channel order.

    Args:
      x: `[B, H, W, C * scale ** 2]`, channel `c * scale ** 2 + i * scale + j` being pixel (i, j) of channel c.
      scale: enlargement of the sides.

    Returns:
      `[B, H * scale, W * scale, C]`.
    """
    b, h, w, c = x.shape
    x = x.reshape(b, h, w, c // scale**2, scale, scale).transpose(0, 1, 4, 2, 5, 3)
    return x.reshape(b, h * scale, w * scale, c // scale**2)


def upsample_nearest(x: jax.Array) -> jax.Array:
    """`[B, H, W, C]` -> `[B, 2 H, 2 W, C]`, each pixel four times."""
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


def before_upsample(x: jax.Array, dtype: Any) -> jax.Array:
    """The convolution that narrows the deep features; the one LeakyReLU with PyTorch's default slope."""
    return nn.leaky_relu(Conv(NUM_FEAT, dtype=dtype, name="conv_before_upsample_0")(x), 0.01)


def pixelshuffle(deep: jax.Array, lq: jax.Array, config: SwinIRConfig, dtype: Any) -> jax.Array:
    """Classical SR: doubled as often as it takes, or tripled once."""
    x = before_upsample(deep, dtype)
    steps = [3] if config.upscale == 3 else [2] * (config.upscale.bit_length() - 1)
    for i, step in enumerate(steps):  # the official nn.Sequential alternates convolutions and shuffles
        x = pixel_shuffle(Conv(NUM_FEAT * step**2, dtype=dtype, name=f"upsample_{2 * i}")(x), step)
    return Conv(config.in_chans, dtype=dtype, name="conv_last")(x)


def pixelshuffledirect(deep: jax.Array, lq: jax.Array, config: SwinIRConfig, dtype: Any) -> jax.Array:
    """Lightweight SR: one convolution and one shuffle."""
    x = Conv(config.in_chans * config.upscale**2, dtype=dtype, name="upsample_0")(deep)
    return pixel_shuffle(x, config.upscale)


def nearest_conv(deep: jax.Array, lq: jax.Array, config: SwinIRConfig, dtype: Any) -> jax.Array:
    """Real-world SR: nearest-neighbour doublings, each smoothed by a convolution."""
    x = before_upsample(deep, dtype)
    for name in ("conv_up1", "conv_up2")[: config.upscale.bit_length() - 1]:
        x = nn.leaky_relu(Conv(NUM_FEAT, dtype=dtype, name=name)(upsample_nearest(x)), 0.2)
    x = nn.leaky_relu(Conv(NUM_FEAT, dtype=dtype, name="conv_hr")(x), 0.2)
    return Conv(config.in_chans, dtype=dtype, name="conv_last")(x)


def residual_image(deep: jax.Array, lq: jax.Array, config: SwinIRConfig, dtype: Any) -> jax.Array:
    """Denoising and JPEG artefact removal: what to add to the input."""
    return lq + Conv(config.in_chans, dtype=dtype, name="conv_last")(deep)


RECONSTRUCTIONS: Mapping[str, Reconstruction] = {
    "": residual_image,
    "pixelshuffle": pixelshuffle,
    "pixelshuffledirect": pixelshuffledirect,
    "nearest+conv": nearest_conv,
}
