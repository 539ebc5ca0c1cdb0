"""Reads a network's whole configuration off the names and shapes of its tensors."""

import dataclasses
import math
import re
from collections import Counter
from collections.abc import Mapping

import numpy as np

from swinir_jax.checkpoints.foreign import kind_of_network
from swinir_jax.config import SwinIRConfig
from swinir_jax.errors import InputError

Tensors = Mapping[str, np.ndarray]  # by official name, in PyTorch's layout

# What no file tells, in words; `infer_config` follows them.
RULES: Mapping[str, str] = {
    "img_range": "255 for a window of 7 without upsampler (the official JPEG models), else 1",
    "qk_scale": "1 / sqrt(head dimension)",
}

_LARGEST_WINDOW = 64  # a position table for more would make indices that fill the memory


def infer_config(
    tensors: Tensors, *, img_range: float | None = None, qk_scale: float | None = None, shift: bool | None = None
) -> SwinIRConfig:
    """The configuration of the network that official tensors belong to.

    What no file tells comes from RULES. Windows are taken to shift where `tells_shift` is false.

    Args:
      tensors: parameters and buffers by official name, in PyTorch's layout.
      img_range: takes the place of the rule.
      qk_scale: takes the place of the rule.
      shift: whether windows shift, in place of what is read or assumed.

    Returns:
      The configuration; whether all tensors fit it is `params_from_official`'s to say.

    Raises:
      InputError: if these are not the tensors of a SwinIR.
    """
    if kind := kind_of_network(tensors):
        raise InputError(f"These are not the weights of a SwinIR but of {kind}.")
    first = _tensor(tensors, "conv_first.weight", 4)
    embed_dim, in_chans = first.shape[:2]
    depths, num_heads, window = _groups(tensors)
    hidden = _tensor(tensors, "layers.0.residual_group.blocks.0.mlp.fc1.weight", 2).shape[0]
    upsampler, upscale = _upsampler(tensors, in_chans)
    if img_range is None:
        img_range = 255.0 if window == 7 and not upsampler else 1.0
    if shift is False and _masks(tensors):
        raise InputError("shift=False contradicts its attn_mask buffers, by which windows shift.")
    config = SwinIRConfig(
        upscale=upscale,
        in_chans=in_chans,
        img_size=_img_size(tensors, window),
        window_size=window,
        img_range=img_range,
        upsampler=upsampler,
        resi_connection="3conv" if "conv_after_body.0.weight" in tensors else "1conv",
        embed_dim=embed_dim,
        depths=depths,
        num_heads=num_heads,
        mlp_ratio=_mlp_ratio(hidden, embed_dim),
        qkv_bias="layers.0.residual_group.blocks.0.attn.qkv.bias" in tensors,
        qk_scale=qk_scale,
        ape="absolute_pos_embed" in tensors,
        patch_norm="patch_embed.norm.weight" in tensors,
    )
    return config if shift is None else with_shift(config, shift)


def tells_shift(tensors: Tensors) -> bool:
    """Whether a file tells if windows shift.

    A network trained on patches no larger than the window never shifts it and has no `attn_mask`. But others, too, come
    without: people delete the masks, as they hinder loading for another size. With absolute position embedding, the
    embedding's size tells.
    """
    return bool(_masks(tensors)) or "absolute_pos_embed" in tensors or not any(".blocks.1." in name for name in tensors)


def with_shift(config: SwinIRConfig, shift: bool) -> SwinIRConfig:
    """The same network with windows that shift or do not.

    Raises:
      InputError: if that contradicts the size of its position embedding or of its windows.
    """
    if bool(config.shift_size) == shift:
        return config
    if config.ape or config.attention_window < config.window_size:
        raise InputError(f"shift={shift} contradicts img_size={config.img_size}.")
    return dataclasses.replace(config, img_size=_any_size(config.window_size) if shift else config.window_size)


def _any_size(window: int) -> int:
    """A training patch in which windows shift; any will do where there is no position embedding."""
    return 8 * window


def _masks(tensors: Tensors) -> list[str]:
    return [name for name in tensors if name.endswith(".attn_mask")]


def _tensor(tensors: Tensors, name: str, rank: int) -> np.ndarray:
    if name not in tensors or tensors[name].ndim != rank or 0 in tensors[name].shape:
        raise InputError(f"These are not the weights of a SwinIR: no tensor {name} of {rank} axes with values.")
    return tensors[name]


def _groups(tensors: Tensors) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Depth and heads of each RSTB, and the window."""
    pattern = re.compile(r"layers\.(\d+)\.residual_group\.blocks\.(\d+)\.attn\.relative_position_bias_table")
    blocks = sorted((int(match[1]), int(match[2])) for name in tensors if (match := pattern.fullmatch(name)))
    counts = Counter(group for group, _ in blocks)
    depths = [counts[group] for group in sorted(counts)]
    if not blocks or blocks != [(group, block) for group, depth in enumerate(depths) for block in range(depth)]:
        raise InputError("These are not the weights of a SwinIR: its layers are not numbered 0, 1, 2 and so on.")
    prefix, suffix = "layers.{}.residual_group.blocks.0.attn", "relative_position_bias_table"
    tables = [_tensor(tensors, f"{prefix.format(group)}.{suffix}", 2) for group in range(len(depths))]
    window = (math.isqrt(tables[0].shape[0]) + 1) // 2
    if window > _LARGEST_WINDOW:
        raise InputError(f"These are not the weights of a SwinIR: windows of {window} pixels.")
    return tuple(depths), tuple(table.shape[1] for table in tables), window


def _img_size(tensors: Tensors, window: int) -> int | tuple[int, int]:
    if masks := _masks(tensors):
        mask = _tensor(tensors, masks[0], 3)
        if mask.shape[1:] != (window**2, window**2):
            raise InputError(
                f"These are not the weights of a SwinIR: {masks[0]} has shape {mask.shape} for windows of {window}."
            )
        rows, columns = _window_grid(mask)
        return (window * rows, window * columns)
    if "absolute_pos_embed" not in tensors:
        return _any_size(window)
    positions = _tensor(tensors, "absolute_pos_embed", 3).shape[1]
    if (side := math.isqrt(positions)) ** 2 != positions:
        raise InputError(f"absolute_pos_embed has {positions} positions, no square, and no attn_mask tells its sides.")
    return side


def _window_grid(mask: np.ndarray) -> tuple[int, int]:
    """Rows and columns of the windows that a mask is for: the first that it cuts is the last of the first row."""
    count = mask.shape[0]
    cut = np.flatnonzero((mask != 0).any(axis=(1, 2)))
    columns = int(cut[0]) + 1 if cut.size else math.isqrt(count)
    return count // columns, columns


def _mlp_ratio(hidden: int, embed_dim: int) -> float:
    ratio = hidden / embed_dim
    return ratio if int(embed_dim * ratio) == hidden else math.nextafter(ratio, math.inf)


def _upsampler(tensors: Tensors, in_chans: int) -> tuple[str, int]:
    """The reconstruction and its factor; which convolutions there are tells both."""
    if "conv_up1.weight" in tensors:
        return "nearest+conv", 4 if "conv_up2.weight" in tensors else 2
    if "upsample.0.weight" not in tensors:
        return "pixelshuffle" if "conv_before_upsample.0.weight" in tensors else "", 1
    channels, features = _tensor(tensors, "upsample.0.weight", 4).shape[:2]
    if "conv_before_upsample.0.weight" not in tensors:
        return "pixelshuffledirect", math.isqrt(channels // in_chans)
    steps = sum(re.fullmatch(r"upsample\.\d+\.weight", name) is not None for name in tensors)
    return "pixelshuffle", math.isqrt(channels // features) ** steps
