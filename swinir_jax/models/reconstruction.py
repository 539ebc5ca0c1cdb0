"""The four ways from deep features to an image, by a `convolve(x, features, name)` that has the parameters."""

from collections.abc import Callable, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from swinir_jax.config import SwinIRConfig

NUM_FEAT = 64  # channels between the body and the last convolution, where there are such

# Rows of the features around a row of them that the result depends on: two convolutions come before the first
# enlargement, and all behind it, on finer rows, add up to less than one.
REACH = 3

Convolve = Callable[[jax.Array, int, str], jax.Array]
Reconstruction = Callable[[Convolve, jax.Array, jax.Array, SwinIRConfig], jax.Array]


def pixel_shuffle(x: jax.Array, scale: int) -> jax.Array:
    """Turns channels into pixels, in PyTorch's channel order.

    Args:
      x: `[B, H, W, C * scale ** 2]`, channel `c * scale ** 2 + i * scale + j` being pixel (i, j) of channel c.
      scale: enlargement of the sides.

    Returns:
      `[B, H * scale, W * scale, C]`.
    """
    b, h, w, channels = x.shape
    c = channels // scale**2
    x = x.reshape(b, h, w, c * scale, scale)  # one axis a time, as `window_partition`
    x = x.reshape(b, h, w, c, scale, scale).transpose(0, 1, 4, 2, 5, 3)
    x = x.reshape(b, h * scale, w, scale, c)
    return x.reshape(b, h * scale, w * scale, c)


def upsample_nearest(x: jax.Array) -> jax.Array:
    """`[B, H, W, C]` -> `[B, 2 H, 2 W, C]`, each pixel four times."""
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


def before_upsample(convolve: Convolve, x: jax.Array) -> jax.Array:
    """The convolution that narrows the deep features; the one LeakyReLU with PyTorch's default slope."""
    return nn.leaky_relu(convolve(x, NUM_FEAT, "conv_before_upsample_0"), 0.01)


def pixelshuffle(convolve: Convolve, deep: jax.Array, lq: jax.Array, config: SwinIRConfig) -> jax.Array:
    """Classical SR: doubled as often as it takes, or tripled once."""
    x = before_upsample(convolve, deep)
    steps = [3] if config.upscale == 3 else [2] * (config.upscale.bit_length() - 1)
    for i, step in enumerate(steps):  # the official nn.Sequential alternates convolutions and shuffles
        x = pixel_shuffle(convolve(x, NUM_FEAT * step**2, f"upsample_{2 * i}"), step)
    return convolve(x, config.in_chans, "conv_last")


def pixelshuffledirect(convolve: Convolve, deep: jax.Array, lq: jax.Array, config: SwinIRConfig) -> jax.Array:
    """Lightweight SR: one convolution and one shuffle."""
    x = convolve(deep, config.in_chans * config.upscale**2, "upsample_0")
    return pixel_shuffle(x, config.upscale)


def nearest_conv(convolve: Convolve, deep: jax.Array, lq: jax.Array, config: SwinIRConfig) -> jax.Array:
    """Real-world SR: nearest-neighbour doublings, each smoothed by a convolution."""
    x = before_upsample(convolve, deep)
    for name in ("conv_up1", "conv_up2")[: config.upscale.bit_length() - 1]:
        x = nn.leaky_relu(convolve(upsample_nearest(x), NUM_FEAT, name), 0.2)
    x = nn.leaky_relu(convolve(x, NUM_FEAT, "conv_hr"), 0.2)
    return convolve(x, config.in_chans, "conv_last")


def residual_image(convolve: Convolve, deep: jax.Array, lq: jax.Array, config: SwinIRConfig) -> jax.Array:
    """Denoising and JPEG artefact removal: what to add to the input."""
    return lq + convolve(deep, config.in_chans, "conv_last")


RECONSTRUCTIONS: Mapping[str, Reconstruction] = {
    "": residual_image,
    "pixelshuffle": pixelshuffle,
    "pixelshuffledirect": pixelshuffledirect,
    "nearest+conv": nearest_conv,
}
