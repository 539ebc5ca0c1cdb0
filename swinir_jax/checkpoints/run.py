"""The folder of a training run as a model: what lies where in it, and its weights."""

import importlib.util
import json
import os
from collections.abc import Mapping
from typing import Any

import flax
from etils import epath

from swinir_jax.checkpoints.names import parameter_shapes, shape_problems
from swinir_jax.checkpoints.store import load_params
from swinir_jax.checkpoints.weight_file import Weights
from swinir_jax.config import SwinIRConfig
from swinir_jax.errors import InputError

EXPERIMENT_FILE = "experiment.json"
CHECKPOINTS_FOLDER = "checkpoints"
ITEMS: Mapping[Weights, str] = {"ema": "ema", "raw": "params"}  # folders of a checkpoint


def run_folder(name: str | os.PathLike[str]) -> epath.Path:
    """The absolute path of a run, on this machine or in a bucket.

    Raises:
      InputError: if it is in a bucket (`gs://...`) and the package to reach it is not installed.
    """
    text = os.fspath(name)
    if "://" not in text:
        return epath.Path(os.path.abspath(os.path.expanduser(text)))
    if text.startswith("gs://") and importlib.util.find_spec("gcsfs") is None:
        raise InputError(f"{text}: Google Storage needs the package gcsfs, which is not installed.")
    return epath.Path(text)


def is_run(folder: epath.Path) -> bool:
    """Whether a folder is that of a training run."""
    return (folder / EXPERIMENT_FILE).exists()


def score(metrics: Mapping[str, float]) -> float:
    """By what checkpoints are ranked: PSNR in dB; those without validation come last."""
    return metrics.get("psnr", float("-inf"))


def load_run(folder: epath.Path, weights: Weights) -> tuple[dict[str, Any], SwinIRConfig]:
    """Reads the weights of a run: of its best checkpoint by validation, or of the latest if none was validated.

    Args:
      folder: with `experiment.json` and `checkpoints/`; it may be in training.
      weights: the moving average or the raw ones.

    Returns:
      The parameters as float32 NumPy arrays, and the configuration.

    Raises:
      InputError: if there is no checkpoint yet, or a piece is damaged or does not fit the configuration.
    """
    try:
        config = SwinIRConfig.from_dict(json.loads((folder / EXPERIMENT_FILE).read_text())["network"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{folder / EXPERIMENT_FILE}: not readable as an experiment ({error}).") from error
    step = _best_step(folder / CHECKPOINTS_FOLDER)
    if step is None:
        raise InputError(f"{folder}: this run has no checkpoint yet.")
    path = folder / CHECKPOINTS_FOLDER / str(step) / ITEMS[weights]
    try:
        flat = load_params(path)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: damaged ({' '.join(str(error).split())[:200]}).") from error
    problems = shape_problems({name: leaf.shape for name, leaf in flat.items()}, parameter_shapes(config))
    if problems:
        raise InputError(f"{folder}: {EXPERIMENT_FILE} contradicts the weights: " + "; ".join(sorted(problems)))
    return flax.traverse_util.unflatten_dict(flat, sep="/"), config


def _best_step(folder: epath.Path) -> int | None:
    import orbax.checkpoint as ocp

    if not folder.exists():
        return None
    options = ocp.CheckpointManagerOptions(best_fn=score, read_only=True, create=False, save_interval_steps=0)
    with ocp.CheckpointManager(folder, options=options) as manager:
        return manager.best_step()
