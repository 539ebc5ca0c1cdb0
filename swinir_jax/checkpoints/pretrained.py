"""Loads a model and its parameters, by any name that weights can have, and saves them."""

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import jax.numpy as jnp

from swinir_jax.checkpoints import store
from swinir_jax.checkpoints.architecture import (
    RULES,
    Tensors,
    infer_config,
    tells_shift,
    tells_sides,
    tells_window,
    with_given,
)
from swinir_jax.checkpoints.download import is_address, locate_address, locate_official
from swinir_jax.checkpoints.ends import load_ends
from swinir_jax.checkpoints.folders import CONFIG_FILE, PARAMS_FOLDER, is_model, is_two_ended
from swinir_jax.checkpoints.names import check_network, params_from_official, split_buffers
from swinir_jax.checkpoints.networks import WeightKind
from swinir_jax.checkpoints.run import is_run, load_run, run_folder
from swinir_jax.checkpoints.torch_file import unpacked_archive
from swinir_jax.checkpoints.weight_file import SUFFIXES, read_weight_file
from swinir_jax.checkpoints.zoo import OFFICIAL, bundled_models, unknown_model
from swinir_jax.config import SwinIRConfig
from swinir_jax.errors import InputError, listed
from swinir_jax.models import SwinIR

_PART = re.compile(r"-\d{5}-of-\d{5}\.")  # in the names of sharded weights

logger = logging.getLogger(__name__)


def load_pretrained(
    name: str | os.PathLike[str],
    *,
    img_range: float | None = None,
    qk_scale: float | None = None,
    shift: bool | None = None,
    weights: WeightKind = "ema",
    strength: float | None = None,
    dtype: Any = jnp.float32,
    weights_dir: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> tuple[SwinIR, dict[str, Any]]:
    """Loads a network with its weights.

    Args:
      name: one of

        - a folder written by the converter or `save_pretrained`;
        - the folder of a training run: its best checkpoint by validation, else the latest;
        - a weight file (`.pth`, `.pt`, `.ckpt`, `.bin`, `.safetensors`), or the https address of one;
        - the name of a bundled or an official model (`swinir-jax models` lists them).

        Files that are not on this machine are downloaded, once.
      img_range: value that replaces that of the folder or of the rule (see `infer_config`).
      qk_scale: likewise.
      shift: whether windows shift, for files that do not tell (see `tells_shift`) and folders that are wrong; None
        assumes that windows shift, and logs the assumption.
      weights: "ema" or "raw", for files and runs that hold both.
      strength: for models with two ends, as three bundled ones are, 0 for the faithful network, 1 for the strong one,
        between for a blend; None for the model's default, which is logged.
      dtype: dtype in which the model computes, float32 or bfloat16.
      weights_dir: folder in which official files are looked for first.
      progress: whether to draw a progress bar while downloading.

    Returns:
      `(model, params)` for `model.apply({"params": params}, lq)`; the parameters are float32 NumPy arrays.

    Raises:
      InputError: if there is no such model, a file is damaged or does not hold a SwinIR, weights and configuration do
        not fit each other, or a strength is given for a model without two ends.
    """
    if weights not in get_args(WeightKind):
        raise InputError(f"weights must be one of {get_args(WeightKind)}, got {weights!r}.")
    given: dict[str, Any] = {"img_range": img_range, "qk_scale": qk_scale, "shift": shift}
    blended: float | None = None
    if not is_address(name) and is_run(folder := run_folder(name)):
        params, config = load_run(folder, weights)
    elif is_two_ended(path := _resolve(name, weights_dir, progress)):
        params, config, blended = load_ends(path, strength)
        logger.info("%s: strength %g, from 0 (faithful) to 1 (strong).", path.name, blended)
    elif is_model(path):
        params, config = store.load_model(path)
    else:
        params, config = _load_file(path, weights, given)
        given = {}  # they are in the configuration already
    if strength is not None and blended is None:
        raise InputError(f"{name}: has no two ends; leave out the strength (--strength).")
    return SwinIR(with_given(config, **given), dtype=dtype), params


def save_pretrained(folder: str | os.PathLike[str], model: SwinIR, params: Mapping[str, Any]) -> None:
    """Writes a network with its weights to a model folder, which `load_pretrained` and all commands read.

    The folder appears whole or not at all. It holds `config.json` and the parameters as an Orbax checkpoint; the
    network's `dtype` is not stored. Of several processes, as on a TPU pod, the first one writes, whether the others
    call this or not.

    Args:
      folder: folder that does not exist or is empty.
      model: network.
      params: parameters as `model.init(...)["params"]`, of any floating dtype, on any devices of this process;
        float32 is stored.

    Raises:
      InputError: if the parameters do not fit the network or are not finite floats, or the folder is not empty, has a
        weight file's suffix or cannot be written.
    """
    if Path(folder).suffix.lower() in SUFFIXES:
        raise InputError(f"{folder}: save_pretrained writes a folder; `swinir-jax convert` makes a .safetensors of it.")
    check_network(model, params)
    store.save_model(folder, params, model.config)


def _resolve(name: str | os.PathLike[str], weights_dir: str | os.PathLike[str] | None, progress: bool) -> Path:
    """Returns the folder or the file of the weights.

    A folder without a model, such as a folder of results, does not hide a model of the same name.
    """
    path, text = Path(name), os.fspath(name)
    if not text:
        raise InputError("The name of the model is empty.")
    if is_address(name):
        return locate_address(text, progress=progress)
    if path.suffix == ".distcp":
        raise _is_distributed(path, "a part")
    files = _weight_files(path)
    if path.is_file() or (path.is_dir() and ((is_model(path) and not files) or unpacked_archive(path))):
        return path
    if text in (bundled := bundled_models()):
        return bundled[text]
    if (stem := text.removesuffix(".pth")) in OFFICIAL:
        return locate_official(OFFICIAL[stem], weights_dir, progress=progress)
    if files:
        raise InputError(f"{path}: not a converted model but a folder of weights; name the file: {listed(files)}.")
    if path.is_dir() and (models := sorted(entry.name for entry in path.iterdir() if is_model(entry))):
        raise InputError(f"{path}: not a converted model but a folder of models; name one: {listed(models)}.")
    if store.is_orbax(path):
        raise store.lacks_config(path)
    if any(path.glob("*.distcp")):
        raise _is_distributed(path, "a folder")
    if path.exists():
        raise InputError(f"{path}: holds no model: neither {CONFIG_FILE} of a converted one nor weights.")
    raise unknown_model(text)


def _is_distributed(path: Path, kind: str) -> InputError:
    """Returns the error for a checkpoint of several processes of PyTorch, or for a file of it."""
    return InputError(
        f"{path}: {kind} of torch.distributed.checkpoint; write the folder as one file first, by dcp_to_torch_save of "
        "torch.distributed.checkpoint.format_utils."
    )


def _weight_files(folder: Path) -> list[str]:
    """Returns the names of the weight files in a folder that is no converted model, by suffix."""
    if not folder.is_dir() or (folder / PARAMS_FOLDER).exists() or is_two_ended(folder):
        return []
    return sorted(path.name for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


def _load_file(path: Path, weights: WeightKind, given: Mapping[str, Any]) -> tuple[dict[str, Any], SwinIRConfig]:
    """Loads a weight file; `given` has the arguments of `infer_config`."""
    tensors, notes = read_weight_file(path, weights)
    if given["img_range"] is None and path.stem in OFFICIAL:
        given = {**given, "img_range": OFFICIAL[path.stem].config.img_range}
    try:
        config = infer_config(tensors, **given)
        params = params_from_official(tensors, config)
    except InputError as error:
        if _PART.search(path.name):
            notes.append("By name, the file is one of several parts of a network; join the parts in one file first.")
        raise InputError(" ".join([f"{path}: {str(error).removesuffix('.')}.", *notes])) from error
    for note in notes:
        logger.warning(note)
    if path.stem not in OFFICIAL and path not in bundled_models().values():
        _tell_assumptions(path.name, tensors, config, given)
    return params, config


def _tell_assumptions(file_name: str, tensors: Tensors, config: SwinIRConfig, given: Mapping[str, Any]) -> None:
    """Logs what was neither given nor told by a file; warns where a wrong assumption gives wrong pictures."""
    ruled = {
        name: f"{name}={getattr(config, name)} ({rule}; {name}=... overrides)"
        for name, rule in RULES.items()
        if given[name] is None and not (name == "qk_scale" and config.family == "swin2sr")
    }
    # Nearly all networks have 1 and None; only JPEG's have a window of 7 and 255.
    usual = [text for name, text in ruled.items() if getattr(config, name) in (1.0, None)]
    assumptions = [text for text in ruled.values() if text not in usual]
    if not tells_window(tensors):
        assumptions.append(f"windows of {config.window_size} pixels (there are no buffers)")
    if not tells_sides(tensors):
        side = config.img_sides[0]
        assumptions.append(f"a position embedding of {side}x{side}, a square (there are no attn_mask buffers)")
    if given["shift"] is None and not tells_shift(tensors):
        missing = "attn_mask buffers" if split_buffers(tensors)[1] else "buffers"
        assumptions.append(f"windows shift (there are no {missing}), unless shift=False (--no-shift)")
    for level, texts in ((logging.INFO, usual), (logging.WARNING, assumptions)):
        if texts:
            logger.log(level, "%s does not tell, so by rule: %s.", file_name, "; ".join(texts))
