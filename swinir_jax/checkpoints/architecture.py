"""Infers a network's configuration from the names and shapes of its tensors."""

import dataclasses
import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

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
_ASSUMED_WINDOW = 8
_FIRST_LAYER = "layers.0.residual_group.blocks.0"


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
    embed_dim, in_chans, unshuffle = _first_convolution(tensors)
    depths, num_heads, window = _groups(tensors)
    hidden = _tensor(tensors, f"{_FIRST_LAYER}.mlp.fc1.weight", 2).shape[0]
    upsampler, enlargement = _upsampler(tensors, in_chans)
    if enlargement % unshuffle:
        raise InputError(
            f"These are not the weights of a SwinIR: the features are {unshuffle} times smaller than the input, and "
            f"enlarged by {enlargement}."
        )
    if shift is False and _masks(tensors):
        raise InputError("shift=False contradicts the attn_mask buffers: with them, windows shift.")
    config = SwinIRConfig(
        upscale=enlargement // unshuffle,
        in_chans=in_chans,
        img_size=_img_size(tensors, window),
        window_size=window,
        img_range=255.0 if window == 7 and not upsampler else 1.0,
        upsampler=upsampler,
        resi_connection="3conv" if "conv_after_body.0.weight" in tensors else "1conv",
        embed_dim=embed_dim,
        depths=depths,
        num_heads=num_heads,
        mlp_ratio=_mlp_ratio(hidden, embed_dim),
        qkv_bias=f"{_FIRST_LAYER}.attn.qkv.bias" in tensors or f"{_FIRST_LAYER}.attn.q_bias" in tensors,
        ape="absolute_pos_embed" in tensors,
        patch_norm="patch_embed.norm.weight" in tensors,
        family="swin2sr" if f"{_FIRST_LAYER}.attn.logit_scale" in tensors else "swinir",
        unshuffle=unshuffle,
    )
    return with_given(config, img_range=img_range, qk_scale=qk_scale, shift=shift)


def with_given(
    config: SwinIRConfig, *, img_range: float | None = None, qk_scale: float | None = None, shift: bool | None = None
) -> SwinIRConfig:
    """Returns the configuration with the values that a user gives for what files do not tell; None gives none.

    Raises:
      InputError: as `SwinIRConfig` and `with_shift`.
    """
    given: dict[str, Any] = {"img_range": img_range, "qk_scale": qk_scale}
    config = dataclasses.replace(config, **{name: value for name, value in given.items() if value is not None})
    return config if shift is None else with_shift(config, shift)


def tells_shift(tensors: Tensors) -> bool:
    """Returns whether a network's tensors tell if its windows shift.

    A network trained on patches no larger than the window never shifts windows and has no `attn_mask`. But the lack of
    masks proves nothing, because people delete them: they hinder loading for another image size. The size of an
    absolute position embedding is a proof.
    """
    return bool(_masks(tensors)) or "absolute_pos_embed" in tensors or not any(".blocks.1." in name for name in tensors)


def tells_window(tensors: Tensors) -> bool:
    """Returns whether a network's tensors tell the side of its windows; Swin2SR's parameters alone do not."""
    return bool(_position_tables(tensors)) or _window_of_buffers(tensors) is not None


def tells_sides(tensors: Tensors) -> bool:
    """Returns whether a network's tensors tell height and width of its position embedding, if it has one.

    Without masks only the number of positions is known. One window is a square; more of them may be a rectangle.
    """
    if "absolute_pos_embed" not in tensors or _masks(tensors):
        return True
    return tensors["absolute_pos_embed"].shape[1] == _groups(tensors)[2] ** 2


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


def _first_convolution(tensors: Tensors) -> tuple[int, int, int]:
    """Returns the channels of the features and of images, and the factor of the pixel unshuffle before."""
    if "conv_first.1.weight" not in tensors:
        embed_dim, in_chans = _tensor(tensors, "conv_first.weight", 4).shape[:2]
        return embed_dim, in_chans, 1
    embed_dim, channels = _tensor(tensors, "conv_first.1.weight", 4).shape[:2]
    if "conv_last.weight" in tensors:
        in_chans = _tensor(tensors, "conv_last.weight", 4).shape[0]
    else:
        in_chans = 1 if math.isqrt(channels) ** 2 == channels else 3
    factor = math.isqrt(channels // in_chans)
    if channels != in_chans * factor**2:
        raise InputError(
            f"These are not the weights of a SwinIR: conv_first.1 takes {channels} channels, which no pixel unshuffle "
            f"makes of {in_chans}."
        )
    return embed_dim, in_chans, factor


def _position_tables(tensors: Tensors) -> list[str]:
    return [name for name in tensors if name.endswith(".attn.relative_position_bias_table")]


def _window_of_buffers(tensors: Tensors) -> int | None:
    """Returns the side of the windows by the size of a buffer; None without buffers."""
    for name, tensor in tensors.items():
        if name.endswith((".attn_mask", ".relative_position_index")) and tensor.ndim >= 2:
            return math.isqrt(tensor.shape[-1])
        if name.endswith(".relative_coords_table") and tensor.ndim == 4:
            return (tensor.shape[1] + 1) // 2
    return None


def _groups(tensors: Tensors) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Returns depth and heads of each RSTB, and the side of the windows."""
    heads_of, rank = ("relative_position_bias_table", 2) if _position_tables(tensors) else ("logit_scale", 3)
    pattern = re.compile(rf"layers\.(\d+)\.residual_group\.blocks\.(\d+)\.attn\.{heads_of}")
    blocks = sorted((int(match[1]), int(match[2])) for name in tensors if (match := pattern.fullmatch(name)))
    counts = Counter(group for group, _ in blocks)
    depths = [counts[group] for group in sorted(counts)]
    if not blocks or blocks != [(group, block) for group, depth in enumerate(depths) for block in range(depth)]:
        raise InputError("These are not the weights of a SwinIR: the layers are not numbered 0, 1, 2 and so on.")
    name = f"layers.{{}}.residual_group.blocks.0.attn.{heads_of}"
    shapes = [_tensor(tensors, name.format(group), rank).shape for group in range(len(depths))]
    if heads_of == "logit_scale":
        window = _window_of_buffers(tensors) or _ASSUMED_WINDOW
        num_heads = [shape[0] for shape in shapes]
    else:
        window = (math.isqrt(shapes[0][0]) + 1) // 2
        num_heads = [shape[1] for shape in shapes]
    if window > _LARGEST_WINDOW:
        raise InputError(f"These are not the weights of a SwinIR: windows of {window} pixels.")
    return tuple(depths), tuple(num_heads), window


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
    """Returns the upsampler and the enlargement of the features, which the convolutions after the body tell."""
    if "conv_up1.weight" in tensors:
        return "nearest+conv", 2 ** sum(re.fullmatch(r"conv_up\d\.weight", name) is not None for name in tensors)
    shuffled = "pixelshuffle"
    if "conv_aux.weight" in tensors:
        shuffled = "pixelshuffle_aux"
    elif "conv_last_hf.weight" in tensors:
        shuffled = "pixelshuffle_hf"
    if "upsample.0.weight" not in tensors:
        return shuffled if "conv_before_upsample.0.weight" in tensors else "", 1
    channels, features = _tensor(tensors, "upsample.0.weight", 4).shape[:2]
    if "conv_before_upsample.0.weight" not in tensors:
        return "pixelshuffledirect", math.isqrt(channels // in_chans)
    steps = sum(re.fullmatch(r"upsample\.\d+\.weight", name) is not None for name in tensors)
    return shuffled, math.isqrt(channels // features) ** steps
