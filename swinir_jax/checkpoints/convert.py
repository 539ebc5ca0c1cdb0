"""Weights from one form into another."""

import dataclasses
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors.numpy

from swinir_jax.checkpoints.architecture import RULES, infer_config, tells_shift
from swinir_jax.checkpoints.names import params_to_official
from swinir_jax.checkpoints.pretrained import load_pretrained
from swinir_jax.checkpoints.store import save_model
from swinir_jax.checkpoints.weight_file import SUFFIXES
from swinir_jax.config import SwinIRConfig
from swinir_jax.errors import InputError
from swinir_jax.files import make_folder, write_bytes

logger = logging.getLogger(__name__)


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    small: bool = False,
    to_img_range: float | None = None,
    **options: Any,
) -> tuple[SwinIRConfig, int]:
    """Converts anything that `load_pretrained` takes into a model folder, or back into official names.

    Args:
      source: as for `load_pretrained`.
      target: a folder that does not exist yet; or a `.safetensors` file, for PyTorch.
      small: whether the masks in a `.safetensors` file, which PyTorch's strict loading asks for, are those of the
        smallest image in which windows shift; such a file serves images of any size as well.
      to_img_range: rewrites the network for this `img_range`; it restores as before.
      **options: of `load_pretrained`.

    Returns:
      The architecture and the number of parameters.

    Raises:
      InputError: if the source cannot be read, the target not be written, or `to_img_range` is not positive; then
        nothing is written.
    """
    target = Path(target)
    suffix = target.suffix.lower()
    if suffix in SUFFIXES and suffix != ".safetensors":
        raise InputError(f"{target}: official names are written as .safetensors, which PyTorch tools read too.")
    model, params = load_pretrained(source, **options)
    config = model.config
    if to_img_range is not None:
        params, config = with_img_range(params, config, to_img_range)
    if suffix == ".safetensors":
        make_folder(target.parent)
        if small and config.shift_size and not config.ape:
            config = dataclasses.replace(config, img_size=2 * config.window_size)
        tensors = params_to_official(params, config)
        _tell_what_is_lost(tensors, config)
        write_bytes(target, safetensors.numpy.save(tensors))
    else:
        save_model(target, params, config)
    return config, sum(leaf.size for leaf in jax.tree.leaves(params))


def _tell_what_is_lost(tensors: Mapping[str, np.ndarray], config: SwinIRConfig) -> None:
    """Official names do not hold all of a configuration; who reads them has to know the rest."""
    guessed = infer_config(tensors)
    for name in RULES:
        if (value := getattr(config, name)) != getattr(guessed, name):
            logger.warning("Official names do not tell %s=%s: whoever loads the file must say so.", name, value)
    if not config.shift_size and not tells_shift(tensors):
        logger.warning("Official names do not tell shift=False (--no-shift): whoever loads the file must say so.")


def with_img_range(
    params: Mapping[str, Any], config: SwinIRConfig, img_range: float
) -> tuple[dict[str, Any], SwinIRConfig]:
    """The same network for another `img_range`: only its first and last convolutions see it.

    Args:
      params: of the network, as from `load_pretrained`.
      config: its architecture.
      img_range: the new one.

    Returns:
      Parameters and configuration.

    Raises:
      InputError: if `img_range` is not positive and finite.
    """
    factor = np.float32(img_range / config.img_range)
    config = dataclasses.replace(config, img_range=img_range)
    last = "upsample_0" if config.upsampler == "pixelshuffledirect" else "conv_last"
    first = {**params["conv_first"], "kernel": params["conv_first"]["kernel"] / factor}
    scaled = {name: leaf * factor for name, leaf in params[last].items()}
    return {**params, "conv_first": first, last: scaled}, config
