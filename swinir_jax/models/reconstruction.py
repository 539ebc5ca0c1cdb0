"""Image reconstruction: from deep features to an image, in the four ways that SwinIR knows.

Modules and `swinir_jax.cpu` share these functions. Each takes:

  convolve: the convolution, which finds its own parameters by name (see `Convolve`).
  deep: `[B, H, W, embed_dim]` deep features.
  lq: `[B, H, W, in_chans]`, the network's input.
  config: network configuration.

and returns `[B, H * upscale, W * upscale, in_chans]`.
"""

from collections.abc import Callable, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from swinir_jax.config import SwinIRConfig
from swinir_jax.models.layers import Convolve

NUM_FEAT = 64  # channels between the body and the last convolution

# Rows of features above and below a row of the features that its result depends on: two convolutions come before the
# first enlargement, and all later ones, on finer rows, add up to less than one.
REACH = 3

Reconstruction = Callable[[Convolve, jax.Array, jax.Array, SwinIRConfig], jax.Array]


def residual_image(convolve: Convolve, deep: jax.Array, lq: jax.Array, config: SwinIRConfig) -> jax.Array:
    """Denoising and JPEG artefact removal: the features' image is added to the input."""
    return lq + convolve(deep, config.in_chans, "conv_last")


def pixelshuffledirect(convolve: Convolve, deep: jax.Array, lq: jax.Array, config: SwinIRConfig) -> jax.Array:
    """Lightweight SR: one convolution and one pixel shuffle."""
    return pixel_shuffle(convolve(deep, config.in_chans * config.upscale**2, "upsample_0"), config.upscale)


def pixelshuffle(convolve: Convolve, deep: jax.Array, lq: jax.Array, config: SwinIRConfig) -> jax.Array:
    """Classical SR: pixel shuffles that double the sides, log2(upscale) of them, or one that triples them."""
    x = before_upsample(convolve, deep)
    scales = [3] if config.upscale == 3 else [2] * (config.upscale.bit_length() - 1)
    for i, scale in enumerate(scales):  # even numbers: the official nn.Sequential counts the shuffles, too
        x = pixel_shuffle(convolve(x, NUM_FEAT * scale**2, f"upsample_{2 * i}"), scale)
    return convolve(x, config.in_chans, "conv_last")


def nearest_conv(convolve: Convolve, deep: jax.Array, lq: jax.Array, config: SwinIRConfig) -> jax.Array:
    """Real-world SR: nearest-neighbour doublings, each smoothed by a convolution."""
    x = before_upsample(convolve, deep)
    for name in ("conv_up1", "conv_up2")[: config.upscale.bit_length() - 1]:
        x = nn.leaky_relu(convolve(upsample_nearest(x), NUM_FEAT, name), 0.2)
    x = nn.leaky_relu(convolve(x, NUM_FEAT, "conv_hr"), 0.2)
    return convolve(x, config.in_chans, "conv_last")


# By `SwinIRConfig.upsampler`.
RECONSTRUCTIONS: Mapping[str, Reconstruction] = {
    "": residual_image,
    "pixelshuffledirect": pixelshuffledirect,
    "pixelshuffle": pixelshuffle,
    "nearest+conv": nearest_conv,
}


def before_upsample(convolve: Convolve, x: jax.Array) -> jax.Array:
    """Narrows deep features to `NUM_FEAT` channels; this LeakyReLU alone has PyTorch's default slope."""
    return nn.leaky_relu(convolve(x, NUM_FEAT, "conv_before_upsample_0"), 0.01)


def pixel_shuffle(x: jax.Array, scale: int) -> jax.Array:
    """Turns channels into pixels, in PyTorch's channel order.

    Args:
      x: `[B, H, W, C * scale ** 2]`; channel `c * scale ** 2 + i * scale + j` is pixel (i, j) of channel c.
      scale: enlargement of the sides.

    Returns:
      `[B, H * scale, W * scale, C]`.
    """
    b, h, w, channels = x.shape
    c = channels // scale**2
    x = x.reshape(b, h, w, c * scale, scale)  # each reshape cuts or joins one axis, as in `window_partition`
    x = x.reshape(b, h, w, c, scale, scale).transpose(0, 1, 4, 2, 5, 3)  # [B, H, scale, W, scale, C]
    x = x.reshape(b, h * scale, w, scale, c)
    return x.reshape(b, h * scale, w * scale, c)


def upsample_nearest(x: jax.Array) -> jax.Array:
    """Repeats each pixel in both directions: `[B, H, W, C]` -> `[B, 2 H, 2 W, C]`."""
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
