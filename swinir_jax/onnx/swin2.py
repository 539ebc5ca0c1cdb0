"""Layers of Swin Transformer V2 in ONNX, as `swinir_jax.models.swin2`."""

import numpy as np

from swinir_jax.config import SwinIRConfig
from swinir_jax.models.swin2 import LARGEST_LOGIT_SCALE, LEAST_SQUARE
from swinir_jax.models.windows import relative_coordinates, relative_position_index
from swinir_jax.onnx.graph import Tensor
from swinir_jax.onnx.layers import Weights, attend, conv, layer_norm, linear, mlp, patch_embed, split_heads
from swinir_jax.onnx.windows import in_windows


def swin_transformer_v2_block(
    x: Tensor, w: Weights, size: tuple[Tensor, Tensor], config: SwinIRConfig, num_heads: int, shift: int
) -> Tensor:
    """Swin Transformer V2 layer: window attention and an MLP, each with a LayerNorm behind it and a skip.

    Takes and returns the same as `swin_transformer_block`.
    """

    def attention(tokens: Tensor, mask: Tensor | None) -> Tensor:
        return cosine_attention(tokens, w["attn"], mask, config, num_heads)

    y = in_windows(attention, x, size, config.attention_window, shift, config.embed_dim)
    x = x + layer_norm(y, w["norm1"])
    return x + layer_norm(mlp(x, w["mlp"]), w["norm2"])


def cosine_attention(x: Tensor, w: Weights, mask: Tensor | None, config: SwinIRConfig, num_heads: int) -> Tensor:
    """Multi-head self-attention by cosines, with a continuous relative position bias.

    Takes and returns the same as `window_attention`.
    """
    qkv = linear(x, w["qkv"])
    if config.qkv_bias:
        qkv = qkv + x.graph.apply("Concat", w["q_bias"], np.zeros(config.embed_dim), w["v_bias"], axis=0)
    q, k, v = split_heads(qkv, config, num_heads)
    scale = x.graph.apply("Exp", x.graph.apply("Min", w["logit_scale"], LARGEST_LOGIT_SCALE))  # [heads, 1, 1]
    bias = position_bias(w, config.attention_window)
    return linear(attend(normalize(q) * scale, normalize(k), v, bias, mask, config), w["proj"])


def position_bias(w: Weights, window_size: int) -> Tensor:
    """Computes the relative position bias of each query and key, `[heads, N, N]`, from weights alone.

    Runtimes compute such values once, when they load the file, and the file keeps the weights, which are smaller.
    """
    graph = w["logit_scale"].graph
    hidden = linear(graph.constant(relative_coordinates(window_size)), w["cpb_mlp_0"])
    table = linear(graph.apply("Relu", hidden), w["cpb_mlp_2"])  # [rows, heads]
    table = graph.apply("Sigmoid", table) * 16.0
    return table.transpose(1, 0).take(relative_position_index(window_size), axis=1)


def normalize(x: Tensor) -> Tensor:
    """Divides the vectors of the last axis by their lengths."""
    square = x.graph.apply("ReduceSumSquare", x, axes=[-1], keepdims=1)
    return x / x.graph.apply("Sqrt", x.graph.apply("Max", square, LEAST_SQUARE))


def projected_patch_embed(x: Tensor, w: Weights) -> Tensor:
    """The step from a convolution to a layer: a convolution of single pixels, and maybe a LayerNorm.

    `[1, C, H, W]` -> `[1, H, W, C]`.
    """
    return patch_embed(conv(x, w["proj"], kernel=1), w)
