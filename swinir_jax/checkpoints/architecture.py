"""Reads a network's whole configuration off the names and shapes of its tensors."""

import math
import re
from collections import Counter
from collections.abc import Mapping

import numpy as np

from swinir_jax.config import SwinIRConfig
from swinir_jax.errors import InputError

Tensors = Mapping[str, np.ndarray]  # by official name, in PyTorch's layout

# What no file tells, in words; `infer_config` follows them.
RULES: Mapping[str, str] = {
    "img_range": "255 for a window of 7 without upsampler (the official JPEG models), else 1",
    "qk_scale": "1 / sqrt(head dimension)",
}


def infer_config(tensors: Tensors, *, img_range: float | None = None, qk_scale: float | None = None) -> SwinIRConfig:
    """The configuration of the network that official tensors belong to.

    What no file tells comes from RULES.

    Args:
      tensors: parameters and buffers by official name, in PyTorch's layout.
      img_range: takes the place of the rule.
      qk_scale: takes the place of the rule.

    Returns:
      The configuration; whether all tensors fit it is `params_from_official`'s to say.

    Raises:
      InputError: if these are not the tensors of a SwinIR.
    """
    first = _tensor(tensors, "conv_first.weight", 4)
    embed_dim, in_chans = first.shape[:2]
    depths, num_heads, window = _groups(tensors)
    hidden = _tensor(tensors, "layers.0.residual_group.blocks.0.mlp.fc1.weight", 2).shape[0]
    upsampler, upscale = _upsampler(tensors, in_chans)
    if img_range is None:
        img_range = 255.0 if window == 7 and not upsampler else 1.0
    return SwinIRConfig(
        upscale=upscale,
        in_chans=in_chans,
        img_size=_img_size(tensors, depths, window),
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


def has_buffers(tensors: Tensors) -> bool:
    """Whether a file holds the official buffers, by which it tells whether windows shift."""
    return any(name.endswith(".relative_position_index") for name in tensors)


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
    return tuple(depths), tuple(table.shape[1] for table in tables), (math.isqrt(tables[0].shape[0]) + 1) // 2


def _img_size(tensors: Tensors, depths: tuple[int, ...], window: int) -> int:
    if "absolute_pos_embed" in tensors:
        return math.isqrt(_tensor(tensors, "absolute_pos_embed", 3).shape[1])
    masks = [name for name in tensors if name.endswith(".attn_mask")]
    if masks:
        return window * math.isqrt(_tensor(tensors, masks[0], 3).shape[0])
    index_without_mask = has_buffers(tensors) and max(depths) > 1
    return window if index_without_mask else 8 * window  # a file without buffers is taken to shift its windows


def _mlp_ratio(hidden: int, embed_dim: int) -> float:
    ratio = hidden / embed_dim
    return ratio if int(embed_dim * ratio) == hidden else math.nextafter(ratio, math.inf)


def _upsampler(tensors: Tensors, in_chans: int) -> tuple[str, int]:
    """The reconstruction and its factor; which convolutions there are tells both."""
    if "conv_up1.weight" in tensors:
        return "nearest+conv", 4 if "conv_up2.weight" in tensors else 2
    if "upsample.0.weight" not in tensors:
        return "", 1
    channels, features = _tensor(tensors, "upsample.0.weight", 4).shape[:2]
    if "conv_before_upsample.0.weight" not in tensors:
        return "pixelshuffledirect", math.isqrt(channels // in_chans)
    steps = sum(re.fullmatch(r"upsample\.\d+\.weight", name) is not None for name in tensors)
    return "pixelshuffle", math.isqrt(channels // features) ** steps
