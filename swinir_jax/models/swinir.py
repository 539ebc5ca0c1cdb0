"""SwinIR (Liang et al. 2021, arXiv 2108.10257), after the official `models/network_swinir.py` (Apache-2.0)."""

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from swinir_jax.config import SwinIRConfig
from swinir_jax.errors import InputError
from swinir_jax.models.attention import Attend, attention, over_windows
from swinir_jax.models.layers import Conv, SwinTransformerBlock, layer_norm, linear_init, residual_dtype
from swinir_jax.models.reconstruction import REACH, RECONSTRUCTIONS, STRIP_PIXELS
from swinir_jax.models.rows import SplitRows
from swinir_jax.models.strips import in_strips
from swinir_jax.models.windows import shift_labels, window_partition, window_reverse

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
      depth: number of layers.
      num_heads: of their attention.
      dtype: of matrix products.
      rows: as in `SwinIR.__call__`.
    """

    config: SwinIRConfig
    depth: int
    num_heads: int
    dtype: Any
    rows: SplitRows | None

    @nn.compact
    def __call__(self, x: jax.Array, labels: jax.Array | None, gains: jax.Array | None) -> jax.Array:
        """As `RSTB`, without the convolution and the skip."""
        if self.is_initializing():
            tokens = window_partition(x, self.config.attention_window)
            for i in range(self.depth):
                self._block(name=f"blocks_{i}")(tokens, None, None, deterministic=True)
            return x

        layers = [{"params": self.variables["params"][f"blocks_{i}"]} for i in range(self.depth)]
        if gains is not None:
            for layer, its_gains in zip(layers, gains, strict=True):
                layer["gains"] = its_gains
                if self.config.has_dropout:
                    layer["key"] = self.make_rng("dropout")
        plain = functools.partial(self._layer, shift=0, labels=None)
        shifted = functools.partial(self._layer, shift=self.config.shift_size, labels=labels)
        if self.depth > 1:
            pairs = [tuple(layers[i : i + 2]) for i in range(0, self.depth - 1, 2)]

            def step(x: jax.Array, pair: Any) -> jax.Array:
                return shifted(plain(x, pair[0]), pair[1])

            x = scan_stacked(jax.checkpoint(step) if self.config.use_checkpoint else step, x, pairs)
        return plain(x, layers[-1]) if self.depth % 2 else x

    def _block(self, **options: Any) -> SwinTransformerBlock:
        c = self.config
        return SwinTransformerBlock(
            window_size=c.attention_window,
            num_heads=self.num_heads,
            mlp_hidden_dim=c.mlp_hidden_dim,
            qkv_bias=c.qkv_bias,
            qk_scale=c.qk_scale,
            drop=c.drop_rate,
            attn_drop=c.attn_drop_rate,
            dtype=self.dtype,
            **options,
        )

    def _layer(self, x: jax.Array, layer: Mapping[str, Any], *, shift: int, labels: jax.Array | None) -> jax.Array:
        """One layer on `[B, H, W, C]`, as a pure function of its parameters and, in training, gains and key."""
        m, (batch, h, w, _) = self.config.attention_window, x.shape
        block, variables = self._block(parent=None), {"params": layer["params"]}
        if shift:
            x = self._roll(x, -shift)
        tokens = window_partition(x, m)
        if labels is not None:
            labels = jnp.tile(labels, (batch, 1))
        gains = layer.get("gains")
        if gains is not None:
            gains = jnp.repeat(gains, tokens.shape[0] // batch, axis=0)
        dropout = "key" in layer
        rngs = {"dropout": layer["key"]} if dropout else {}

        def run(attend: Attend, variables: Any, *per_window: jax.Array | None) -> Any:
            return block.apply(variables, *per_window, attend=attend, deterministic=not dropout, rngs=rngs)

        # Groups of windows would all draw the same dropout.
        compute = functools.partial(run, attention) if dropout else functools.partial(over_windows, run)
        tokens = compute(variables, tokens, labels, gains)
        x = window_reverse(tokens, m, h, w)
        return self._roll(x, shift) if shift else x

    def _roll(self, x: jax.Array, shift: int) -> jax.Array:
        if self.rows is None:
            return jnp.roll(x, (shift, shift), axis=(1, 2))
        return self.rows.roll(jnp.roll(x, shift, axis=2), shift)


class RSTB(nn.Module):
    """Residual Swin Transformer block: a group of layers, a convolution and a skip.

    Attributes:
      config: of the network.
      depth: number of layers.
      num_heads: of their attention.
      dtype: of matrix products and convolutions.
      rows: as in `SwinIR.__call__`.
    """

    config: SwinIRConfig
    depth: int
    num_heads: int
    dtype: Any
    rows: SplitRows | None

    @nn.compact
    def __call__(self, x: jax.Array, labels: jax.Array | None, gains: jax.Array | None) -> jax.Array:
        """`[B, H, W, C]` -> `[B, H, W, C]`.

        Args:
          x: features.
          labels: `[nW, M * M]` regions of shifted windows, or None if they do not shift.
          gains: `[depth, B, 2]` factors on the layers' branches (stochastic depth), or None where nothing is random.
        """
        group = ResidualGroup(self.config, self.depth, self.num_heads, self.dtype, self.rows, name="residual_group")
        return x + residual_conv(group(x, labels, gains), self.config, "conv", self.dtype)


def scan_stacked(step: Callable[[jax.Array, Any], jax.Array], x: jax.Array, layers: Sequence[Any]) -> jax.Array:
    """`step` over layers of equal shape as a loop over their stacked parameters.

    One program serves all of them, compiled once.
    """
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *layers)
    # XLA's CPU backend would stack the parameters of all RSTBs up front, as they depend on nothing else, and hold them:
    # so they wait for a value of x. On other platforms XLA sees that the condition is true, and drops it.
    true = jax.lax.platform_dependent(x[0, 0, 0, 0], cpu=_true_once_known, default=lambda value: (value < 0) | True)
    stacked = jax.tree.map(
        lambda leaf: jnp.where(true, leaf, 0) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, stacked
    )
    return jax.lax.scan(lambda x, layer: (step(x, layer), None), x, stacked)[0]


def _true_once_known(value: jax.Array) -> jax.Array:
    """True for all values, as XLA does not know."""
    return (value < 1) | ~(value < 0)


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

        with nn.intercept_methods(rows.convolving) if rows else contextlib.nullcontext():
            shallow = Conv(c.embed_dim, dtype=self.dtype, name="conv_first")(x)
            gains = None if deterministic or not c.is_random else self._gains(lq.shape[0], first_image)
            deep = self._body(shallow, gains, rows)
            deep = residual_conv(deep, c, "conv_after_body", self.dtype) + shallow
            restored = self._reconstruct(deep, x, whole=rows is not None)

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
        return layer_norm("norm")(self._groups(x, labels, gains, rows))

    def _groups(
        self, x: jax.Array, labels: jax.Array | None, gains: jax.Array | None, rows: SplitRows | None
    ) -> jax.Array:
        c = self.config
        first = 0
        for i, (depth, heads) in enumerate(zip(c.depths, c.num_heads, strict=True)):
            its_gains = None if gains is None else gains[first : first + depth]
            x = RSTB(c, depth, heads, self.dtype, rows, name=f"layers_{i}")(x, labels, its_gains)
            first += depth
        return x

    def _reconstruct(self, deep: jax.Array, x: jax.Array, whole: bool) -> jax.Array:
        """An image of deep features and of the network's input; whole, or by strips of rows where that saves memory."""
        initializing, params = self.is_initializing(), self.variables["params"]

        def convolve(x: jax.Array, features: int, name: str) -> jax.Array:
            if initializing:
                return Conv(features, dtype=self.dtype, name=name)(x)
            detached: Any = Conv(features, dtype=self.dtype, parent=None)  # inside a loop there are no modules
            return detached.apply({"params": params[name]}, x)

        def run(arrays: tuple[jax.Array, jax.Array]) -> jax.Array:
            return RECONSTRUCTIONS[self.config.upsampler](convolve, *arrays, self.config)

        if initializing or whole:
            return run((deep, x))
        strips = functools.partial(in_strips, run, reach=REACH, pixels=STRIP_PIXELS)
        return jax.lax.platform_dependent((deep, x), cpu=strips, default=run)


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
