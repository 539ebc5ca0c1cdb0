"""Infers a network's configuration from the names and shapes of its tensors."""

import dataclasses
import math
import re
from collections import Counter
from collections.abc import Mapping

import numpy as np

from swinir_jax.checkpoints.foreign import kind_of_network
from swinir_jax.config import SwinIRConfig
from swinir_jax.errors import InputError

Tensors = Mapping[str, np.ndarray]  # parameters and buffers by official name, in PyTorch's layout

# How `infer_config` chooses the arguments that no file holds, in words for the log.
RULES: Mapping[str, str] = {
    "img_range": "255 for a window of 7 without upsampler (the official JPEG models), else 1",
    "qk_scale": "1 / sqrt(head dimension)",
}

_LARGEST_WINDOW = 64  # relative positions of much larger windows would fill the memory


def infer_config(
    tensors: Tensors, *, img_range: float | None = None, qk_scale: float | None = None, shift: bool | None = None
) -> SwinIRConfig:
    """Infers the configuration of the network to which official tensors belong.

    RULES choose what no file holds. Windows are assumed to shift where `tells_shift` is false.

    Args:
      tensors: parameters and buffers.
      img_range: value that replaces the rule.
      qk_scale: value that replaces the rule.
      shift: whether windows shift; None for what the tensors tell, or for the assumption.

    Returns:
      The configuration. `params_from_official` checks that all tensors fit it.

    Raises:
      InputError: if these are not the tensors of a SwinIR, or contradict `shift`.
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
        raise InputError("shift=False contradicts the attn_mask buffers: with them, windows shift.")
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
    """Returns whether a network's tensors tell if its windows shift.

    A network trained on patches no larger than the window never shifts windows and has no `attn_mask`. But the lack of
    masks proves nothing, because people delete them: they hinder loading for another image size. The size of an
    absolute position embedding is a proof.
    """
    return bool(_masks(tensors)) or "absolute_pos_embed" in tensors or not any(".blocks.1." in name for name in tensors)


def with_shift(config: SwinIRConfig, shift: bool) -> SwinIRConfig:
    """Returns the configuration with windows that shift, or that do not.

    Raises:
      InputError: if `shift` contradicts the size of the position embedding or of the windows.
    """
    if bool(config.shift_size) == shift:
        return config
    if config.ape or config.attention_window < config.window_size:
        raise InputError(f"shift={shift} contradicts img_size={config.img_size}.")
    return dataclasses.replace(config, img_size=_any_size(config.window_size) if shift else config.window_size)


def _any_size(window: int) -> int:
    """Returns the side of a patch in which windows shift, for networks that do not depend on it."""
    return 8 * window


def _masks(tensors: Tensors) -> list[str]:
    return [name for name in tensors if name.endswith(".attn_mask")]


def _tensor(tensors: Tensors, name: str, rank: int) -> np.ndarray:
    if name not in tensors or tensors[name].ndim != rank or 0 in tensors[name].shape:
        raise InputError(f"These are not the weights of a SwinIR: no tensor {name} of {rank} axes with values.")
    return tensors[name]


def _groups(tensors: Tensors) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Returns depth and heads of each RSTB, and the side of the windows."""
    pattern = re.compile(r"layers\.(\d+)\.residual_group\.blocks\.(\d+)\.attn\.relative_position_bias_table")
    blocks = sorted((int(match[1]), int(match[2])) for name in tensors if (match := pattern.fullmatch(name)))
    counts = Counter(group for group, _ in blocks)
    depths = [counts[group] for group in sorted(counts)]
    if not blocks or blocks != [(group, block) for group, depth in enumerate(depths) for block in range(depth)]:
        raise InputError("These are not the weights of a SwinIR: the layers are not numbered 0, 1, 2 and so on.")
    table_name = "layers.{}.residual_group.blocks.0.attn.relative_position_bias_table"
    tables = [_tensor(tensors, table_name.format(group), 2) for group in range(len(depths))]
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
        raise InputError(
            f"absolute_pos_embed has {positions} positions, no square; only attn_mask buffers, which are missing, tell "
            "height and width."
        )
    return side


def _window_grid(mask: np.ndarray) -> tuple[int, int]:
    """Returns the rows and columns of windows in a mask: the first masked window is the last of the first row."""
    windows = mask.shape[0]
    masked = np.flatnonzero((mask != 0).any(axis=(1, 2)))
    columns = int(masked[0]) + 1 if masked.size else math.isqrt(windows)
    return windows // columns, columns


def _mlp_ratio(hidden: int, embed_dim: int) -> float:
    ratio = hidden / embed_dim
    return ratio if int(embed_dim * ratio) == hidden else math.nextafter(ratio, math.inf)


def _upsampler(tensors: Tensors, in_chans: int) -> tuple[str, int]:
    """Returns upsampler and upscale, which follow from the convolutions after the body."""
    if "conv_up1.weight" in tensors:
        return "nearest+conv", 4 if "conv_up2.weight" in tensors else 2
    if "upsample.0.weight" not in tensors:
        return "pixelshuffle" if "conv_before_upsample.0.weight" in tensors else "", 1
    channels, features = _tensor(tensors, "upsample.0.weight", 4).shape[:2]
    if "conv_before_upsample.0.weight" not in tensors:
        return "pixelshuffledirect", math.isqrt(channels // in_chans)
    steps = sum(re.fullmatch(r"upsample\.\d+\.weight", name) is not None for name in tensors)
    return "pixelshuffle", math.isqrt(channels // features) ** steps
