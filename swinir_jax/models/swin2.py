"""Layers of Swin Transformer V2 (Liu et al. 2021, arXiv 2111.09883) as Swin2SR (Conde et al. 2022) has them.

Named after the official `models/network_swin2sr.py`. Beside SwinIR's layers: scores are cosines with a learned scale, a
small network computes the relative position bias, and each LayerNorm ends its branch.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh

from swinir_jax.config import SwinIRConfig
from swinir_jax.models.convolution import Convolutions
from swinir_jax.models.layers import Linear, Mlp, layer_norm, split_heads, weigh_values
from swinir_jax.models.windows import in_windows, relative_coordinates, relative_position_index

LARGEST_LOGIT_SCALE = math.log(100)
_FIRST_LOGIT_SCALE = math.log(10)
_BIAS_WIDTH = 512  # hidden layer of the network that computes the relative position bias
LEAST_SQUARE = 1e-24  # of the length by which a vector is divided, as PyTorch's `normalize`


class SwinTransformerV2Block(nn.Module):
    """Swin Transformer V2 layer: window attention and an MLP, each with a LayerNorm behind it and a skip.

    Attributes:
      config: network configuration.
      num_heads: number of attention heads.
      shift: shift of the windows in pixels; 0 for W-MSA.
      drop_path: rate of stochastic depth, at which an image skips a branch.
      dtype: dtype of the matrix products.
      fused: has no effect; `swinir_jax.gpu` has no attention by cosines.
    """

    config: SwinIRConfig
    num_heads: int
    shift: int
    drop_path: float
    dtype: Any = jnp.float32
    fused: bool | Mesh = False

    @nn.compact
    def __call__(self, x: jax.Array, deterministic: bool) -> jax.Array:
        """`[B, H, W, C]` -> `[B, H, W, C]`; H and W are multiples of the attention window."""
        c = self.config
        drop_path = nn.Dropout(self.drop_path, broadcast_dims=(1, 2, 3), deterministic=deterministic)

        attention = CosineAttention(c, self.num_heads, self.dtype, name="attn")
        y = in_windows(
            lambda tokens, regions: attention(tokens, regions, deterministic), x, c.attention_window, self.shift
        )
        x = x + drop_path(layer_norm(self.dtype, "norm1")(y))

        y = Mlp(c.mlp_hidden_dim, c.drop_rate, self.dtype, name="mlp")(x, deterministic)
        return x + drop_path(layer_norm(self.dtype, "norm2")(y))


class CosineAttention(nn.Module):
    """Multi-head self-attention inside windows by cosines, with a continuous relative position bias.

    Attributes:
      config: network configuration.
      num_heads: number of attention heads.
      dtype: dtype of the matrix products; scores and softmax stay in the residual stream's dtype.
    """

    config: SwinIRConfig
    num_heads: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, regions: jax.Array | None, deterministic: bool) -> jax.Array:
        """Attends among the tokens of each window, as `WindowAttention`: `[B, H / M, W / M, N, C]` in and out."""
        c, heads = self.config, self.num_heads

        qkv = Linear(3 * c.embed_dim, self.dtype, use_bias=False, name="qkv")(x)
        if c.qkv_bias:
            q_bias, v_bias = (
                self.param(name, nn.initializers.zeros, (c.embed_dim,), jnp.float32) for name in ("q_bias", "v_bias")
            )
            bias = jnp.concatenate([q_bias, jnp.zeros_like(q_bias), v_bias])
            qkv = qkv + jnp.expand_dims(bias, (0, 1, 2, 3)).astype(qkv.dtype)
        q, k, v = split_heads(qkv, heads)  # each [B, H / M, W / M, N, heads, D]
        first_scale = nn.initializers.constant(_FIRST_LOGIT_SCALE)
        logit_scale = self.param("logit_scale", first_scale, (heads, 1, 1), jnp.float32)
        scale = jnp.exp(jnp.minimum(logit_scale.reshape(1, 1, 1, 1, heads, 1), LARGEST_LOGIT_SCALE))
        q, k = (normalize(y.astype(x.dtype)) for y in (q, k))
        drop = nn.Dropout(c.attn_drop_rate, deterministic=deterministic)
        q, k = (q * scale).astype(v.dtype), k.astype(v.dtype)
        y = weigh_values(q, k, v, self._position_bias(x.dtype), regions, drop)

        y = Linear(c.embed_dim, self.dtype, name="proj")(y)
        return nn.Dropout(c.drop_rate, deterministic=deterministic)(y).astype(x.dtype)

    def _position_bias(self, dtype: Any) -> jax.Array:
        """Computes the relative position bias of each query and key, `[heads, N, N]`, between 0 and 16."""
        m = self.config.attention_window
        hidden = nn.relu(Linear(_BIAS_WIDTH, dtype, name="cpb_mlp_0")(jnp.asarray(relative_coordinates(m))))
        table = Linear(self.num_heads, dtype, use_bias=False, name="cpb_mlp_2")(hidden)  # the ReLU has the number 1
        return 16 * nn.sigmoid(table[relative_position_index(m)].transpose(2, 0, 1))


def normalize(x: jax.Array) -> jax.Array:
    """Divides the vectors of the last axis by their lengths."""
    return x * lax.rsqrt(jnp.maximum(jnp.square(x).sum(axis=-1, keepdims=True), LEAST_SQUARE))


class ProjectedPatchEmbed(nn.Module):
    """The step from a convolution to a Swin Transformer layer: a convolution of single pixels, and maybe a LayerNorm.

    Attributes:
      norm: whether there is a LayerNorm.
      dtype: dtype of matrix products.
    """

    norm: bool
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """`[B, H, W, C]` -> `[B, H, W, C]`."""
        y = Convolutions(self.dtype)(x, x.shape[-1], "proj", kernel=1)
        return layer_norm(self.dtype, "norm")(y) if self.norm else y
