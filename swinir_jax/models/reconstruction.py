"""Image reconstruction: from deep features to an image, in SwinIR's four ways and the two more of Swin2SR.

Modules and `swinir_jax.cpu` share these functions. Each takes:

  convolve: the convolution, which finds its own parameters by name (see `Convolve`).
  deep: `[B, H, W, embed_dim]` deep features.
  lq: `[B, H, W, in_chans * unshuffle ** 2]`, the network's input.
  config: network configuration.

and returns `[B, H * enlargement, W * enlargement, in_chans]`.
"""

from collections.abc import Callable, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from swinir_jax.config import SwinIRConfig
from swinir_jax.models.convolution import Convolve

NUM_FEAT = 64  # channels between the body and the last convolution

Reconstruction = Callable[[Convolve, jax.Array, jax.Array, SwinIRConfig], jax.Array]


def residual_image(convolve: Convolve, deep: jax.Array, lq: jax.Array, config: SwinIRConfig) -> jax.Array:
    """Denoising and JPEG artefact removal: the features' image is added to the input."""
    return lq + convolve(deep, config.in_chans, "conv_last")


def pixelshuffledirect(convolve: Convolve, deep: jax.Array, lq: jax.Array, config: SwinIRConfig) -> jax.Array:
    """Lightweight SR: one convolution and one pixel shuffle."""
    scale = config.enlargement
    return pixel_shuffle(convolve(deep, config.in_chans * scale**2, "upsample_0"), scale)


def pixelshuffle(convolve: Convolve, deep: jax.Array, lq: jax.Array, config: SwinIRConfig) -> jax.Array:
    """Classical SR."""
    x = upsample(convolve, before_upsample(convolve, deep), config)
    return convolve(x, config.in_chans, "conv_last")


def nearest_conv(convolve: Convolve, deep: jax.Array, lq: jax.Array, config: SwinIRConfig) -> jax.Array:
    """Real-world SR: nearest-neighbour doublings, each smoothed by a convolution."""
    x = before_upsample(convolve, deep)
    for name in ("conv_up1", "conv_up2", "conv_up3")[: config.enlargement.bit_length() - 1]:
        x = nn.leaky_relu(convolve(upsample_nearest(x), NUM_FEAT, name), 0.2)
    x = nn.leaky_relu(convolve(x, NUM_FEAT, "conv_hr"), 0.2)
    return convolve(x, config.in_chans, "conv_last")


def pixelshuffle_aux(convolve: Convolve, deep: jax.Array, lq: jax.Array, config: SwinIRConfig) -> jax.Array:
    """SR of compressed images: features come from an auxiliary LQ image, and those of the enlarged input are added.

    The original squeezes a padded input into the size without padding, which shifts it; here it stays in place.
    """
    x = auxiliary_image(convolve, deep, config)
    x = upsample(convolve, nn.leaky_relu(convolve(x, NUM_FEAT, "conv_after_aux_0"), 0.01), config)
    x = x + convolve(upsample_bicubic(lq, config.enlargement), NUM_FEAT, "conv_bicubic")
    return convolve(x, config.in_chans, "conv_last")


# By `SwinIRConfig.upsampler`. The first answer of `pixelshuffle_hf` is that of `pixelshuffle`.
RECONSTRUCTIONS: Mapping[str, Reconstruction] = {
    "": residual_image,
    "pixelshuffledirect": pixelshuffledirect,
    "pixelshuffle": pixelshuffle,
    "nearest+conv": nearest_conv,
    "pixelshuffle_aux": pixelshuffle_aux,
    "pixelshuffle_hf": pixelshuffle,
}

# Rows of features above and below a row of the features that its result depends on, rounded up: one for each
# convolution before the first enlargement, and a part of one for each later one, which sees finer rows. At x2,
# `nearest+conv` has one and three halves, `pixelshuffle` two and a half.
REACH: Mapping[str, int] = {**dict.fromkeys(RECONSTRUCTIONS, 3), "pixelshuffle_aux": 5}


def before_upsample(convolve: Convolve, x: jax.Array, suffix: str = "") -> jax.Array:
    """Narrows deep features to `NUM_FEAT` channels; LeakyReLUs have PyTorch's default slope here."""
    return nn.leaky_relu(convolve(x, NUM_FEAT, f"conv_before_upsample{suffix}_0"), 0.01)


def upsample(convolve: Convolve, x: jax.Array, config: SwinIRConfig, name: str = "upsample") -> jax.Array:
    """Enlarges `[B, H, W, NUM_FEAT]` by pixel shuffles: log2(enlargement) that double the sides, or one that triples.

    The numbers in the names of convolutions are even: the official nn.Sequential counts the shuffles, too.
    """
    scales = [3] if config.enlargement == 3 else [2] * (config.enlargement.bit_length() - 1)
    for i, scale in enumerate(scales):
        x = pixel_shuffle(convolve(x, NUM_FEAT * scale**2, f"{name}_{2 * i}"), scale)
    return x


def auxiliary_image(convolve: Convolve, deep: jax.Array, config: SwinIRConfig) -> jax.Array:
    """Returns the LQ image without artefacts from which `pixelshuffle_aux` goes on, `[B, H, W, in_chans]`."""
    return convolve(before_upsample(convolve, deep), config.in_chans, "conv_aux")


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


def pixel_unshuffle(x: jax.Array, scale: int) -> jax.Array:
    """Turns pixels into channels, the inverse of `pixel_shuffle`.

    Args:
      x: `[B, H * scale, W * scale, C]`.
      scale: reduction of the sides.

    Returns:
      `[B, H, W, C * scale ** 2]`.
    """
    b, h, w, c = x.shape
    x = x.reshape(b, h // scale, scale, w, c)
    x = x.reshape(b, h // scale, scale, w // scale, scale, c).transpose(0, 1, 3, 5, 2, 4)
    return x.reshape(b, h // scale, w // scale, c * scale**2)


def upsample_bicubic(x: jax.Array, scale: int) -> jax.Array:
    """Enlarges as PyTorch's `interpolate(mode="bicubic", align_corners=False)`: `[B, H, W, C]` -> `[B, sH, sW, C]`.

    Unlike `jax.image.resize`, whose cubic kernel has the parameter -0.5, this one has -0.75 and repeats border pixels.
    """
    weights = bicubic_weights(scale)
    for axis in (1, 2):
        side = x.shape[axis]
        padded = jnp.pad(x, [(2, 2) if i == axis else (0, 0) for i in range(4)], mode="edge")
        taps = [lax.slice_in_dim(padded, i, i + side, axis=axis) for i in range(5)]
        phases = [sum(w * tap for w, tap in zip(row.tolist(), taps, strict=True) if w) for row in weights]
        x = jnp.stack(phases, axis=axis + 1)
        x = x.reshape(*x.shape[:axis], side * scale, *x.shape[axis + 2 :])
    return x


def bicubic_weights(scale: int) -> np.ndarray:
    """Returns the weights of the pixels from 2 before to 2 behind, `[scale, 5]`, for each of a pixel's new pixels."""
    position = (np.arange(scale) + 0.5) / scale - 0.5  # of the centres of new pixels, in pixels
    d = np.abs(position[:, None] - np.arange(-2, 3))
    near = (1.25 * d - 2.25) * d**2 + 1
    far = -0.75 * (((d - 5) * d + 8) * d - 4)
    return np.where(d <= 1, near, np.where(d < 2, far, 0))


def upsample_nearest(x: jax.Array) -> jax.Array:
    """Repeats each pixel in both directions: `[B, H, W, C]` -> `[B, 2 H, 2 W, C]`."""
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
