"""SwinIR (Liang et al. 2021, arXiv 2108.10257), after the official `models/network_swinir.py` (Apache-2.0)."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from swinir_jax.config import SwinIRConfig
from swinir_jax.errors import InputError
from swinir_jax.models.convolution import Convolution, convolve, convolve_plainly
from swinir_jax.models.layers import Conv, layer_norm, linear_init, residual_dtype
from swinir_jax.models.loops import in_turn, one_by_one, with_derivative_of
from swinir_jax.models.reconstruction import REACH, RECONSTRUCTIONS, STRIP_PIXELS
from swinir_jax.models.rows import SplitRows
from swinir_jax.models.rstb import RSTB, residual_conv
from swinir_jax.models.strips import in_strips
from swinir_jax.models.windows import shift_labels

RGB_MEAN = (0.4488, 0.4371, 0.4040)  # of DIV2K; networks of other than three channels subtract nothing


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
    def __call__(
        self,
        lq: jax.Array,
        *,
        deterministic: bool = True,
        first_image: jax.Array | int = 0,
        rows: SplitRows | None = None,
    ) -> jax.Array:
        """Restores a batch of images of one size.

        Sides that are no multiples of the window are padded at the bottom and the right by reflection, as often
        as it takes, and the result is cut to size.

        Args:
          lq: `[B, h, w, in_chans]`, float in [0, 1].
          deterministic: False to apply dropout and stochastic depth, from the rng stream "dropout".
          first_image: place of `lq`'s first image in a larger batch, of which each part then draws the stochastic depth
            that the whole would; dropout is not covered.
          rows: None for whole images; inside `jax.shard_map`, of which part of the rows `lq` is this device's.

        Returns:
          `[B, h * upscale, w * upscale, in_chans]`; about [0, 1], not clipped.

        Raises:
          InputError: if `lq` has another rank or number of channels, is not of floats or is empty; with `ape`, if
            its padded size is not `img_size`.
        """
        c = self.config
        _check_input(lq, c)
        _, h, w, _ = lq.shape
        mean = jnp.asarray(RGB_MEAN if c.in_chans == 3 else 0.0, jnp.float32).astype(lq.dtype)  # the original's digits
        x = (pad_to_window(lq, c.window_size) - mean) * c.img_range

        convolution = convolve if rows is None else rows.convolve
        conv = functools.partial(Conv, dtype=self.dtype, convolution=convolution)
        shallow = conv(c.embed_dim, name="conv_first")(x)
        gains = None if deterministic or not c.is_random else self._gains(lq.shape[0], first_image)
        deep = self._body(shallow, gains, rows)
        deep = residual_conv(deep, c, "conv_after_body", conv) + shallow
        restored = self._reconstruct(deep, x, rows)

        restored = restored / c.img_range + mean
        return restored[:, : h * c.upscale, : w * c.upscale]

    def _gains(self, batch: int, first_image: jax.Array | int) -> jax.Array:
        """Stochastic depth, `[layers, B, 2]`: factors 0 or 1 / (1 - rate) on each layer's branches, by image."""
        rates = jnp.asarray(self.config.drop_path_rates, residual_dtype(self.dtype))
        key, keep = self.make_rng("dropout"), 1 - rates[:, None]
        keys = jax.vmap(functools.partial(jax.random.fold_in, key))(first_image + jnp.arange(batch))
        return jax.vmap(lambda key: jax.random.bernoulli(key, keep, (keep.size, 2)) / keep, out_axes=1)(keys)

    def _body(self, x: jax.Array, gains: jax.Array | None, rows: SplitRows | None) -> jax.Array:
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
        x = nn.Dropout(c.drop_rate, deterministic=gains is None)(x)
        labels_of = functools.partial(shift_labels, h) if rows is None else rows.shift_labels
        labels = labels_of(w, c.attention_window, c.shift_size) if c.shift_size else None
        return layer_norm("norm")(self._rstbs(x, labels, gains, rows))

    def _rstbs(
        self, x: jax.Array, labels: jax.Array | None, gains: jax.Array | None, rows: SplitRows | None
    ) -> jax.Array:
        """The RSTBs: as a loop where they are alike and neither drawn for nor looked at one by one."""
        c = self.config
        alike = len({*zip(c.depths, c.num_heads, strict=True)}) == 1
        captured = self.is_mutable_collection("intermediates")  # what RSTBs answer, to be looked at
        if self.is_initializing() or gains is not None or captured or not alike:
            first = 0
            for i, (depth, heads) in enumerate(zip(c.depths, c.num_heads, strict=True)):
                its_gains = None if gains is None else gains[first : first + depth]
                x = RSTB(c, depth, heads, self.dtype, rows, name=f"layers_{i}")(x, labels, its_gains)
                first += depth
            return x

        block: Any = RSTB(c, c.depths[0], c.num_heads[0], self.dtype, rows, parent=None)

        def step(x: jax.Array, params: Any, labels: jax.Array | None) -> jax.Array:
            return block.apply({"params": params}, x, labels, None)

        blocks = [self.variables["params"][f"layers_{i}"] for i in range(len(c.depths))]
        return with_derivative_of(functools.partial(one_by_one, step), functools.partial(in_turn, step))(
            x, blocks, labels
        )

    def _reconstruct(self, deep: jax.Array, x: jax.Array, rows: SplitRows | None) -> jax.Array:
        """An image of deep features and of the network's input; whole, or by strips of rows where that saves memory."""
        reconstruction = RECONSTRUCTIONS[self.config.upsampler]
        if self.is_initializing():
            return reconstruction(lambda x, n, name: Conv(n, dtype=self.dtype, name=name)(x), deep, x, self.config)

        def run(convolution: Convolution, params: Any, arrays: tuple[jax.Array, jax.Array]) -> jax.Array:
            def convolve_by(x: jax.Array, features: int, name: str) -> jax.Array:
                conv: Any = Conv(features, dtype=self.dtype, convolution=convolution, parent=None)
                return conv.apply({"params": params[name]}, x)

            return reconstruction(convolve_by, *arrays, self.config)

        def by_strips(params: Any, arrays: tuple[jax.Array, jax.Array]) -> jax.Array:
            return in_strips(functools.partial(run, convolve_plainly, params), arrays, REACH, STRIP_PIXELS)

        whole = functools.partial(run, convolve if rows is None else rows.convolve)
        params = {name: its for name, its in self.variables["params"].items() if not name.startswith("layers_")}
        operands = (params, (deep, x))
        if rows is not None:
            return whole(*operands)
        return jax.lax.platform_dependent(*operands, cpu=with_derivative_of(whole, by_strips), default=whole)


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
