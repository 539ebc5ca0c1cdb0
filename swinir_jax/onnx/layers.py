"""Layers below the RSTB in ONNX, as `swinir_jax.models.layers`.

Linear layers and windows have channels last, convolutions have them first.
"""

import math
from typing import Any

from swinir_jax.config import SwinIRConfig
from swinir_jax.models.layers import LAYER_NORM_EPSILON, query_scale
from swinir_jax.models.windows import relative_position_index
from swinir_jax.onnx.graph import Tensor
from swinir_jax.onnx.windows import in_windows

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

    def attention(tokens: Tensor, mask: Tensor | None) -> Tensor:
        return window_attention(tokens, w["attn"], mask, config, num_heads)

    y = layer_norm(x, w["norm1"])
    x = x + in_windows(attention, y, size, config.attention_window, shift, config.embed_dim)

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
    q, k, v = split_heads(linear(x, w["qkv"]), config, num_heads)
    bias = w["relative_position_bias_table"].take(relative_position_index(config.attention_window), axis=1)
    return linear(attend(q * float(query_scale(config, num_heads)), k, v, bias, mask, config), w["proj"])


def split_heads(qkv: Tensor, config: SwinIRConfig, num_heads: int) -> list[Tensor]:
    """Splits `[nW, N, 3 C]` into queries, keys and values, each `[nW, heads, N, D]`."""
    tokens, channels = config.attention_window**2, config.embed_dim // num_heads
    heads = qkv.reshape(-1, tokens, 3 * num_heads, channels).transpose(0, 2, 1, 3)
    return qkv.graph.apply_many("Split", 3, heads, axis=1)


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, mask: Tensor | None, config: SwinIRConfig) -> Tensor:
    """Weights the values of each window's tokens by the softmax of scores, bias and mask.

    Args:
      q: queries, scaled, `[nW, heads, N, D]`.
      k: keys, of the same shape.
      v: values, of the same shape.
      bias: `[heads, N, N]`, the relative position bias of each query and key.
      mask: `[nW, 1, N, N]` from `shift_mask`, or None.
      config: network configuration.

    Returns:
      `[nW, N, C]`.
    """
    scores = q @ k.transpose(0, 1, 3, 2) + bias  # [nW, heads, N, N]
    if mask is not None:
        scores = scores + mask
    attention = q.graph.apply("Softmax", scores, axis=-1)
    return (attention @ v).transpose(0, 2, 1, 3).reshape(-1, config.attention_window**2, config.embed_dim)


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


def patch_embed(x: Tensor, w: Weights) -> Tensor:
    """The step from a convolution to a layer: a LayerNorm, or nothing. `[1, C, H, W]` -> `[1, H, W, C]`."""
    y = channels_last(x)
    return layer_norm(y, w["norm"]) if "norm" in w else y


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
