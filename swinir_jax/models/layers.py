"""Parts of the network below the RSTB: convolution, MLP, window attention and the Swin Transformer layer."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from swinir_jax.config import SwinIRConfig
from swinir_jax.erf import erf
from swinir_jax.models.windows import (
    relative_position_index,
    shift_mask,
    shift_regions,
    window_partition,
    window_reverse,
)

# The official truncated normal cuts at +-2, which is 100 standard deviations: a normal distribution.
linear_init = nn.initializers.normal(0.02)


def residual_dtype(dtype: Any) -> Any:
    """Of the residual stream beside matrix products in `dtype`: float32, or float64 where all is in float64."""
    return jnp.float64 if dtype == jnp.float64 else jnp.float32


def precision(dtype: Any) -> lax.Precision | None:
    """Of products in `dtype`: float32 means float32, where GPUs and TPUs would round to fewer bits."""
    return None if dtype == jnp.bfloat16 else lax.Precision.HIGHEST


def linear(features: int, dtype: Any, name: str, use_bias: bool = True) -> nn.Dense:
    """A linear layer, initialised as the original's."""
    return nn.Dense(
        features, use_bias=use_bias, kernel_init=linear_init, dtype=dtype, precision=precision(dtype), name=name
    )


def layer_norm(dtype: Any, name: str) -> nn.LayerNorm:
    """PyTorch's LayerNorm, in the dtype of the residual stream beside products in `dtype`.

    The variance is taken of centred values: E[x^2] - E[x]^2 loses digits where the mean is large.
    """
    return nn.LayerNorm(epsilon=1e-5, use_fast_variance=False, dtype=residual_dtype(dtype), name=name)


def conv(x: jax.Array, features: int, dtype: Any, name: str, kernel: int = 3) -> jax.Array:
    """A convolution with zero padding that keeps the size, initialised as PyTorch's `Conv2d`.

    Belongs into a compact method, whose module then owns the kernel and the bias.

    Args:
      x: `[B, H, W, C]`.
      features: output channels.
      dtype: of the arithmetic.
      name: of the convolution among its owner's parameters.
      kernel: side of the kernel, odd.

    Returns:
      `[B, H, W, features]` in the dtype of the residual stream.
    """
    bound = 1 / math.sqrt(kernel**2 * x.shape[-1])

    def uniform(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    convolution = nn.Conv(
        features,
        (kernel, kernel),
        kernel_init=uniform,
        bias_init=uniform,
        dtype=dtype,
        precision=precision(dtype),
        name=name,
    )
    return convolution(x).astype(residual_dtype(dtype))


def gelu(x: jax.Array) -> jax.Array:
    """The exact GELU, as PyTorch has it; by erfc, as in `nn.gelu`, it takes a CPU twice as long."""
    return 0.5 * x * (1 + erf(x * math.sqrt(0.5)))


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
    def __call__(self, x: jax.Array, deterministic: bool) -> jax.Array:
        """`[..., C]` -> `[..., C]`."""
        drop = nn.Dropout(self.drop, deterministic=deterministic)
        hidden = gelu(linear(self.hidden_dim, self.dtype, "fc1")(x))
        y = linear(x.shape[-1], self.dtype, "fc2")(drop(hidden))
        return drop(y).astype(x.dtype)


class WindowAttention(nn.Module):
    """Multi-head self-attention inside windows, with relative position bias: W-MSA, or SW-MSA where a mask is given.

    Attributes:
      config: of the network.
      num_heads: of the attention.
      dtype: of the matrix products; scores and softmax stay float32.
    """

    config: SwinIRConfig
    num_heads: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array | None, deterministic: bool) -> jax.Array:
        """Attends among the tokens of each window.

        Args:
          x: `[B, H / M, W / M, N, C]`, N = M * M tokens of each window.
          mask: `[H / M, W / M, N, N]` from `shift_mask`, or None.
          deterministic: whether there is no dropout.

        Returns:
          `[B, H / M, W / M, N, C]`.
        """
        c, heads, m = self.config, self.num_heads, self.config.attention_window
        head_dim = c.embed_dim // heads
        scale = head_dim**-0.5 if c.qk_scale is None else c.qk_scale

        qkv = jnp.split(linear(3 * c.embed_dim, self.dtype, "qkv", use_bias=c.qkv_bias)(x), 3, axis=-1)
        q, k, v = (y.reshape(*x.shape[:-1], heads, head_dim) for y in qkv)  # each [B, H / M, W / M, N, heads, D]
        table = self.param("relative_position_bias_table", linear_init, ((2 * m - 1) ** 2, heads), jnp.float32)
        bias = table[relative_position_index(m)].transpose(2, 0, 1)  # [heads, N, N]

        scores = self._product("...qhd,...khd->...hqk", q * scale, k)  # [B, H / M, W / M, heads, N, N]
        scores = scores + jnp.expand_dims(bias, (0, 1, 2)).astype(scores.dtype)
        if mask is not None:
            scores = scores + jnp.expand_dims(mask, (0, 3)).astype(scores.dtype)
        weights = nn.softmax(scores)
        weights = nn.Dropout(c.attn_drop_rate, deterministic=deterministic)(weights)
        y = self._product("...hqk,...khd->...qhd", weights.astype(v.dtype), v).reshape(x.shape)

        y = linear(c.embed_dim, self.dtype, "proj")(y)
        return nn.Dropout(c.drop_rate, deterministic=deterministic)(y).astype(x.dtype)

    def _product(self, equation: str, a: jax.Array, b: jax.Array) -> jax.Array:
        """Of factors in `dtype`, summed in the dtype of the residual stream."""
        return jnp.einsum(
            equation, a, b, precision=precision(self.dtype), preferred_element_type=residual_dtype(self.dtype)
        )


class SwinTransformerBlock(nn.Module):
    """One Swin Transformer layer (the paper's STL): window attention, then an MLP, each behind a LayerNorm, with skips.

    Attributes:
      config: of the network.
      num_heads: of the attention.
      shift: by how many pixels the windows are shifted; 0 for W-MSA.
      drop_path: rate of stochastic depth, at which an image skips a branch.
      dtype: of the matrix products.
    """

    config: SwinIRConfig
    num_heads: int
    shift: int
    drop_path: float
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, deterministic: bool) -> jax.Array:
        """`[B, H, W, C]` -> `[B, H, W, C]`; H and W are multiples of the attention window."""
        c, m, shift, (_, h, w, _) = self.config, self.config.attention_window, self.shift, x.shape
        attention = WindowAttention(c, self.num_heads, self.dtype, name="attn")
        mlp = Mlp(c.mlp_hidden_dim, c.drop_rate, self.dtype, name="mlp")
        drop_path = nn.Dropout(self.drop_path, broadcast_dims=(1, 2, 3), deterministic=deterministic)

        y = layer_norm(self.dtype, "norm1")(x)
        y = jnp.roll(y, (-shift, -shift), axis=(1, 2))
        y = window_partition(y, m)
        mask = shift_mask(shift_regions(h, w, m, shift)) if shift else None
        y = attention(y, mask, deterministic)
        y = window_reverse(y, m)
        y = jnp.roll(y, (shift, shift), axis=(1, 2))
        x = x + drop_path(y)

        y = mlp(layer_norm(self.dtype, "norm2")(x), deterministic)
        return x + drop_path(y)
