"""SwinIR in ONNX, as `swinir_jax.models.swinir`."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from swinir_jax.config import SwinIRConfig
from swinir_jax.models.swinir import RGB_MEAN, first_conv
from swinir_jax.onnx.families import FAMILIES
from swinir_jax.onnx.graph import Graph, Tensor, arange
from swinir_jax.onnx.layers import Weights, channels_first, layer_norm, residual_conv
from swinir_jax.onnx.layers import conv as convolve
from swinir_jax.onnx.reconstruction import RECONSTRUCTIONS, pixel_unshuffle


def swinir(image: Tensor, w: Weights, config: SwinIRConfig) -> Tensor:
    """Restores an image of any size, or of the size of `ape`.

    Swin2SR's networks with several answers give the first alone.

    Args:
      image: `[1, in_chans, h, w]` float32 in [0, 1].
      w: weights from `load_weights`.
      config: network configuration.

    Returns:
      `[1, in_chans, h * upscale, w * upscale]`; about [0, 1], not clipped.
    """
    c, img_range = config, float(config.img_range)
    mean = np.reshape(RGB_MEAN if c.in_chans == 3 else (0.0,), (1, -1, 1, 1))
    height, width = padded_side(image.side(2), c.side_multiple), padded_side(image.side(3), c.side_multiple)
    x = (pad_to_window(image, (height, width)) - mean) * img_range
    size = height // c.unshuffle, width // c.unshuffle  # H, W
    x = pixel_unshuffle(x, size, c.in_chans, c.unshuffle)  # [1, in_chans, H, W] in SwinIR

    # Shallow features
    shallow = convolve(x, w[first_conv(c)])  # [1, C, H, W]

    # Deep features
    y = FAMILIES[c.family].patch_embed(shallow, w.get("patch_embed", {}))  # [1, H, W, C]
    if c.ape:
        y = y + w["absolute_pos_embed"].reshape(1, *c.img_sides, c.embed_dim)
    for i in range(len(c.depths)):
        y = rstb(y, w[f"layers_{i}"], size, c, i)
    y = layer_norm(y, w["norm"])
    deep = shallow + residual_conv(channels_first(y), w, c, "conv_after_body")

    # Image reconstruction
    restored = RECONSTRUCTIONS[c.upsampler](deep, x, w, c)  # [1, in_chans, H * upscale, W * upscale]
    restored = restored / img_range + mean
    return restored.cut((2, 3), 0, image.side(2) * c.upscale, image.side(3) * c.upscale)


def rstb(x: Tensor, w: Weights, size: tuple[Tensor, Tensor], config: SwinIRConfig, index: int) -> Tensor:
    """Residual Swin Transformer block: Swin Transformer layers, a convolution and a skip. `[1, H, W, C]` in and out."""
    y = residual_group(x, w["residual_group"], size, config, index)
    y = residual_conv(channels_first(y), w, config, "conv")
    return x + FAMILIES[config.family].patch_embed(y, w.get("patch_embed", {}))


def residual_group(x: Tensor, w: Weights, size: tuple[Tensor, Tensor], config: SwinIRConfig, index: int) -> Tensor:
    """The Swin Transformer layers of one RSTB, alternately W-MSA and SW-MSA. `[1, H, W, C]` in and out."""
    layer = FAMILIES[config.family].layer
    for i in range(config.depths[index]):
        shift = config.shift_size if i % 2 else 0
        x = layer(x, w[f"blocks_{i}"], size, config, config.num_heads[index], shift)
    return x


def padded_side(side: Tensor, multiple: int) -> Tensor:
    """Returns the next multiple, of `SwinIRConfig.side_multiple`, of a side."""
    return (side + (multiple - 1)) // multiple * multiple


def pad_to_window(x: Tensor, size: tuple[Tensor, Tensor]) -> Tensor:
    """Pads `[1, C, h, w]` at the bottom and the right to a size, by reflection.

    A side smaller than its padding is reflected more than once; a side of one pixel is repeated.
    """
    for axis, padded in zip((2, 3), size, strict=True):
        period = x.graph.apply("Max", (x.side(axis) - 1) * 2, 1)
        position = arange(padded) % period
        # Not by Abs, which OpenVINO 2026.4 gets wrong for integers that follow from a fixed shape.
        mirrored = x.graph.apply("Min", position, period - position)
        x = x.take(mirrored, axis)
    return x


def load_weights(graph: Graph, params: Mapping[str, Any], prefix: str = "") -> Weights:
    """Stores parameters in a graph, in the layouts of ONNX.

    Args:
      graph: graph that takes the weights, under names such as `layers_0/residual_group/blocks_1/attn/qkv/kernel`.
      params: parameters of `SwinIR`.
      prefix: beginning of the names.

    Returns:
      The tensors, in the structure of `params`.
    """
    weights: Weights = {}
    for key, value in params.items():
        name = f"{prefix}{key}"
        weights[key] = (
            load_weights(graph, value, f"{name}/")
            if isinstance(value, Mapping)
            else graph.weight(name, _in_layout_of_onnx(key, np.asarray(value)))
        )
    return weights


def _in_layout_of_onnx(key: str, values: np.ndarray) -> np.ndarray:
    if values.ndim == 4:
        return values.transpose(3, 2, 0, 1)  # from [k, k, in, out] to [out, in, k, k]
    return values.T if key == "relative_position_bias_table" else values  # to [heads, rows]
