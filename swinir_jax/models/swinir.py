"""SwinIR (Liang et al. 2021, arXiv 2108.10257), after the official `models/network_swinir.py` (Apache-2.0)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, overload

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from swinir_jax.arrays import check_batch
from swinir_jax.config import SwinIRConfig
from swinir_jax.errors import InputError
from swinir_jax.models.answers import FURTHER_ANSWERS
from swinir_jax.models.convolution import Convolutions, residual_conv
from swinir_jax.models.families import FAMILIES
from swinir_jax.models.layers import layer_norm, linear_init
from swinir_jax.models.precision import check_dtype, residual_dtype
from swinir_jax.models.reconstruction import RECONSTRUCTIONS, pixel_unshuffle

RGB_MEAN = (0.4488, 0.4371, 0.4040)  # of DIV2K; only networks of three channels subtract a mean


class SwinIR(nn.Module):
    """The whole network: `restored = SwinIR(config).apply({"params": params}, lq)`.

    Parameters are float32 and have the official names, one entry per layer:
    `layers_0/residual_group/blocks_1/attn/qkv/kernel`.

    Attributes:
      config: network configuration.
      dtype: dtype of matrix products and convolutions: `jnp.float32`, `jnp.bfloat16`, or `jnp.float64` with x64
        enabled. The residual stream, LayerNorm and softmax are float32, or float64 with float64.
      fused: whether `swinir_jax.gpu` computes the attention, where it can: in bfloat16, in windows of 8 x 8, without
        dropout of attention. For NVIDIA GPUs, where Restorers and training steps choose it; elsewhere it is slow. True
        in a program for one device; in one for several, a mesh whose devices have equal parts of the batch.

    Raises:
      InputError: if `config` is not a SwinIRConfig, or the network cannot compute in `dtype`.
    """

    config: SwinIRConfig
    dtype: Any = jnp.float32
    fused: bool | Mesh = False

    def __post_init__(self) -> None:
        if not isinstance(self.config, SwinIRConfig):
            raise InputError(f"Use SwinIR(SwinIRConfig(upscale=2, ...)); got SwinIR({self.config!r}).")
        check_dtype(self.dtype)
        super().__post_init__()

    if TYPE_CHECKING:  # Flax's type of `apply` is Any

        @overload  # type: ignore[override]
        def apply(
            self,
            variables: Mapping[str, Any],
            lq: jax.Array | np.ndarray,
            *,
            deterministic: bool = True,
            rngs: Mapping[str, jax.Array] | None = None,
        ) -> jax.Array: ...

        @overload
        def apply(self, variables: Mapping[str, Any], *args: Any, mutable: Any, **options: Any) -> Any: ...

        def apply(self, *args: Any, **options: Any) -> Any:
            """Restores a batch, as `__call__`; with `mutable`, returns collections of variables, too."""

    @nn.compact
    def __call__(self, lq: jax.Array, *, deterministic: bool = True) -> jax.Array:
        """Restores a batch of images of one size.

        Images are padded at the bottom and the right, by reflection, to multiples of the window; the result is cut to
        size. Swin2SR's networks with several answers return the first; the others are `answers` in the collection
        `intermediates`, if it is mutable: the auxiliary image of `pixelshuffle_aux`, padded; for `pixelshuffle_hf` the
        sum of the first answer and high frequencies, and high frequencies alone.

        Args:
          lq: `[B, h, w, in_chans]`, float in [0, 1], of any floating dtype. Values are not checked: those in 0..255, in
            [-1, 1] or NaN give a meaningless answer.
          deterministic: False to apply dropout and stochastic depth, from the rng stream "dropout".

        Returns:
          `[B, h * upscale, w * upscale, in_chans]` in the residual stream's dtype; about [0, 1], not clipped.

        Raises:
          InputError: if `lq` is no array, has another layout, is not floating or is empty; with `ape`, if the padded
            size is not `img_size`.
        """
        c, convolve = self.config, Convolutions(self.dtype)
        check_input(lq, c)
        mean = rgb_mean(c, residual_dtype(self.dtype))
        x = (pad_to_window(lq.astype(mean.dtype), c.side_multiple) - mean) * c.img_range
        x = pixel_unshuffle(x, c.unshuffle)  # [B, H, W, in_chans] in SwinIR

        # Shallow features
        shallow = convolve(x, c.embed_dim, first_conv(c))  # [B, H, W, C]

        # Deep features
        patch_embed = FAMILIES[c.family].patch_embed(c.patch_norm, self.dtype, name="patch_embed")
        norm = layer_norm(self.dtype, "norm")
        if c.ape:
            height, width = c.img_sides
            embedding = self.param("absolute_pos_embed", linear_init, (1, height * width, c.embed_dim), jnp.float32)

        def body(shallow: jax.Array, branch: str = "") -> jax.Array:
            y = patch_embed(shallow)
            if c.ape:
                y = y + embedding.reshape(1, height, width, c.embed_dim).astype(y.dtype)
            y = nn.Dropout(c.drop_rate, deterministic=deterministic)(y)
            for i in range(len(c.depths)):
                y = RSTB(c, i, self.dtype, self.fused, name=f"layers{branch}_{i}")(y, deterministic)
            return norm(y)

        deep = shallow + residual_conv(convolve, body(shallow), c, "conv_after_body")  # [B, H, W, C]

        # Image reconstruction
        restored = RECONSTRUCTIONS[c.upsampler](convolve, deep, x, c)  # [B, H * upscale, W * upscale, in_chans]
        restored = restored[:, : lq.shape[1] * c.upscale, : lq.shape[2] * c.upscale]
        is_asked = self.is_initializing() or self.is_mutable_collection("intermediates")
        if is_asked and c.upsampler in FURTHER_ANSWERS:
            further = FURTHER_ANSWERS[c.upsampler](convolve, body, deep, restored, c)
            self.sow("intermediates", "answers", tuple(answer / c.img_range + mean for answer in further))
        return restored / c.img_range + mean


class RSTB(nn.Module):
    """Residual Swin Transformer block: Swin Transformer layers, a convolution and a skip.

    Attributes:
      config: network configuration.
      index: index of the block in the network.
      dtype: dtype of matrix products and convolutions.
      fused: as in `SwinIR`.
    """

    config: SwinIRConfig
    index: int
    dtype: Any = jnp.float32
    fused: bool | Mesh = False

    @nn.compact
    def __call__(self, x: jax.Array, deterministic: bool) -> jax.Array:
        """`[B, H, W, C]` -> `[B, H, W, C]`."""
        c = self.config
        y = ResidualGroup(c, self.index, self.dtype, self.fused, name="residual_group")(x, deterministic)
        y = residual_conv(Convolutions(self.dtype), y, c, "conv")
        return x + FAMILIES[c.family].patch_embed(False, self.dtype, name="patch_embed")(y)


class ResidualGroup(nn.Module):
    """The Swin Transformer layers of one RSTB, alternately W-MSA and SW-MSA.

    Attributes:
      config: network configuration.
      index: index of the RSTB in the network.
      dtype: dtype of the matrix products.
      fused: as in `SwinIR`.
    """

    config: SwinIRConfig
    index: int
    dtype: Any = jnp.float32
    fused: bool | Mesh = False

    @nn.compact
    def __call__(self, x: jax.Array, deterministic: bool) -> jax.Array:
        """`[B, H, W, C]` -> `[B, H, W, C]`."""
        c, heads = self.config, self.config.num_heads[self.index]
        layers_before = sum(c.depths[: self.index])
        layer = FAMILIES[c.family].layer
        layer = nn.remat(layer, static_argnums=(2,)) if c.use_checkpoint else layer
        for i in range(c.depths[self.index]):
            shift = c.shift_size if i % 2 else 0
            drop_path = c.drop_path_rates[layers_before + i]
            x = layer(c, heads, shift, drop_path, self.dtype, self.fused, name=f"blocks_{i}")(x, deterministic)
        return x


def first_conv(config: SwinIRConfig) -> str:
    """Returns the name of the first convolution: behind a pixel unshuffle, it has a number in an nn.Sequential."""
    return "conv_first" if config.unshuffle == 1 else "conv_first_1"


def check_input(lq: jax.Array, config: SwinIRConfig) -> None:
    """Refuses images that the network cannot take.

    Raises:
      InputError: as `SwinIR.__call__`.
    """
    check_batch(lq, config.in_chans)
    if config.ape:
        height, width = config.example_sides
        h, w = (side + -side % config.side_multiple for side in lq.shape[1:3])
        if (h, w) != (height, width):
            raise InputError(f"A network with ape takes only {height}x{width} pixels (padded), got {h}x{w}.")


def pad_to_window(x: jax.Array, multiple: int) -> jax.Array:
    """Pads `[B, h, w, C]` at the bottom and the right to multiples of the window's side, by reflection.

    A side smaller than its padding is reflected more than once; a side of one pixel is repeated.
    """
    _, h, w, _ = x.shape
    return jnp.pad(x, ((0, 0), (0, -h % multiple), (0, -w % multiple), (0, 0)), mode="reflect")


def rgb_mean(config: SwinIRConfig, dtype: Any) -> jax.Array:
    """Returns the mean colour, `[1, 1, 1, 1 or 3]`, subtracted from images and added to restored ones."""
    mean = np.asarray(RGB_MEAN if config.in_chans == 3 else (0.0,), np.float32)  # float32 as in the original
    return jnp.asarray(mean.reshape(1, 1, 1, -1), dtype)
