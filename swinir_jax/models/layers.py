"""Blocks of the network below the RSTB: convolutions, MLP, window attention, the Swin Transformer layer."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from swinir_jax.models.attention import Attend, attention
from swinir_jax.models.convolution import Convolution, convolve
from swinir_jax.models.windows import relative_position_index

# The official truncated normal cuts at +-2, which is 100 standard deviations: a normal distribution.
linear_init = nn.initializers.normal(0.02)


def residual_dtype(dtype: Any) -> Any:
    """Of the residual stream beside matrix products in `dtype`: float32, or float64 where all is in float64."""
    return jnp.promote_types(dtype, jnp.float32)


def exact(dtype: Any) -> lax.Precision | None:
    """Precision of products in `dtype`: float32 means float32, where GPUs and TPUs would round to fewer bits."""
    return None if dtype == jnp.bfloat16 else lax.Precision.HIGHEST


def linear(features: int, dtype: Any, name: str, use_bias: bool = True) -> nn.Dense:
    """A linear layer, initialised as the original's."""
    return nn.Dense(
        features, use_bias=use_bias, kernel_init=linear_init, dtype=dtype, precision=exact(dtype), name=name
    )


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
      convolution: what computes it, `(image, kernel) -> image`.
    """

    features: int
    kernel: int = 3
    dtype: Any = jnp.float32
    convolution: Convolution = convolve

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """`[B, H, W, C]` -> `[B, H, W, features]` in the dtype of the residual stream."""
        bound = 1 / math.sqrt(self.kernel**2 * x.shape[-1])

        def uniform(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
            return jax.random.uniform(key, shape, dtype, -bound, bound)

        kernel = self.param("kernel", uniform, (self.kernel, self.kernel, x.shape[-1], self.features))
        bias = self.param("bias", uniform, (self.features,))
        y = self.convolution(x.astype(self.dtype), kernel.astype(self.dtype))
        return y.astype(residual_dtype(self.dtype)) + bias


def gelu(x: jax.Array) -> jax.Array:
    """The exact GELU as PyTorch computes it; by erfc, as in `nn.gelu`, it takes a CPU twice as long."""
    return 0.5 * x * (1 + _erf(x * math.sqrt(0.5)))


# By `exp` alone: JAX 0.12 differentiates `lax.erf` by a primitive that `shard_map` refuses, in twenty operations more.
_erf = jax.custom_jvp(lax.erf)
_erf.defjvps(lambda x_dot, _, x: x_dot * (2 / math.sqrt(math.pi)) * jnp.exp(-x * x))


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
        hidden = linear(self.hidden_dim, self.dtype, "fc1")(x)
        hidden = drop(gelu(hidden))
        return drop(linear(x.shape[-1], self.dtype, "fc2")(hidden))


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
    def __call__(self, x: jax.Array, labels: jax.Array | None, attend: Attend, *, deterministic: bool) -> jax.Array:
        """`[windows * M * M, C]` -> the same; see `SwinTransformerBlock`."""
        n, c, heads = self.window_size**2, x.shape[-1], self.num_heads
        table = self.param("relative_position_bias_table", linear_init, ((2 * self.window_size - 1) ** 2, heads))
        bias = table[relative_position_index(self.window_size)].transpose(2, 0, 1)  # [heads, N, N]
        qkv = linear(3 * c, self.dtype, "qkv", use_bias=self.qkv_bias)(x)
        scale = (c // heads) ** -0.5 if self.qk_scale is None else self.qk_scale
        drop = None if deterministic or not self.attn_drop else nn.Dropout(self.attn_drop, deterministic=False)
        y = attend(qkv.reshape(-1, n, 3, heads, c // heads), scale, bias, labels, drop)
        y = linear(c, self.dtype, "proj")(y.reshape(-1, c))
        return nn.Dropout(self.drop, deterministic=deterministic)(y)


class SwinTransformerBlock(nn.Module):
    """One Swin Transformer layer (the paper's STL): attention and MLP, each after a LayerNorm and with a skip.

    It treats each window by itself; who calls it shifts and partitions.

    Attributes:
      window_size: side M of a window.
      num_heads: of the attention.
      mlp_hidden_dim: width of the MLP's hidden layer.
      qkv_bias: whether queries, keys and values have a bias.
      qk_scale: factor on the queries; None for 1 / sqrt(head dimension).
      drop: dropout rate.
      attn_drop: dropout rate of the attention weights.
      dtype: of the matrix products.
    """

    window_size: int
    num_heads: int
    mlp_hidden_dim: int
    qkv_bias: bool
    qk_scale: float | None
    drop: float
    attn_drop: float
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        labels: jax.Array | None,
        gains: jax.Array | None,
        *,
        attend: Attend = attention,
        deterministic: bool,
    ) -> jax.Array:
        """`[windows, M * M, C]` -> the same.

        Args:
          x: tokens of windows.
          labels: `[windows, M * M]` regions of shifted windows, or None for W-MSA.
          gains: `[windows, 2]` factors on the two branches (stochastic depth), or None for 1.
          attend: how attention is computed.
          deterministic: whether there is no dropout.
        """
        shape, n = x.shape, x.shape[1]
        x = x.reshape(-1, shape[-1])  # the gradient of a product of three axes would be transposed first
        if gains is not None:
            gains = jnp.repeat(gains, n, axis=0)
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
        y = attn(layer_norm("norm1")(x), labels, attend, deterministic=deterministic).astype(x.dtype)
        x = x + (y if gains is None else y * gains[:, :1])
        mlp = Mlp(hidden_dim=self.mlp_hidden_dim, drop=self.drop, dtype=self.dtype, name="mlp")
        y = mlp(layer_norm("norm2")(x), deterministic=deterministic).astype(x.dtype)
        x = x + (y if gains is None else y * gains[:, 1:])
        return x.reshape(shape)
