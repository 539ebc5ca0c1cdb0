"""SwinIR (Liang et al. 2021, arXiv 2108.10257), after the official `models/network_swinir.py` (Apache-2.0)."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from swinir_jax.config import SwinIRConfig
from swinir_jax.errors import InputError
from swinir_jax.models.layers import Conv, SwinTransformerBlock, layer_norm, linear_init
from swinir_jax.models.reconstruction import RECONSTRUCTIONS
from swinir_jax.models.windows import shift_labels

RGB_MEAN = (0.4488, 0.4371, 0.4040)  # of DIV2K; networks of other than three channels subtract nothing


def residual_conv(x: jax.Array, config: SwinIRConfig, name: str, dtype: Any) -> jax.Array:
    """The convolutions that end an RSTB and the body: one, or three with a bottleneck of a quarter of the width.

    Belongs into a compact method, whose module then owns the convolutions, under the official names.
    """
    c = config.embed_dim
    if config.resi_connection == "1conv":
        return Conv(c, dtype=dtype, name=name)(x)
    x = nn.leaky_relu(Conv(c // 4, dtype=dtype, name=f"{name}_0")(x), 0.2)
    x = nn.leaky_relu(Conv(c // 4, kernel=1, dtype=dtype, name=f"{name}_2")(x), 0.2)
    return Conv(c, dtype=dtype, name=f"{name}_4")(x)


class ResidualGroup(nn.Module):
    """The Swin Transformer layers of one RSTB; each second one on shifted windows.

    Attributes:
      config: of the network.
      index: of the RSTB, from 0.
      dtype: of matrix products.
    """

    config: SwinIRConfig
    index: int
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array, labels: jax.Array | None, *, deterministic: bool) -> jax.Array:
        """`[B, H, W, C]` -> `[B, H, W, C]`."""
        c = self.config
        block_class = nn.remat(SwinTransformerBlock, static_argnums=(3,)) if c.use_checkpoint else SwinTransformerBlock
        first, last = sum(c.depths[: self.index]), sum(c.depths) - 1
        for i in range(c.depths[self.index]):
            block = block_class(
                window_size=c.attention_window,
                shift_size=c.shift_size if i % 2 else 0,
                num_heads=c.num_heads[self.index],
                mlp_hidden_dim=c.mlp_hidden_dim,
                qkv_bias=c.qkv_bias,
                qk_scale=c.qk_scale,
                drop=c.drop_rate,
                attn_drop=c.attn_drop_rate,
                drop_path=c.drop_path_rate * (first + i) / max(last, 1),
                dtype=self.dtype,
                name=f"blocks_{i}",
            )
            x = block(x, labels, deterministic)
        return x


class RSTB(nn.Module):
    """Residual Swin Transformer block: a group of layers, a convolution and a skip.

    Attributes:
      config: of the network.
      index: of this block, from 0.
      dtype: of matrix products and convolutions.
    """

    config: SwinIRConfig
    index: int
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array, labels: jax.Array | None, *, deterministic: bool) -> jax.Array:
        """`[B, H, W, C]` -> `[B, H, W, C]`."""
        group = ResidualGroup(self.config, self.index, self.dtype, name="residual_group")
        return x + residual_conv(group(x, labels, deterministic=deterministic), self.config, "conv", self.dtype)


class PatchEmbed(nn.Module):
    """The LayerNorm before the first RSTB; a module of its own for the official name."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """`[B, H, W, C]` -> `[B, H, W, C]`."""
        return layer_norm("norm")(x)


class SwinIR(nn.Module):
    """The whole network, `model.apply({"params": params}, lq) -> restored`.

    Parameters are float32 and have one entry a layer, named after the official ones:
    `layers_0/residual_group/blocks_1/attn/qkv/kernel`.

    Attributes:
      config: the architecture.
      dtype: of matrix products and convolutions: `jnp.float32` or `jnp.bfloat16`. The residual stream, LayerNorm
        and softmax are float32 in both.

    Raises:
      InputError: if `dtype` is another one. float16 overflows in the classical models, whose activations grow
        from block to block.
    """

    config: SwinIRConfig
    dtype: Any = jnp.float32

    def __post_init__(self) -> None:
        if jnp.dtype(self.dtype) == jnp.float16:
            raise InputError("float16 overflows in SwinIR's classical models, whose activations grow; take bfloat16.")
        if jnp.dtype(self.dtype) not in (jnp.float32, jnp.bfloat16, jnp.float64):
            raise InputError(f"dtype must be float32 or bfloat16, got {jnp.dtype(self.dtype)}.")
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
          `[B, h * upscale, w * upscale, in_chans]`; about [0, 1], not clipped.

        Raises:
          InputError: if `lq` has another rank or number of channels, is not of floats or is empty; with `ape`, if
            its padded size is not `img_size`.
        """
        c = self.config
        _check_input(lq, c)
        _, h, w, _ = lq.shape
        mean = jnp.asarray(RGB_MEAN if c.in_chans == 3 else 0.0, lq.dtype)
        x = (pad_to_window(lq, c.window_size) - mean) * c.img_range

        shallow = Conv(c.embed_dim, dtype=self.dtype, name="conv_first")(x)
        deep = self._body(shallow, deterministic)
        deep = residual_conv(deep, c, "conv_after_body", self.dtype) + shallow
        restored = RECONSTRUCTIONS[c.upsampler](deep, x, c, self.dtype)

        restored = restored / c.img_range + mean
        return restored[:, : h * c.upscale, : w * c.upscale]

    def _body(self, x: jax.Array, deterministic: bool) -> jax.Array:
        c = self.config
        _, h, w, _ = x.shape
        if c.patch_norm:
            x = PatchEmbed(name="patch_embed")(x)
        if c.ape:
            if (h, w) != (c.img_size, c.img_size):
                raise InputError(
                    f"A network with ape takes only {c.img_size}x{c.img_size} pixels (padded), got {h}x{w}."
                )
            embedding = self.param("absolute_pos_embed", linear_init, (1, h * w, c.embed_dim))
            x = x + embedding.reshape(1, h, w, c.embed_dim)
        x = nn.Dropout(c.drop_rate, deterministic=deterministic)(x)
        labels = shift_labels(h, w, c.attention_window, c.shift_size) if c.shift_size else None
        for i in range(len(c.depths)):
            x = RSTB(c, i, self.dtype, name=f"layers_{i}")(x, labels, deterministic=deterministic)
        return layer_norm("norm")(x)


def pad_to_window(x: jax.Array, window_size: int) -> jax.Array:
    """Pads `[B, h, w, C]` at the bottom and the right to multiples of the window, by reflection.

    Reflects more than once where a side is smaller than the padding; a side of one pixel is repeated.
    """
    _, h, w, _ = x.shape
    pads = ((0, 0), (0, -h % window_size), (0, -w % window_size), (0, 0))
    return jnp.pad(x, pads, mode="reflect")


def _check_input(lq: jax.Array, config: SwinIRConfig) -> None:
    if lq.ndim != 4 or lq.shape[-1] != config.in_chans:
        raise InputError(f"SwinIR takes [B, h, w, {config.in_chans}] images, got an array of shape {lq.shape}.")
    if not jnp.issubdtype(lq.dtype, jnp.floating):
        raise InputError(f"SwinIR takes floats in [0, 1], got {lq.dtype}; divide 8-bit images by 255.")
    if 0 in lq.shape:
        raise InputError(f"SwinIR takes at least one pixel, got an array of shape {lq.shape}.")
