"""Converts weights from one form into another."""

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
    """Converts weights of any kind into a model folder, or into a `.safetensors` file with official names.

    Args:
      source: name of the weights, as for `load_pretrained`.
      target: a new folder, or a `.safetensors` file, for PyTorch.
      small: whether a `.safetensors` file gets the masks of the smallest image in which windows shift. PyTorch's strict
        loading asks for masks; any of them serve images of all sizes.
      to_img_range: value of `img_range` for which the network is rewritten; restored images stay the same.
      **options: options of `load_pretrained`.

    Returns:
      The network's configuration and the number of parameters.

    Raises:
      InputError: if the source cannot be read, the target cannot be written, or `to_img_range` is not positive; nothing
        is written then.
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
        _warn_of_losses(tensors, config)
        write_bytes(target, safetensors.numpy.save(tensors))
    else:
        save_model(target, params, config)
    return config, sum(leaf.size for leaf in jax.tree.leaves(params))


def _warn_of_losses(tensors: Mapping[str, np.ndarray], config: SwinIRConfig) -> None:
    """Warns of arguments that the tensors do not tell and a reader of the file would assume wrongly."""
    inferred = infer_config(tensors)
    for name in RULES:
        if (value := getattr(config, name)) != getattr(inferred, name):
            logger.warning("Official names do not tell %s=%s: whoever loads the file must say so.", name, value)
    if not config.shift_size and not tells_shift(tensors):
        logger.warning("Official names do not tell shift=False (--no-shift): whoever loads the file must say so.")


def with_img_range(
    params: Mapping[str, Any], config: SwinIRConfig, img_range: float
) -> tuple[dict[str, Any], SwinIRConfig]:
    """Rewrites a network for another `img_range`, on which only the first and the last convolution depend.

    Args:
      params: parameters from `load_pretrained`.
      config: network configuration.
      img_range: new value.

    Returns:
      The new parameters and configuration.

    Raises:
      InputError: if `img_range` is not positive and finite.
    """
    factor = np.float32(img_range / config.img_range)
    config = dataclasses.replace(config, img_range=img_range)
    last = "upsample_0" if config.upsampler == "pixelshuffledirect" else "conv_last"
    conv_first = {**params["conv_first"], "kernel": params["conv_first"]["kernel"] / factor}
    conv_last = {name: leaf * factor for name, leaf in params[last].items()}
    return {**params, "conv_first": conv_first, last: conv_last}, config
