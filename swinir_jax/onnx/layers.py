"""Layers below the RSTB in ONNX, as `swinir_jax.models.layers`.

Linear layers and windows have channels last, convolutions have them first.
"""

import math
from typing import Any

from swinir_jax.config import SwinIRConfig
from swinir_jax.models.layers import LAYER_NORM_EPSILON, query_scale
from swinir_jax.models.windows import relative_position_index
from swinir_jax.onnx.graph import Tensor
from swinir_jax.onnx.windows import roll, shift_mask, shift_regions, window_partition, window_reverse

Weights = dict[str, Any]
"""Parameters of a module as nested dicts of tensors, by the names of `SwinIR`'s parameters."""


def swin_transformer_block(
    x: Tensor, w: Weights, size: tuple[Tensor, Tensor], config: SwinIRConfig, num_heads: int, shift: int
) -> Tensor:
    """Swin Transformer layer: window attention and an MLP, each after a LayerNorm and with a skip.

    Args:
      x: `[1, H, W, C]`.
      w: weights of the layer.
      size: (H, W), multiples of the attention window.
      config: network configuration.
      num_heads: number of attention heads.
      shift: shift of the windows in pixels; 0 for W-MSA.

    Returns:
      `[1, H, W, C]`.
    """
    (height, width), c, m = size, config, config.attention_window

    y = layer_norm(x, w["norm1"])
    y = roll(y, -shift)
    y = window_partition(y, width, m, c.embed_dim)  # [nW, N, C], N = M * M
    mask = shift_mask(shift_regions(height, width, m, shift)) if shift else None
    y = window_attention(y, w["attn"], mask, c, num_heads)
    y = window_reverse(y, width, m, c.embed_dim)  # [1, H, W, C]
    y = roll(y, shift)
    x = x + y

    y = layer_norm(x, w["norm2"])
    return x + mlp(y, w["mlp"])


def window_attention(x: Tensor, w: Weights, mask: Tensor | None, config: SwinIRConfig, num_heads: int) -> Tensor:
    """Multi-head self-attention among the tokens of each window, with relative position bias.

    Args:
      x: `[nW, N, C]`, the N = M * M tokens of each window.
      w: weights of the attention.
      mask: `[nW, 1, N, N]` from `shift_mask`, or None.
      config: network configuration.
      num_heads: number of attention heads.

    Returns:
      `[nW, N, C]`.
    """
    c, m, heads = config, config.attention_window, num_heads

    qkv = linear(x, w["qkv"]).reshape(-1, m * m, 3 * heads, c.embed_dim // heads).transpose(0, 2, 1, 3)
    q, k, v = x.graph.apply_many("Split", 3, qkv, axis=1)  # each [nW, heads, N, D]
    bias = w["relative_position_bias_table"].take(relative_position_index(m), axis=1)  # [heads, N, N]

    scores = (q * float(query_scale(c, heads))) @ k.transpose(0, 1, 3, 2) + bias  # [nW, heads, N, N]
    if mask is not None:
        scores = scores + mask
    attention = x.graph.apply("Softmax", scores, axis=-1)
    y = (attention @ v).transpose(0, 2, 1, 3).reshape(-1, m * m, c.embed_dim)
    return linear(y, w["proj"])


def mlp(x: Tensor, w: Weights) -> Tensor:
    """Two linear layers with an exact GELU between them: `[..., C]` -> `[..., C]`."""
    return linear(gelu(linear(x, w["fc1"])), w["fc2"])


def gelu(x: Tensor) -> Tensor:
    """Exact GELU; in this order of operators, ONNX Runtime recognises it and runs one fused operator."""
    return x * (x.graph.apply("Erf", x / math.sqrt(2)) + 1.0) * 0.5


def linear(x: Tensor, w: Weights) -> Tensor:
    """Linear layer: `[..., C]` -> `[..., features]`."""
    y = x @ w["kernel"]
    return y + w["bias"] if "bias" in w else y


def layer_norm(x: Tensor, w: Weights) -> Tensor:
    """LayerNorm of the last axis."""
    return x.graph.apply("LayerNormalization", x, w["scale"], w["bias"], axis=-1, epsilon=LAYER_NORM_EPSILON)


def conv(x: Tensor, w: Weights, kernel: int = 3) -> Tensor:
    """Convolution with zero padding, which keeps the size: `[1, C, H, W]` -> `[1, features, H, W]`."""
    return x.graph.apply("Conv", x, w["kernel"], w["bias"], kernel_shape=[kernel] * 2, pads=[kernel // 2] * 4)


def leaky_relu(x: Tensor, slope: float) -> Tensor:
    """LeakyReLU."""
    return x.graph.apply("LeakyRelu", x, alpha=slope)


def residual_conv(x: Tensor, w: Weights, config: SwinIRConfig, name: str) -> Tensor:
    """The end of each RSTB and of the body: one convolution, or three with a bottleneck. `[1, C, H, W]` in and out."""
    if config.resi_connection == "1conv":
        return conv(x, w[name])
    x = leaky_relu(conv(x, w[f"{name}_0"]), 0.2)
    x = leaky_relu(conv(x, w[f"{name}_2"], kernel=1), 0.2)
    return conv(x, w[f"{name}_4"])


def channels_last(x: Tensor) -> Tensor:
    """`[1, C, H, W]` -> `[1, H, W, C]`."""
    return x.transpose(0, 2, 3, 1)


def channels_first(x: Tensor) -> Tensor:
    """`[1, H, W, C]` -> `[1, C, H, W]`."""
    return x.transpose(0, 3, 1, 2)
