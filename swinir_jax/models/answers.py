"""Answers of a network beside the restored image; SwinIR has none.

Each function takes:

  convolve: the convolution, which finds its own parameters by name (see `Convolve`).
  body: `(shallow features, suffix of the names) -> features behind all RSTBs and the last LayerNorm`.
  deep: `[B, H, W, embed_dim]` deep features.
  restored: `[B, h * upscale, w * upscale, in_chans]` from `RECONSTRUCTIONS`, cut to size.
  config: network configuration.

and returns images in the value range of `restored`.
"""

from collections.abc import Callable, Mapping

import flax.linen as nn
import jax

from swinir_jax.config import SwinIRConfig
from swinir_jax.models.convolution import Convolve
from swinir_jax.models.reconstruction import auxiliary_image, before_upsample, upsample

Body = Callable[[jax.Array, str], jax.Array]
Answers = Callable[[Convolve, Body, jax.Array, jax.Array, SwinIRConfig], tuple[jax.Array, ...]]


def auxiliary(
    convolve: Convolve, body: Body, deep: jax.Array, restored: jax.Array, config: SwinIRConfig
) -> tuple[jax.Array, ...]:
    """SR of compressed images: the LQ image without artefacts, `[B, H, W, in_chans]`."""
    return (auxiliary_image(convolve, deep, config),)


def high_frequency(
    convolve: Convolve, body: Body, deep: jax.Array, restored: jax.Array, config: SwinIRConfig
) -> tuple[jax.Array, ...]:
    """High frequencies from a second body: their sum with the restored image, and they alone.

    The end of the second body is one convolution, also where `resi_connection` is 3conv.
    """
    x = nn.leaky_relu(convolve(before_upsample(convolve, deep), config.embed_dim, "conv_first_hf_0"), 0.01)
    x = x + convolve(body(x, "_hf"), config.embed_dim, "conv_after_body_hf")
    x = before_upsample(convolve, x, "_hf")
    high = convolve(upsample(convolve, x, config, "upsample_hf"), config.in_chans, "conv_last_hf")
    high = high[:, : restored.shape[1], : restored.shape[2]]
    return restored + high, high


# By `SwinIRConfig.upsampler`, for those with several answers.
FURTHER_ANSWERS: Mapping[str, Answers] = {
    "pixelshuffle_aux": auxiliary,
    "pixelshuffle_hf": high_frequency,
}
