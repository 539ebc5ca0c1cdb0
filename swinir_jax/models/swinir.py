"""SwinIR (Liang et al. 2021, arXiv 2108.10257), after the official `models/network_swinir.py` (Apache-2.0)."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from swinir_jax.config import SwinIRConfig
from swinir_jax.errors import InputError
from swinir_jax.models.layers import SwinTransformerBlock, conv, layer_norm, linear_init, residual_dtype
from swinir_jax.models.reconstruction import RECONSTRUCTIONS

RGB_MEAN = (0.4488, 0.4371, 0.4040)  # of DIV2K; networks of other than three channels subtract nothing


class PatchEmbed(nn.Module):
    """The LayerNorm before the first RSTB; a module of its own for the official name."""

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """`[B, H, W, C]` -> `[B, H, W, C]`."""
        return layer_norm(self.dtype, "norm")(x)


class ResidualGroup(nn.Module):
    """The Swin Transformer layers of one RSTB; each second one on shifted windows.

    Attributes:
      config: of the network.
      index: of the RSTB.
      dtype: of matrix products.
    """

    config: SwinIRConfig
    index: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, deterministic: bool) -> jax.Array:
        """`[B, H, W, C]` -> `[B, H, W, C]`."""
        c, heads, first = self.config, self.config.num_heads[self.index], sum(self.config.depths[: self.index])
        layer = nn.remat(SwinTransformerBlock, static_argnums=(2,)) if c.use_checkpoint else SwinTransformerBlock
        for i in range(c.depths[self.index]):
            shift, drop_path = c.shift_size if i % 2 else 0, c.drop_path_rates[first + i]
            x = layer(c, heads, shift, drop_path, self.dtype, name=f"blocks_{i}")(x, deterministic)
        return x


class RSTB(nn.Module):
    """Residual Swin Transformer block: a group of layers, a convolution and a skip.

    Attributes:
      config: of the network.
      index: of the RSTB.
      dtype: of matrix products and convolutions.
    """

    config: SwinIRConfig
    index: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, deterministic: bool) -> jax.Array:
        """`[B, H, W, C]` -> `[B, H, W, C]`."""
        y = ResidualGroup(self.config, self.index, self.dtype, name="residual_group")(x, deterministic)
        return x + residual_conv(y, self.config, self.dtype, "conv")


class SwinIR(nn.Module):
    """The whole network, `model.apply({"params": params}, lq) -> restored`.

    Parameters are float32 and have one entry a layer, named after the official ones:
    `layers_0/residual_group/blocks_1/attn/qkv/kernel`.

    Attributes:
      config: the architecture.
      dtype: of matrix products and convolutions: `jnp.float32` or `jnp.bfloat16`, with the residual stream, LayerNorm
        and softmax in float32; or `jnp.float64` for all, where x64 is enabled.

    Raises:
      InputError: if `dtype` is another one. float16 overflows in the classical models, whose activations grow
        from block to block.
    """

    config: SwinIRConfig
    dtype: Any = jnp.float32

    def __post_init__(self) -> None:
        name = getattr(self.dtype, "__name__", self.dtype)
        if str(name) == "float16":
            raise InputError("float16 overflows in SwinIR's classical models, whose activations grow; take bfloat16.")
        if str(name) not in ("float32", "bfloat16", "float64"):
            raise InputError(f"dtype must be float32, bfloat16 or float64, got {name}.")
        super().__post_init__()

    @nn.compact
    def __call__(self, lq: jax.Array, *, deterministic: bool = True) -> jax.Array:
        """Restores a batch of images of one size.

        Sides that are no multiples of the window are padded at the bottom and the right by reflection, as often
        as it takes, and the result is cut to size.

        Args:
          lq: `[B, h, w, in_chans]`, float in [0, 1].
          deterministic: False to apply dropout and stochastic depth, from the rng stream "dropout".

        Returns:
          `[B, h * upscale, w * upscale, in_chans]` in the dtype of the residual stream; about [0, 1], not clipped.

        Raises:
          InputError: if `lq` has another rank or number of channels, is not of floats or is empty; with `ape`, if
            its padded size is not `img_size`.
        """
        c, (_, h, w, _) = self.config, checked_shape(lq, self.config)
        mean = rgb_mean(c, residual_dtype(self.dtype))
        x = (pad_to_window(lq.astype(mean.dtype), c.window_size) - mean) * c.img_range

        shallow = conv(x, c.embed_dim, self.dtype, "conv_first")
        deep = self._body(shallow, deterministic)
        deep = residual_conv(deep, c, self.dtype, "conv_after_body") + shallow
        restored = self._reconstruct(deep, x)

        restored = restored / c.img_range + mean
        return restored[:, : h * c.upscale, : w * c.upscale]

    def _body(self, x: jax.Array, deterministic: bool) -> jax.Array:
        """The RSTBs, between two LayerNorms."""
        c, (_, h, w, _) = self.config, x.shape
        if c.patch_norm:
            x = PatchEmbed(self.dtype, name="patch_embed")(x)
        if c.ape:
            embedding = self.param("absolute_pos_embed", linear_init, (1, h * w, c.embed_dim), jnp.float32)
            x = x + embedding.reshape(1, h, w, c.embed_dim).astype(x.dtype)
        x = nn.Dropout(c.drop_rate, deterministic=deterministic)(x)
        for i in range(len(c.depths)):
            x = RSTB(c, i, self.dtype, name=f"layers_{i}")(x, deterministic)
        return layer_norm(self.dtype, "norm")(x)

    def _reconstruct(self, deep: jax.Array, x: jax.Array) -> jax.Array:
        """An image of deep features and of the network's input."""
        return RECONSTRUCTIONS[self.config.upsampler](
            lambda x, features, name: conv(x, features, self.dtype, name), deep, x, self.config
        )


def residual_conv(x: jax.Array, config: SwinIRConfig, dtype: Any, name: str) -> jax.Array:
    """The convolutions that end an RSTB and the body: one, or three with a bottleneck of a quarter of the width.

    Belongs into a compact method, whose module then owns the convolutions under the official names.
    """
    c = config.embed_dim
    if config.resi_connection == "1conv":
        return conv(x, c, dtype, name)
    x = nn.leaky_relu(conv(x, c // 4, dtype, f"{name}_0"), 0.2)
    x = nn.leaky_relu(conv(x, c // 4, dtype, f"{name}_2", kernel=1), 0.2)
    return conv(x, c, dtype, f"{name}_4")


def rgb_mean(config: SwinIRConfig, dtype: Any) -> jax.Array:
    """What the network subtracts from images and adds to its answer, `[1, 1, 1, 1 or 3]`."""
    mean = np.asarray(RGB_MEAN if config.in_chans == 3 else (0.0,), np.float32)  # the original's digits
    return jnp.asarray(mean.reshape(1, 1, 1, -1), dtype)


def pad_to_window(x: jax.Array, window_size: int) -> jax.Array:
    """Pads `[B, h, w, C]` at the bottom and the right to multiples of the window, by reflection.

    Reflects more than once where a side is smaller than the padding; a side of one pixel is repeated.
    """
    _, h, w, _ = x.shape
    pads = ((0, 0), (0, -h % window_size), (0, -w % window_size), (0, 0))
    return jnp.pad(x, pads, mode="reflect")


def checked_shape(lq: jax.Array, config: SwinIRConfig) -> tuple[int, int, int, int]:
    """`[B, h, w, in_chans]` of images that the network takes.

    Raises:
      InputError: as `SwinIR.__call__`.
    """
    if lq.ndim != 4 or lq.shape[-1] != config.in_chans:
        raise InputError(f"SwinIR takes [B, h, w, {config.in_chans}] images, got an array of shape {lq.shape}.")
    if not jnp.issubdtype(lq.dtype, jnp.floating):
        raise InputError(f"SwinIR takes floats in [0, 1], got {lq.dtype}; divide 8-bit images by 255.")
    if 0 in lq.shape:
        raise InputError(f"SwinIR takes at least one pixel, got an array of shape {lq.shape}.")
    m, sides = config.window_size, config.img_sides
    h, w = (size + -size % m for size in lq.shape[1:3])
    if config.ape and (h, w) != sides:
        raise InputError(f"A network with ape takes only {sides[0]}x{sides[1]} pixels (padded), got {h}x{w}.")
    batch, height, width, channels = lq.shape
    return batch, height, width, channels
