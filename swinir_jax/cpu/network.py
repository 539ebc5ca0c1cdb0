"""The forward pass as loops over stacked weights: one small program, compiled once for all equal layers."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from swinir_jax.config import SwinIRConfig
from swinir_jax.cpu.convolution import conv, conv_whole, in_strips
from swinir_jax.cpu.layers import BRANCHES, layer_norm, window_layer
from swinir_jax.cpu.weights import Weights
from swinir_jax.models.convolution import Convolve, residual_conv
from swinir_jax.models.precision import residual_dtype
from swinir_jax.models.reconstruction import REACH, RECONSTRUCTIONS, pixel_unshuffle
from swinir_jax.models.swinir import check_input, first_conv, pad_to_window, rgb_mean
from swinir_jax.models.windows import shift_regions


def restore(
    weights: Weights, lq: jax.Array, config: SwinIRConfig, dtype: Any = jnp.float32, *, training: bool = False
) -> jax.Array:
    """Restores images: `SwinIR(config, dtype).apply({"params": params}, lq)` by `weights = prepare(params, config)`.

    Args:
      weights: result of `prepare`, called outside of the compiled program, which would hold them twice.
      lq: `[B, h, w, in_chans]`, float in [0, 1].
      config: network configuration.
      dtype: dtype of matrix products and convolutions, as in `SwinIR`.
      training: True where a derivative is taken: the result is the same, the derivative takes far less memory.

    Returns:
      `[B, h * upscale, w * upscale, in_chans]`; about [0, 1], not clipped.

    Raises:
      InputError: as `SwinIR.__call__`.
    """
    check_input(lq, config)
    run = functools.partial(_restore, config=config, dtype=dtype, training=training)
    sharding = jax.typeof(lq).sharding
    if any(sharding.spec[1:3]):  # axes of an explicit mesh, which would have to divide each band and group
        run = jax.sharding.auto_axes(run, out_sharding=sharding)
    return run(weights, lq)


def _restore(weights: Weights, lq: jax.Array, *, config: SwinIRConfig, dtype: Any, training: bool) -> jax.Array:
    c, w = config, weights
    mean = rgb_mean(c, residual_dtype(dtype))
    x = (pad_to_window(lq.astype(mean.dtype), c.side_multiple) - mean) * c.img_range
    x = pixel_unshuffle(x, c.unshuffle)

    shallow = conv(w[first_conv(c)], x, dtype)
    y = shallow if w["conv_embedded"] is None else conv(w["conv_embedded"], x, dtype)
    if c.patch_norm:
        y = layer_norm(w["patch_embed"]["norm"], y)
    if c.ape:
        y = y + w["absolute_pos_embed"].reshape(1, *y.shape[1:])
    y = layer_norm(w["norm"], _rstbs(w["rstbs"], y, c, dtype, training))
    deep = shallow + residual_conv(_convolve_by(w, conv, dtype), y, c, "conv_after_body")

    restored = _reconstruct(w, deep, x, c, dtype, training) / c.img_range + mean
    return restored[:, : lq.shape[1] * c.upscale, : lq.shape[2] * c.upscale]


def _rstbs(runs: list[Weights], x: jax.Array, config: SwinIRConfig, dtype: Any, training: bool) -> jax.Array:
    """Applies all RSTBs to `[B, H, W, C]`: loops over each run of equal RSTBs and, in them, over pairs of layers."""
    _, height, width, _ = x.shape
    m, shift = config.attention_window, config.shift_size
    regions = shift_regions(height, width, m, shift) if shift else None

    layer = functools.partial(window_layer, BRANCHES[config.family], m=m, dtype=dtype, training=training)

    def pair(x: jax.Array, layers: tuple[Weights, Weights]) -> tuple[jax.Array, None]:
        x = layer(layers[0], x, shift=0, regions=None)
        return layer(layers[1], x, shift=shift, regions=regions), None

    step = jax.checkpoint(pair) if training and config.use_checkpoint else pair

    def rstb(x: jax.Array, w: Weights) -> tuple[jax.Array, None]:
        y = x if w["pairs"] is None else lax.scan(step, x, w["pairs"])[0]
        y = y if w["last"] is None else layer(w["last"], y, shift=0, regions=None)
        return x + residual_conv(_convolve_by(w, conv, dtype), y, config, "conv"), None

    for run in runs:
        x, _ = lax.scan(rstb, x, run)
    return x


def _reconstruct(
    w: Weights, deep: jax.Array, x: jax.Array, config: SwinIRConfig, dtype: Any, training: bool
) -> jax.Array:
    """Reconstructs an image from deep features and the network's input: by strips, or as a whole in training."""
    convolve = _convolve_by(w, conv if training else conv_whole, dtype)

    def reconstruct(arrays: tuple[jax.Array, jax.Array]) -> jax.Array:
        return RECONSTRUCTIONS[config.upsampler](convolve, *arrays, config)

    return reconstruct((deep, x)) if training else in_strips(reconstruct, (deep, x), REACH[config.upsampler])


def _convolve_by(w: Weights, convolution: Callable[[Weights, jax.Array, Any], jax.Array], dtype: Any) -> Convolve:
    """Returns the convolutions of `w` as one function of their names; kernels and features follow from the weights."""

    def convolve(x: jax.Array, features: int, name: str, kernel: int = 3) -> jax.Array:
        return convolution(w[name], x, dtype)

    return convolve
