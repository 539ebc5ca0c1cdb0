"""Stores models with two ends: a faithful network, its strong descendant, and all blends between them.

The folder holds `faithful.safetensors` and `strong.safetensors` with official names, and `config.json`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from swinir_jax.checkpoints.blending import blend
from swinir_jax.checkpoints.folders import FAITHFUL, STRONG
from swinir_jax.checkpoints.names import params_from_official, params_to_official, split_buffers
from swinir_jax.checkpoints.safetensors_file import safetensors_bytes
from swinir_jax.checkpoints.store import new_model, read_config, write_config
from swinir_jax.checkpoints.weight_file import read_weight_file
from swinir_jax.config import SwinIRConfig
from swinir_jax.errors import InputError

DEFAULT_STRENGTH = 0.7


def save_ends(
    folder: str | os.PathLike[str],
    faithful: Mapping[str, Any],
    strong: Mapping[str, Any],
    config: SwinIRConfig,
    strength: float = DEFAULT_STRENGTH,
    *,
    float16: bool = False,
) -> None:
    """Writes a model with two ends; the folder appears whole, by one rename, or not at all.

    Args:
      folder: folder that does not exist or is empty.
      faithful: parameters at strength 0, such as those of the L1 stage.
      strong: parameters at strength 1, such as those of the GAN stage.
      config: configuration of both networks.
      strength: strength of a user who names none, 0..1.
      float16: whether the files hold float16, in half of the space.

    Raises:
      InputError: if the parameters do not fit the configuration, the strength is out of its range, a weight is too
        large for float16, or the folder is not empty or cannot be written.
    """
    _check_strength(strength)
    with new_model(folder) as temporary:
        for name, params in ((FAITHFUL, faithful), (STRONG, strong)):
            tensors = params_to_official(params, config, small=True)
            (temporary / name).write_bytes(safetensors_bytes(tensors, float16=float16))
        write_config(temporary, config, strength=float(strength))


def load_ends(folder: Path, strength: float | None = None) -> tuple[dict[str, Any], SwinIRConfig, float]:
    """Reads a model with two ends.

    Args:
      folder: folder written by `save_ends`.
      strength: 0 for the faithful network, 1 for the strong one, between for a blend; None for the folder's default.

    Returns:
      The parameters as float32 NumPy arrays, the network configuration, and the strength.

    Raises:
      InputError: if the strength is out of its range, or a file is missing or damaged.
    """
    config, content = read_config(folder)
    chosen: Any = content.get("strength") if strength is None else strength
    _check_strength(chosen)
    chosen = float(chosen)
    ends = []
    for name in (FAITHFUL, STRONG):
        tensors, _ = read_weight_file(folder / name)
        try:
            ends.append(params_from_official(split_buffers(tensors)[0], config))
        except InputError as error:
            raise InputError(f"{folder / name}: {error}") from error
    return blend([*zip(ends, (1 - chosen, chosen), strict=True)]), config, chosen


def _check_strength(strength: Any) -> None:
    if not (isinstance(strength, int | float | np.number) and 0 <= strength <= 1):
        raise InputError(f"strength (--strength) must be 0 to 1, got {strength!r}.")
