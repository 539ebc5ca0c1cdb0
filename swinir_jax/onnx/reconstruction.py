"""Image reconstruction in ONNX, as `swinir_jax.models.reconstruction`.

Each function takes:

  deep: `[1, embed_dim, H, W]` deep features.
  lq: `[1, in_chans, H, W]`, the network's input.
  w: weights of the network.
  config: network configuration.

and returns `[1, in_chans, H * upscale, W * upscale]`.
"""

from collections.abc import Callable, Mapping

import numpy as np

from swinir_jax.config import SwinIRConfig
from swinir_jax.onnx.graph import Tensor
from swinir_jax.onnx.layers import Weights, conv, leaky_relu


def residual_image(deep: Tensor, lq: Tensor, w: Weights, config: SwinIRConfig) -> Tensor:
    """Denoising and JPEG artefact removal: the features' image is added to the input."""
    return lq + conv(deep, w["conv_last"])


def pixelshuffledirect(deep: Tensor, lq: Tensor, w: Weights, config: SwinIRConfig) -> Tensor:
    """Lightweight SR: one convolution and one pixel shuffle."""
    return pixel_shuffle(conv(deep, w["upsample_0"]), config.upscale)


def pixelshuffle(deep: Tensor, lq: Tensor, w: Weights, config: SwinIRConfig) -> Tensor:
    """Classical SR: pixel shuffles that double the sides, log2(upscale) of them, or one that triples them."""
    x = before_upsample(deep, w)
    scales = [3] if config.upscale == 3 else [2] * (config.upscale.bit_length() - 1)
    for i, scale in enumerate(scales):
        x = pixel_shuffle(conv(x, w[f"upsample_{2 * i}"]), scale)
    return conv(x, w["conv_last"])


def nearest_conv(deep: Tensor, lq: Tensor, w: Weights, config: SwinIRConfig) -> Tensor:
    """Real-world SR: nearest-neighbour doublings, each smoothed by a convolution."""
    x = before_upsample(deep, w)
    for name in ("conv_up1", "conv_up2")[: config.upscale.bit_length() - 1]:
        x = leaky_relu(conv(upsample_nearest(x), w[name]), 0.2)
    x = leaky_relu(conv(x, w["conv_hr"]), 0.2)
    return conv(x, w["conv_last"])


# By `SwinIRConfig.upsampler`.
RECONSTRUCTIONS: Mapping[str, Callable[[Tensor, Tensor, Weights, SwinIRConfig], Tensor]] = {
    "": residual_image,
    "pixelshuffledirect": pixelshuffledirect,
    "pixelshuffle": pixelshuffle,
    "nearest+conv": nearest_conv,
}


def before_upsample(x: Tensor, w: Weights) -> Tensor:
    """Narrows deep features; this LeakyReLU alone has PyTorch's default slope."""
    return leaky_relu(conv(x, w["conv_before_upsample_0"]), 0.01)


def pixel_shuffle(x: Tensor, scale: int) -> Tensor:
    """Turns channels into pixels: `[1, C * scale ** 2, H, W]` -> `[1, C, H * scale, W * scale]`."""
    return x.graph.apply("DepthToSpace", x, blocksize=scale, mode="CRD")  # channels before rows and columns of blocks


def upsample_nearest(x: Tensor) -> Tensor:
    """Repeats each pixel in both directions: `[1, C, H, W]` -> `[1, C, 2 H, 2 W]`."""
    scales = np.asarray([1, 1, 2, 2], np.float32)
    return x.graph.apply(
        "Resize", x, None, scales, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
    )
