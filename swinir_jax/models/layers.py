"""Blocks of the network below the RSTB: convolutions, MLP, window attention, the Swin Transformer layer."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from swinir_jax.models.attention import attention_reference, window_attention
from swinir_jax.models.windows import relative_position_index, window_partition, window_reverse

# The official truncated normal cuts at +-2, which is 100 standard deviations: a normal distribution.
linear_init = nn.initializers.normal(0.02)


def residual_dtype(dtype: Any) -> Any:
    """Of the residual stream beside matrix products in `dtype`: float32, or float64 where all is in float64."""
    return jnp.promote_types(dtype, jnp.float32)


def layer_norm(name: str) -> nn.LayerNorm:
    """PyTorch's LayerNorm, in the dtype of the residual stream.

    The variance is taken of centred values: E[x^2] - E[x]^2 loses digits where the mean is large.
    """
    return nn.LayerNorm(epsilon=1e-5, use_fast_variance=False, name=name)


class Conv(nn.Module):
    """A convolution with zero padding that keeps the size, initialised as PyTorch's `Conv2d`.

    Attributes:
      features: output channels.
      kernel: side of the kernel, odd.
      dtype: of the arithmetic; the parameters are float32.
    """

    features: int
    kernel: int = 3
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """`[B, H, W, C]` -> `[B, H, W, features]` in the dtype of the residual stream."""
        bound = 1 / math.sqrt(self.kernel**2 * x.shape[-1])

        def uniform(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
            return jax.random.uniform(key, shape, dtype, -bound, bound)

        kernel = self.param("kernel", uniform, (self.kernel, self.kernel, x.shape[-1], self.features))
        bias = self.param("bias", uniform, (self.features,))
        y = jax.lax.conv_general_dilated(
            x.astype(self.dtype),
            kernel.astype(self.dtype),
            window_strides=(1, 1),
            padding="SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return y.astype(residual_dtype(self.dtype)) + bias


class Mlp(nn.Module):
    """Two linear layers with an exact (erf) GELU between them.

    Attributes:
      hidden_dim: width of the hidden layer.
      drop: dropout rate after each layer.
      dtype: of the matrix products.
    """

    hidden_dim: int
    drop: float
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, deterministic: bool) -> jax.Array:
        """`[..., C]` -> `[..., C]`."""
        drop = nn.Dropout(self.drop, deterministic=deterministic)
        hidden = nn.Dense(self.hidden_dim, kernel_init=linear_init, dtype=self.dtype, name="fc1")(x)
        hidden = drop(nn.gelu(hidden, approximate=False))
        return drop(nn.Dense(x.shape[-1], kernel_init=linear_init, dtype=self.dtype, name="fc2")(hidden))


class WindowAttention(nn.Module):
    """Window multi-head self-attention with relative position bias: W-MSA, or SW-MSA where labels are given.

    Attributes:
      window_size: side M of a window.
      num_heads: of the attention.
      qkv_bias: whether queries, keys and values have a bias.
      qk_scale: factor on the queries; None for 1 / sqrt(head dimension).
      attn_drop: dropout rate of the attention weights.
      drop: dropout rate of the projection.
      dtype: of the matrix products; scores and softmax stay float32.
    """

    window_size: int
    num_heads: int
    qkv_bias: bool
    qk_scale: float | None
    attn_drop: float
    drop: float
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, labels: jax.Array | None, *, deterministic: bool) -> jax.Array:
        """`[B, H, W, C]` -> `[B, H, W, C]`; `labels` are `[nW, M * M]` from `shift_labels`, or None."""
        (_, h, w, c), m = x.shape, self.window_size
        table = self.param("relative_position_bias_table", linear_init, ((2 * m - 1) ** 2, self.num_heads))
        bias = table[relative_position_index(m)].transpose(2, 0, 1)  # [heads, M*M, M*M]
        qkv = nn.Dense(3 * c, use_bias=self.qkv_bias, kernel_init=linear_init, dtype=self.dtype, name="qkv")(x)
        qkv = window_partition(qkv, m)
        qkv = qkv.reshape(*qkv.shape[:2], 3, self.num_heads, c // self.num_heads)
        scale = (c // self.num_heads) ** -0.5 if self.qk_scale is None else self.qk_scale
        if self.attn_drop and not deterministic:
            labels = None if labels is None else jnp.tile(labels, (qkv.shape[0] // labels.shape[0], 1))
            y = attention_reference(qkv, bias, labels, scale, nn.Dropout(self.attn_drop, deterministic=False))
        else:
            y = window_attention(qkv, bias, labels, scale)  # [B*nW, M*M, heads, D]
        y = window_reverse(y.reshape(*y.shape[:2], c), m, h, w)
        y = nn.Dense(c, kernel_init=linear_init, dtype=self.dtype, name="proj")(y)
        return nn.Dropout(self.drop, deterministic=deterministic)(y)


class SwinTransformerBlock(nn.Module):
    """One Swin Transformer layer (the paper's STL): attention and MLP, each after a LayerNorm and with a skip.

    Attributes:
      window_size: side M of a window.
      shift_size: by how many pixels the windows are shifted; 0 for W-MSA.
      num_heads: of the attention.
      mlp_hidden_dim: width of the MLP's hidden layer.
      qkv_bias: whether queries, keys and values have a bias.
      qk_scale: factor on the queries; None for 1 / sqrt(head dimension).
      drop: dropout rate.
      attn_drop: dropout rate of the attention weights.
      drop_path: rate at which a sample skips the branches of this layer (stochastic depth).
      dtype: of the matrix products.
    """

    window_size: int
    shift_size: int
    num_heads: int
    mlp_hidden_dim: int
    qkv_bias: bool
    qk_scale: float | None
    drop: float
    attn_drop: float
    drop_path: float
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, labels: jax.Array | None, deterministic: bool) -> jax.Array:
        """`[B, H, W, C]` float32 -> the same; `labels` are those of shifted windows, unused if `shift_size` is 0."""
        s = self.shift_size
        drop_path = nn.Dropout(self.drop_path, broadcast_dims=(1, 2, 3), deterministic=deterministic)
        attn = WindowAttention(
            window_size=self.window_size,
            num_heads=self.num_heads,
            qkv_bias=self.qkv_bias,
            qk_scale=self.qk_scale,
            attn_drop=self.attn_drop,
            drop=self.drop,
            dtype=self.dtype,
            name="attn",
        )
        y = layer_norm("norm1")(x)
        if s:
            y = jnp.roll(y, (-s, -s), axis=(1, 2))
        y = attn(y, labels if s else None, deterministic=deterministic)
        if s:
            y = jnp.roll(y, (s, s), axis=(1, 2))
        x = x + drop_path(y.astype(x.dtype))
        mlp = Mlp(hidden_dim=self.mlp_hidden_dim, drop=self.drop, dtype=self.dtype, name="mlp")
        y = mlp(layer_norm("norm2")(x), deterministic=deterministic)
        return x + drop_path(y.astype(x.dtype))
