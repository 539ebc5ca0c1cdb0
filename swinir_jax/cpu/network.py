"""The forward pass as loops over stacked weights: one small program, compiled once for all layers alike."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from swinir_jax.config import SwinIRConfig
from swinir_jax.cpu.convolution import conv, in_strips, whole_conv
from swinir_jax.cpu.layers import layer, layer_norm
from swinir_jax.cpu.weights import Weights
from swinir_jax.models.layers import residual_dtype
from swinir_jax.models.reconstruction import REACH, RECONSTRUCTIONS
from swinir_jax.models.swinir import checked_shape, pad_to_window, rgb_mean
from swinir_jax.models.windows import shift_regions


def restore(
    weights: Weights, lq: jax.Array, config: SwinIRConfig, dtype: Any = jnp.float32, *, training: bool = False
) -> jax.Array:
    """`SwinIR(config, dtype).apply({"params": params}, lq)`, where `weights` are `prepare(params, config)`.

    Args:
      weights: from `prepare`, outside of a compiled program, which would hold them twice.
      lq: `[B, h, w, in_chans]`, float in [0, 1].
      config: the architecture.
      dtype: of matrix products and convolutions, as of `SwinIR`.
      training: whether a derivative is asked; the result is the same, a derivative without it takes far more memory.

    Returns:
      `[B, h * upscale, w * upscale, in_chans]`; about [0, 1], not clipped.

    Raises:
      InputError: as `SwinIR.__call__`.
    """
    c, w, (_, height, width, _) = config, weights, checked_shape(lq, config)
    mean = rgb_mean(c, residual_dtype(dtype))
    x = (pad_to_window(lq.astype(mean.dtype), c.window_size) - mean) * c.img_range

    shallow = conv(w["conv_first"], x, dtype)
    deep = _body(w, shallow, c, dtype, training)
    deep = _residual_conv(w, deep, "conv_after_body", dtype) + shallow
    restored = _reconstruct(w, deep, x, c, dtype, training)

    restored = restored / c.img_range + mean
    return restored[:, : height * c.upscale, : width * c.upscale]


def _body(w: Weights, x: jax.Array, config: SwinIRConfig, dtype: Any, training: bool) -> jax.Array:
    """The RSTBs, between two LayerNorms."""
    c, (_, height, width, channels) = config, x.shape
    if c.patch_norm:
        x = layer_norm(w["patch_embed"]["norm"], x)
    if c.ape:
        x = x + w["absolute_pos_embed"].reshape(1, height, width, channels)
    m, shift = c.attention_window, c.shift_size
    regions = shift_regions(height, width, m, shift) if shift else None

    def pair(x: jax.Array, layers: tuple[Weights, Weights]) -> tuple[jax.Array, None]:
        x = layer(layers[0], x, m, 0, None, dtype, training)
        return layer(layers[1], x, m, shift, regions, dtype, training), None

    step = jax.checkpoint(pair) if training and c.use_checkpoint else pair

    def rstb(x: jax.Array, w: Weights) -> tuple[jax.Array, None]:
        y = x if w["pairs"] is None else lax.scan(step, x, w["pairs"])[0]
        y = y if w["last"] is None else layer(w["last"], y, m, 0, None, dtype, training)
        return x + _residual_conv(w, y, "conv", dtype), None

    for run in w["rstbs"]:
        x, _ = lax.scan(rstb, x, run)
    return layer_norm(w["norm"], x)


def _residual_conv(w: Weights, x: jax.Array, name: str, dtype: Any) -> jax.Array:
    """As `models.swinir.residual_conv`."""
    if name in w:
        return conv(w[name], x, dtype)
    x = jax.nn.leaky_relu(conv(w[f"{name}_0"], x, dtype), 0.2)
    x = jax.nn.leaky_relu(conv(w[f"{name}_2"], x, dtype), 0.2)
    return conv(w[f"{name}_4"], x, dtype)


def _reconstruct(
    w: Weights, deep: jax.Array, x: jax.Array, config: SwinIRConfig, dtype: Any, training: bool
) -> jax.Array:
    """An image of deep features and of the network's input: of the whole in training, else by strips."""
    convolution = conv if training else whole_conv

    def run(arrays: tuple[jax.Array, jax.Array]) -> jax.Array:
        return RECONSTRUCTIONS[config.upsampler](lambda x, _, name: convolution(w[name], x, dtype), *arrays, config)

    return run((deep, x)) if training else in_strips(run, (deep, x), REACH)
