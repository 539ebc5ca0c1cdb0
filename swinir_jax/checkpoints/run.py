"""The folder of a training run as a model: what lies where in it, and its weights."""

import importlib.util
import json
import logging
import os
from collections.abc import Mapping
from typing import Any

import flax
from etils import epath

from swinir_jax.checkpoints.names import parameter_shapes, shape_problems
from swinir_jax.checkpoints.store import load_params
from swinir_jax.checkpoints.weight_file import Weights
from swinir_jax.config import SwinIRConfig
from swinir_jax.errors import InputError, first_few

logger = logging.getLogger(__name__)

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


def comparable_scores(metrics: Mapping[int, Mapping[str, Any] | None]) -> dict[int, float]:
    """PSNR in dB of the checkpoints that were measured as the newest one is, or would be.

    Scores of other images, levels or tiles say nothing about which weights are better.

    Args:
      metrics: of each step, as `checkpoint_metrics` makes them; older runs have no setting, and None if nothing at all.

    Returns:
      Scores by step; none if validation has been switched off, or nothing was measured in the new setting yet.
    """
    newest = (metrics[max(metrics)] or {}).get("setting") if metrics else None
    return {step: m["psnr"] for step, m in metrics.items() if m and "psnr" in m and m.get("setting") == newest}


def checkpoint_metrics(psnr: float | None, setting: str) -> dict[str, Any]:
    """What is kept with a checkpoint: how the run is validated at that time, and the score, if there is one."""
    return {"setting": setting} | ({} if psnr is None else {"psnr": psnr})


def best_first(scores: Mapping[int, float]) -> list[int]:
    """Steps from the best score to the worst; of equal ones the later first."""
    return sorted(scores, key=lambda step: (scores[step], step), reverse=True)


def load_run(folder: epath.Path, weights: Weights) -> tuple[dict[str, Any], SwinIRConfig]:
    """Reads the weights of a run: of its best checkpoint by validation, or of the latest if none was validated.

    The log says which it is. Only scores of the newest validation's setting count.

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
    step, why = _choose_step(folder)
    path = folder / CHECKPOINTS_FOLDER / str(step) / ITEMS[weights]
    try:
        flat = load_params(path)
    except (OSError, ValueError, KeyError) as error:
        if not path.parent.exists():  # the run, in training, has made room for a newer one
            return load_run(folder, weights)
        raise InputError(f"{path}: damaged ({' '.join(str(error).split())[:200]}).") from error
    problems = shape_problems({name: leaf.shape for name, leaf in flat.items()}, parameter_shapes(config))
    if problems:
        raise InputError(f"{folder}: {EXPERIMENT_FILE} contradicts the weights: {first_few(sorted(problems))}.")
    logger.info("%s: weights of step %d, %s.", folder, step, why)
    return flax.traverse_util.unflatten_dict(flat, sep="/"), config


def _choose_step(folder: epath.Path) -> tuple[int, str]:
    """The step whose weights are taken, and why."""
    import orbax.checkpoint as ocp

    metrics: dict[int, Mapping[str, Any] | None] = {}
    if (folder / CHECKPOINTS_FOLDER).exists():
        options = ocp.CheckpointManagerOptions(read_only=True, create=False, save_interval_steps=0)
        with ocp.CheckpointManager(folder / CHECKPOINTS_FOLDER, options=options) as manager:
            metrics = {step: manager.metrics(step) for step in manager.all_steps()}
    if not metrics:
        raise InputError(f"{folder}: this run has no checkpoint yet.")
    scores = comparable_scores(metrics)
    if not scores:
        return max(metrics), "the latest, without a score of the present validation"
    best = best_first(scores)[0]
    measured = (metrics[best] or {}).get("setting") or "of a setting that was not noted"
    return best, f"the best by validation: PSNR {scores[best]:.2f} dB, {measured}"
