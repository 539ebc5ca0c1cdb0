"""Image reconstruction in ONNX, as `swinir_jax.models.reconstruction`.

Each function takes:

  deep: `[1, embed_dim, H, W]` deep features.
  lq: `[1, in_chans * unshuffle ** 2, H, W]`, the network's input.
  w: weights of the network.
  config: network configuration.

and returns `[1, in_chans, H * enlargement, W * enlargement]`.
"""

from collections.abc import Callable, Mapping

import numpy as np

from swinir_jax.config import SwinIRConfig
from swinir_jax.models.reconstruction import bicubic_weights
from swinir_jax.onnx.graph import Tensor
from swinir_jax.onnx.layers import Weights, conv, leaky_relu


def residual_image(deep: Tensor, lq: Tensor, w: Weights, config: SwinIRConfig) -> Tensor:
    """Denoising and JPEG artefact removal: the features' image is added to the input."""
    return lq + conv(deep, w["conv_last"])


def pixelshuffledirect(deep: Tensor, lq: Tensor, w: Weights, config: SwinIRConfig) -> Tensor:
    """Lightweight SR: one convolution and one pixel shuffle."""
    return pixel_shuffle(conv(deep, w["upsample_0"]), config.enlargement)


def pixelshuffle(deep: Tensor, lq: Tensor, w: Weights, config: SwinIRConfig) -> Tensor:
    """Classical SR."""
    return conv(upsample(before_upsample(deep, w), w, config), w["conv_last"])


def nearest_conv(deep: Tensor, lq: Tensor, w: Weights, config: SwinIRConfig) -> Tensor:
    """Real-world SR: nearest-neighbour doublings, each smoothed by a convolution."""
    x = before_upsample(deep, w)
    for name in ("conv_up1", "conv_up2", "conv_up3")[: config.enlargement.bit_length() - 1]:
        x = leaky_relu(conv(upsample_nearest(x), w[name]), 0.2)
    x = leaky_relu(conv(x, w["conv_hr"]), 0.2)
    return conv(x, w["conv_last"])


def pixelshuffle_aux(deep: Tensor, lq: Tensor, w: Weights, config: SwinIRConfig) -> Tensor:
    """SR of compressed images: features come from an auxiliary LQ image, and those of the enlarged input are added."""
    x = conv(before_upsample(deep, w), w["conv_aux"])
    x = upsample(leaky_relu(conv(x, w["conv_after_aux_0"]), 0.01), w, config)
    enlarged = upsample_bicubic(lq, config.in_chans * config.unshuffle**2, config.enlargement)
    x = x + conv(enlarged, w["conv_bicubic"])
    return conv(x, w["conv_last"])


# By `SwinIRConfig.upsampler`. The first answer of `pixelshuffle_hf` is that of `pixelshuffle`.
RECONSTRUCTIONS: Mapping[str, Callable[[Tensor, Tensor, Weights, SwinIRConfig], Tensor]] = {
    "": residual_image,
    "pixelshuffledirect": pixelshuffledirect,
    "pixelshuffle": pixelshuffle,
    "nearest+conv": nearest_conv,
    "pixelshuffle_aux": pixelshuffle_aux,
    "pixelshuffle_hf": pixelshuffle,
}


def before_upsample(x: Tensor, w: Weights) -> Tensor:
    """Narrows deep features; LeakyReLUs have PyTorch's default slope here."""
    return leaky_relu(conv(x, w["conv_before_upsample_0"]), 0.01)


def upsample(x: Tensor, w: Weights, config: SwinIRConfig) -> Tensor:
    """Enlarges features by pixel shuffles: log2(enlargement) that double the sides, or one that triples them."""
    scales = [3] if config.enlargement == 3 else [2] * (config.enlargement.bit_length() - 1)
    for i, scale in enumerate(scales):
        x = pixel_shuffle(conv(x, w[f"upsample_{2 * i}"]), scale)
    return x


def pixel_shuffle(x: Tensor, scale: int) -> Tensor:
    """Turns channels into pixels: `[1, C * scale ** 2, H, W]` -> `[1, C, H * scale, W * scale]`."""
    return x.graph.apply("DepthToSpace", x, blocksize=scale, mode="CRD")  # channels before rows and columns of blocks


def pixel_unshuffle(x: Tensor, size: tuple[Tensor, Tensor], channels: int, scale: int) -> Tensor:
    """Turns pixels into channels, the inverse of `pixel_shuffle`.

    ONNX's SpaceToDepth has another order of channels.

    Args:
      x: `[1, C, H * scale, W * scale]`.
      size: (H, W).
      channels: C.
      scale: reduction of the sides.

    Returns:
      `[1, C * scale ** 2, H, W]`.
    """
    if scale == 1:
        return x
    x = x.reshape(channels, size[0], scale, size[1], scale).transpose(0, 2, 4, 1, 3)  # [C, scale, scale, H, W]
    return x.reshape(1, channels * scale**2, *size)


def upsample_bicubic(x: Tensor, channels: int, scale: int) -> Tensor:
    """Enlarges as PyTorch's bicubic `interpolate`: `[1, C, H, W]` -> `[1, C, H * scale, W * scale]`.

    A convolution and a pixel shuffle, because ONNX Runtime's Resize is slower, and wrong by 2e-5 at thousands of
    pixels where the scale is 3.
    """
    weights = bicubic_weights(scale)
    kernel = np.einsum("iy,jx->ijyx", weights, weights).reshape(-1, 1, 5, 5)  # [scale ** 2, 1, 5, 5]
    padded = x.graph.apply("Pad", x, np.asarray([0, 0, 2, 2] * 2), mode="edge")
    return pixel_shuffle(x.graph.apply("Conv", padded, np.tile(kernel, (channels, 1, 1, 1)), group=channels), scale)


def upsample_nearest(x: Tensor) -> Tensor:
    """Repeats each pixel in both directions: `[1, C, H, W]` -> `[1, C, 2 H, 2 W]`."""
    scales = np.asarray([1, 1, 2, 2], np.float32)
    return x.graph.apply(
        "Resize", x, None, scales, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
    )
