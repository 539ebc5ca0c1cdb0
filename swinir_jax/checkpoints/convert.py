"""Converts weights from one form into another, and blends them."""

import dataclasses
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from swinir_jax.checkpoints.architecture import RULES, infer_config, tells_shift
from swinir_jax.checkpoints.blending import blend, check_weights
from swinir_jax.checkpoints.ends import DEFAULT_STRENGTH, save_ends
from swinir_jax.checkpoints.names import params_to_official
from swinir_jax.checkpoints.pretrained import load_pretrained
from swinir_jax.checkpoints.safetensors_file import safetensors_bytes
from swinir_jax.checkpoints.store import save_model
from swinir_jax.checkpoints.weight_file import SUFFIXES
from swinir_jax.config import SwinIRConfig
from swinir_jax.errors import InputError
from swinir_jax.files import make_folder, write_bytes

logger = logging.getLogger(__name__)

# Fields of a configuration in which networks to blend may differ: `img_range` is aligned, what follows from `img_size`
# and `mlp_ratio` is compared, and the others serve training alone.
_FREE = (
    *("img_range", "img_size", "mlp_ratio"),
    *("drop_rate", "attn_drop_rate", "drop_path_rate", "use_checkpoint"),
)

# Convolutions that take or give images.
_FROM_IMAGES = {"conv_first", "conv_first_1", "conv_bicubic", "conv_after_aux_0"}
_TO_IMAGES = {"conv_last", "conv_aux", "conv_last_hf"}
_LARGEST_FACTOR = 1e6  # between two values of img_range


def convert(
    sources: Sequence[tuple[str | os.PathLike[str], float]],
    target: str | os.PathLike[str],
    *,
    small: bool = False,
    float16: bool = False,
    to_img_range: float | None = None,
    **options: Any,
) -> tuple[SwinIRConfig, int]:
    """Converts weights of any kind into a model folder, or into a `.safetensors` file with official names.

    Args:
      sources: names of the networks, as for `load_pretrained`, and the weights at which they are blended; one network
        has the weight 1.
      target: a new folder, or a `.safetensors` file, for PyTorch.
      small: whether a `.safetensors` file gets small masks, see `params_to_official`.
      float16: whether a `.safetensors` file holds float16, in half of the space; computing stays as it is.
      to_img_range: value of `img_range` for which the network is rewritten; restored images stay the same.
      **options: options of `load_pretrained`.

    Returns:
      The network's configuration and the number of parameters.

    Raises:
      InputError: if a source cannot be read, the sources cannot be blended (see `blend`), the target cannot be written,
        `to_img_range` is not positive, or a weight is too large for float16; nothing is written then.
    """
    target = Path(target)
    suffix = target.suffix.lower()
    if suffix in SUFFIXES and suffix != ".safetensors":
        raise InputError(f"{target}: official names are written as .safetensors, which PyTorch tools read too.")
    check_weights([weight for _, weight in sources])
    config, networks = _load_alike([name for name, _ in sources], to_img_range, **options)
    params = blend([*zip(networks, (weight for _, weight in sources), strict=True)])
    if suffix == ".safetensors":
        tensors = params_to_official(params, config, small=small)
        data = safetensors_bytes(tensors, float16=float16)
        _warn_of_losses(tensors, config)
        make_folder(target.parent)
        write_bytes(target, data)
    elif float16:
        raise InputError(f"{target}: model folders hold float32; name a .safetensors file for float16.")
    elif small:
        raise InputError(f"{target}: model folders hold no masks; name a .safetensors file for small ones.")
    else:
        save_model(target, params, config)
    return config, _count(params)


def convert_ends(
    ends: tuple[str | os.PathLike[str], str | os.PathLike[str]],
    target: str | os.PathLike[str],
    *,
    strength: float | None = None,
    float16: bool = False,
    to_img_range: float | None = None,
    **options: Any,
) -> tuple[SwinIRConfig, int]:
    """Converts two networks of one ancestor into a model with two ends.

    Args:
      ends: names of the networks at strength 0 (faithful) and at strength 1 (strong).
      target: new folder.
      strength: default strength; None for `DEFAULT_STRENGTH`.
      float16: whether the files hold float16, as for `convert`.
      to_img_range: see `convert`.
      **options: options of `load_pretrained`.

    Returns:
      The configuration of both networks, and the number of parameters of each.

    Raises:
      InputError: as for `convert`, if the target is named like a file, or if the architectures differ.
    """
    target = Path(target)
    if target.suffix.lower() in SUFFIXES:
        raise InputError(f"{target}: a model with two ends is a folder; name one without {target.suffix}.")
    config, (faithful, strong) = _load_alike(ends, to_img_range, **options)
    save_ends(target, faithful, strong, config, DEFAULT_STRENGTH if strength is None else strength, float16=float16)
    return config, _count(faithful)


def _load_alike(
    names: Sequence[str | os.PathLike[str]], to_img_range: float | None, **options: Any
) -> tuple[SwinIRConfig, list[Mapping[str, Any]]]:
    """Loads networks of one architecture, and rewrites them for one `img_range`: the given one, or the first network's.

    Raises:
      InputError: if the architectures differ; the message names the first difference.
    """
    loaded = [load_pretrained(name, **options) for name in names]
    config = loaded[0][0].config
    for name, (model, _) in zip(names[1:], loaded[1:], strict=True):
        ours, theirs = _architecture(config), _architecture(model.config)
        if differing := [field for field in ours if ours[field] != theirs[field]]:
            field = differing[0]
            raise InputError(f"{names[0]} and {name} differ in {field}: {ours[field]!r} and {theirs[field]!r}.")
    if to_img_range is not None:
        config = dataclasses.replace(config, img_range=to_img_range)
    return config, [
        params if model.config.img_range == config.img_range else with_img_range(params, model.config, config.img_range)
        for model, params in loaded
    ]


def _architecture(config: SwinIRConfig) -> dict[str, Any]:
    """Returns all that decides the function of equal parameters but `img_range`, by name."""
    fields = {name: value for name, value in dataclasses.asdict(config).items() if name not in _FREE}
    derived = {name: getattr(config, name) for name in ("attention_window", "shift_size", "mlp_hidden_dim")}
    return {**fields, **derived, "img_size": config.img_size if config.ape else None}


def _count(params: Mapping[str, Any]) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def _warn_of_losses(tensors: Mapping[str, np.ndarray], config: SwinIRConfig) -> None:
    """Warns of arguments that the tensors do not tell and a reader of the file would assume wrongly."""
    inferred = infer_config(tensors)
    for name in RULES:
        if (value := getattr(config, name)) != getattr(inferred, name):
            logger.warning("Official names do not tell %s=%s: whoever loads the file must say so.", name, value)
    # Two channels and a factor can make one convolution, and two sides one position embedding.
    for name in ("in_chans", "unshuffle", "window_size", *(["img_size"] if config.ape else [])):
        if (value := getattr(config, name)) != (read := getattr(inferred, name)):
            logger.warning("Official names do not tell %s=%s: the file will be read with %s.", name, value, read)
    if not config.shift_size and not tells_shift(tensors):
        logger.warning("Official names do not tell shift=False (--no-shift): whoever loads the file must say so.")


def with_img_range(params: Mapping[str, Any], config: SwinIRConfig, img_range: float) -> dict[str, Any]:
    """Rewrites a network for another `img_range`, on which only convolutions from and to images depend.

    Args:
      params: parameters from `load_pretrained`.
      config: network configuration.
      img_range: new value.

    Returns:
      The new parameters.

    Raises:
      InputError: if `img_range` is not positive and finite, or so far from the network's that float32 loses digits.
    """
    if not 1 / _LARGEST_FACTOR <= img_range / config.img_range <= _LARGEST_FACTOR:
        raise InputError(f"img_range={img_range:g} is too far from {config.img_range:g}, the network's own.")
    factor, rewritten = np.float32(img_range / config.img_range), dict(params)
    for name in _FROM_IMAGES & params.keys():
        rewritten[name] = {**params[name], "kernel": params[name]["kernel"] / factor}
    to_images = {"upsample_0"} if config.upsampler == "pixelshuffledirect" else _TO_IMAGES
    for name in to_images & params.keys():
        rewritten[name] = {leaf: value * factor for leaf, value in params[name].items()}
    return rewritten
