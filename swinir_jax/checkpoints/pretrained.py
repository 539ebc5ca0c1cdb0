"""Any way of naming weights -> a model and its parameters."""

import dataclasses
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import jax.numpy as jnp

from swinir_jax.checkpoints import store
from swinir_jax.checkpoints.architecture import RULES, Tensors, has_buffers, infer_config
from swinir_jax.checkpoints.download import locate_official
from swinir_jax.checkpoints.names import params_from_official
from swinir_jax.checkpoints.run import is_run, load_run, run_folder
from swinir_jax.checkpoints.weight_file import SUFFIXES, Weights, read_weight_file
from swinir_jax.checkpoints.zoo import OFFICIAL, bundled_models, unknown_model
from swinir_jax.config import SwinIRConfig
from swinir_jax.errors import InputError
from swinir_jax.models import SwinIR

logger = logging.getLogger(__name__)


def load_pretrained(
    name: str | os.PathLike[str],
    *,
    img_range: float | None = None,
    qk_scale: float | None = None,
    weights: Weights = "ema",
    dtype: Any = jnp.float32,
    weights_dir: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> tuple[SwinIR, dict[str, Any]]:
    """Loads a network with its weights.

    Args:
      name: a folder that the converter wrote or that of a training run (its best checkpoint by validation, else the
        latest), a weight file (`.pth`, `.pt`, `.ckpt`, `.safetensors`), or the name of a bundled or an official model
        (`swinir-jax models` lists them); an official one is fetched if need be.
      img_range: in place of what the folder or the rule says (see `infer_config`).
      qk_scale: likewise.
      weights: "ema" or "raw", where a file or a run holds both.
      dtype: in which the model computes, float32 or bfloat16.
      weights_dir: folder in which official files are looked for first.
      progress: whether to draw a bar while fetching.

    Returns:
      `(model, params)`, for `model.apply({"params": params}, lq)`; the parameters are float32 NumPy arrays.

    Raises:
      InputError: if there is no such model, a file is damaged or not one of a SwinIR, or the pieces do not fit.
    """
    if weights not in get_args(Weights):
        raise InputError(f"weights must be one of {get_args(Weights)}, got {weights!r}.")
    arguments: dict[str, Any] = {"img_range": img_range, "qk_scale": qk_scale}
    given = {name: value for name, value in arguments.items() if value is not None}
    if is_run(folder := run_folder(name)):
        params, config = load_run(folder, weights)
    elif (path := _resolve(name, weights_dir, progress)).is_dir():
        params, config = store.load_model(path)
    else:
        params, config = _load_file(path, img_range, qk_scale, weights)
    return SwinIR(dataclasses.replace(config, **given), dtype=dtype), params


def _resolve(name: str | os.PathLike[str], weights_dir: str | os.PathLike[str] | None, progress: bool) -> Path:
    """The folder or file that holds the weights."""
    path, text = Path(name), os.fspath(name)
    if path.exists():
        return path
    if text in (bundled := bundled_models()):
        return bundled[text]
    if (stem := text.removesuffix(".pth")) in OFFICIAL:
        return locate_official(OFFICIAL[stem], weights_dir, progress=progress)
    raise unknown_model(text)


def _load_file(
    path: Path, img_range: float | None, qk_scale: float | None, weights: Weights
) -> tuple[dict[str, Any], SwinIRConfig]:
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: weights come as a folder or as {', '.join(SUFFIXES)} files.")
    tensors, notes = read_weight_file(path, weights)
    for note in notes:
        logger.warning(note)
    if img_range is None and path.stem in OFFICIAL:
        img_range = OFFICIAL[path.stem].config.img_range
    try:
        config = infer_config(tensors, img_range=img_range, qk_scale=qk_scale)
        params = params_from_official(tensors, config)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if path.stem not in OFFICIAL and path not in bundled_models().values():
        _tell_rules(path, config, tensors, {"img_range": img_range, "qk_scale": qk_scale})
    return params, config


def _tell_rules(path: Path, config: SwinIRConfig, tensors: Tensors, given: Mapping[str, float | None]) -> None:
    """A guess that turns out wrong gives wrong pictures: say that it was one."""
    rules = [
        f"{name}={getattr(config, name)} ({RULES[name]}; {name}=... overrides)"
        for name, value in given.items()
        if value is None
    ]
    if not has_buffers(tensors) and max(config.depths) > 1:
        rules.append("windows shift (there are no buffers)")
    if rules:
        logger.warning("%s does not tell, so by rule: %s.", path.name, "; ".join(rules))
