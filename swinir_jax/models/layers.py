"""Layers below the RSTB: window attention, MLP and the Swin Transformer layer."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from swinir_jax.config import SwinIRConfig
from swinir_jax.erf import erf
from swinir_jax.models.precision import add_bias, product, product_precision, residual_dtype
from swinir_jax.models.windows import MASKED, in_windows, relative_position_index, shift_mask

# The original truncates the normal distribution at +-2, 100 standard deviations away: no truncation in effect.
linear_init = nn.initializers.normal(0.02)
LAYER_NORM_EPSILON = 1e-5  # added to the variance


class SwinTransformerBlock(nn.Module):
    """Swin Transformer layer (the paper's STL): window attention and an MLP, each after a LayerNorm and with a skip.

    Attributes:
      config: network configuration.
      num_heads: number of attention heads.
      shift: shift of the windows in pixels; 0 for W-MSA.
      drop_path: rate of stochastic depth, at which an image skips a branch.
      dtype: dtype of the matrix products.
      fused: as in `SwinIR`.
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

        y = layer_norm(self.dtype, "norm1")(x)
        attention = WindowAttention(c, self.num_heads, self.dtype, self.fused, name="attn")
        y = in_windows(
            lambda tokens, regions: attention(tokens, regions, deterministic), y, c.attention_window, self.shift
        )
        x = x + drop_path(y)

        y = layer_norm(self.dtype, "norm2")(x)
        y = Mlp(c.mlp_hidden_dim, c.drop_rate, self.dtype, name="mlp")(y, deterministic)
        return x + drop_path(y)


class WindowAttention(nn.Module):
    """Multi-head self-attention inside windows, with relative position bias: W-MSA, or SW-MSA with a mask.

    Attributes:
      config: network configuration.
      num_heads: number of attention heads.
      dtype: dtype of the matrix products; scores and softmax stay in the residual stream's dtype.
      fused: as in `SwinIR`.
    """

    config: SwinIRConfig
    num_heads: int
    dtype: Any = jnp.float32
    fused: bool | Mesh = False

    @nn.compact
    def __call__(self, x: jax.Array, regions: jax.Array | None, deterministic: bool) -> jax.Array:
        """Attends among the tokens of each window.

        Args:
          x: `[B, H / M, W / M, N, C]`, the N = M * M tokens of each window.
          regions: `[H / M, W / M, N]` from `shift_regions`, or None.
          deterministic: False to apply dropout.

        Returns:
          `[B, H / M, W / M, N, C]`.
        """
        c, m, heads = self.config, self.config.attention_window, self.num_heads

        qkv = Linear(3 * c.embed_dim, self.dtype, c.qkv_bias, name="qkv")(x)
        table = self.param("relative_position_bias_table", linear_init, ((2 * m - 1) ** 2, heads), jnp.float32)
        bias = table[relative_position_index(m)].transpose(2, 0, 1)  # [heads, N, N]

        drop = nn.Dropout(c.attn_drop_rate, deterministic=deterministic)
        y = attend(qkv, bias, regions, query_scale(c, heads), drop, self.fused)  # [B, H / M, W / M, N, C]

        y = Linear(c.embed_dim, self.dtype, name="proj")(y)
        return nn.Dropout(c.drop_rate, deterministic=deterministic)(y).astype(x.dtype)


def attend(
    qkv: jax.Array, bias: jax.Array, regions: jax.Array | None, scale: float, drop: nn.Dropout, fused: bool | Mesh
) -> jax.Array:
    """Attends among the tokens of each window.

    Args:
      qkv: `[B, H / M, W / M, N, 3 C]`, queries, keys and values.
      bias: `[heads, N, N]`, the relative position bias of each query and key.
      regions: `[H / M, W / M, N]` from `shift_regions`, or None.
      scale: factor on queries.
      drop: dropout of the attention's weights.
      fused: whether to take the kernel of `swinir_jax.gpu` if it supports the window and the dtype, without dropout; a
        mesh to take it on all devices, of which each has an equal part of B.

    Returns:
      `[B, H / M, W / M, N, C]` in the residual stream's dtype, or that of `qkv` from the kernel.
    """
    if fused and (drop.rate == 0 or drop.deterministic):
        from swinir_jax.gpu import attention  # only here: not every JAX has Pallas with Triton

        if attention.is_supported(qkv.shape[-2], qkv.dtype):
            settings = attention.Settings(scale, MASKED)
            if fused is True:
                return attention.window_attention(qkv, bias, regions, settings)
            return attention.divided_attention(fused, qkv, bias, regions, settings)
    q, k, v = split_heads(qkv, len(bias))
    return weigh_values(q * scale, k, v, bias, regions, drop)


def split_heads(qkv: jax.Array, heads: int) -> tuple[jax.Array, ...]:
    """Splits `[..., 3 C]` into queries, keys and values, each `[..., heads, D]`."""
    return tuple(y.reshape(*y.shape[:-1], heads, y.shape[-1] // heads) for y in jnp.split(qkv, 3, axis=-1))


def weigh_values(
    q: jax.Array, k: jax.Array, v: jax.Array, bias: jax.Array, regions: jax.Array | None, drop: nn.Dropout
) -> jax.Array:
    """Weights the values of each window's tokens by the softmax of scores, bias and mask.

    Args:
      q: queries, scaled, `[B, H / M, W / M, N, heads, D]`.
      k: keys, of the same shape and dtype.
      v: values, of the same shape and dtype.
      bias: `[heads, N, N]`, the relative position bias of each query and key.
      regions: `[H / M, W / M, N]` from `shift_regions`, or None.
      drop: dropout of the attention's weights.

    Returns:
      `[B, H / M, W / M, N, heads * D]` in the residual stream's dtype.
    """
    scores = product("...qhd,...khd->...hqk", q, k)  # [B, H / M, W / M, heads, N, N]
    scores = scores + jnp.expand_dims(bias, (0, 1, 2)).astype(scores.dtype)
    if regions is not None:
        scores = scores + jnp.expand_dims(shift_mask(regions), (0, 3)).astype(scores.dtype)
    attention = drop(nn.softmax(scores))
    y = product("...hqk,...khd->...qhd", attention.astype(v.dtype), v)
    return y.reshape(*y.shape[:-2], -1)


def query_scale(config: SwinIRConfig, num_heads: int) -> float:
    """Returns the factor on queries: `qk_scale`, or 1 / sqrt(D) for heads of D channels."""
    return (config.embed_dim // num_heads) ** -0.5 if config.qk_scale is None else config.qk_scale


class Mlp(nn.Module):
    """Two linear layers with an exact GELU between them.

    Attributes:
      hidden_dim: width of the hidden layer.
      drop_rate: dropout rate after each layer.
      dtype: dtype of the matrix products.
    """

    hidden_dim: int
    drop_rate: float
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, deterministic: bool) -> jax.Array:
        """`[..., C]` -> `[..., C]`."""
        drop = nn.Dropout(self.drop_rate, deterministic=deterministic)
        hidden = gelu(Linear(self.hidden_dim, self.dtype, name="fc1")(x))
        y = Linear(x.shape[-1], self.dtype, name="fc2")(drop(hidden))
        return drop(y).astype(x.dtype)


def gelu(x: jax.Array) -> jax.Array:
    """Exact GELU, PyTorch's default; the erfc form of `nn.gelu` takes a CPU twice as long."""
    return 0.5 * x * (1 + erf(x * math.sqrt(0.5)))


class Linear(nn.Module):
    """Linear layer with the original's initialisation; `nn.Dense` would sum the gradient of the bias in `dtype`.

    Attributes:
      features: number of output channels.
      dtype: dtype of the product.
      use_bias: whether there is a bias.
    """

    features: int
    dtype: Any = jnp.float32
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """`[..., C]` -> `[..., features]` in `dtype`."""
        kernel = self.param("kernel", linear_init, (x.shape[-1], self.features), jnp.float32)
        precision = product_precision(self.dtype)
        y = jnp.matmul(x.astype(self.dtype), kernel.astype(self.dtype), precision=precision)
        if not self.use_bias:
            return y
        return add_bias(y, self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32))


def layer_norm(dtype: Any, name: str) -> nn.LayerNorm:
    """Returns PyTorch's LayerNorm, computed in the residual stream's dtype.

    The variance is that of centred values: E[x^2] - E[x]^2 loses digits where the mean is large.
    """
    return nn.LayerNorm(epsilon=LAYER_NORM_EPSILON, use_fast_variance=False, dtype=residual_dtype(dtype), name=name)


class PatchEmbed(nn.Module):
    """The step from a convolution to a Swin Transformer layer: a LayerNorm, or nothing.

    A module because official checkpoints name the LayerNorm `patch_embed.norm`.

    Attributes:
      norm: whether there is a LayerNorm.
      dtype: dtype of matrix products.
    """

    norm: bool
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """`[B, H, W, C]` -> `[B, H, W, C]`."""
        return layer_norm(self.dtype, "norm")(x) if self.norm else x
