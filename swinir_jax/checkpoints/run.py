"""Reads the folder of a training run as a model."""

import contextlib
import functools
import importlib.util
import json
import logging
import os
from collections.abc import Iterator, Mapping
from typing import Any

import flax
from etils import epath

from swinir_jax.checkpoints.names import parameter_shapes, shape_problems
from swinir_jax.checkpoints.networks import WeightKind
from swinir_jax.checkpoints.store import load_params
from swinir_jax.config import SwinIRConfig
from swinir_jax.errors import InputError, first_few, one_line

logger = logging.getLogger(__name__)

EXPERIMENT_FILE = "experiment.json"
CHECKPOINTS_FOLDER = "checkpoints"
ITEMS: Mapping[WeightKind, str] = {"ema": "ema", "raw": "params"}  # folders in a checkpoint


def run_folder(name: str | os.PathLike[str]) -> epath.Path:
    """Returns the absolute path of a run, on this machine or in a bucket.

    Raises:
      InputError: if the run is in a bucket (`gs://...`) and gcsfs, which reads buckets, is not installed.
    """
    text = os.fspath(name)
    if "://" not in text:
        return epath.Path(os.path.abspath(os.path.expanduser(text)))
    if text.startswith("gs://") and importlib.util.find_spec("gcsfs") is None:
        raise InputError(f"{text}: Google Storage needs the package gcsfs, which is not installed.")
    return epath.Path(text)


def is_run(folder: epath.Path) -> bool:
    """Returns whether a folder is that of a training run."""
    return (folder / EXPERIMENT_FILE).exists()


def comparable_scores(metrics: Mapping[int, Mapping[str, Any] | None]) -> dict[int, float]:
    """Selects the scores that can be compared: those measured in the validation setting of the newest checkpoint.

    Scores of other images, levels or tiles do not tell which weights are better.

    Args:
      metrics: metrics of each step from `checkpoint_metrics`. Older runs have no setting, or None instead of metrics.

    Returns:
      PSNR in dB by step; empty if validation is off now, or nothing has been measured in the newest setting.
    """
    newest = (metrics[max(metrics)] or {}).get("setting") if metrics else None
    return {step: m["psnr"] for step, m in metrics.items() if m and "psnr" in m and m.get("setting") == newest}


def checkpoint_metrics(psnr: float | None, setting: str) -> dict[str, Any]:
    """Returns the metrics to store with a checkpoint: the validation setting, and PSNR in dB if it was measured."""
    return {"setting": setting} | ({} if psnr is None else {"psnr": psnr})


def best_first(scores: Mapping[int, float]) -> list[int]:
    """Sorts steps from the best score to the worst; of equal scores the later step comes first."""
    return sorted(scores, key=lambda step: (scores[step], step), reverse=True)


@contextlib.contextmanager
def without_orbax_log() -> Iterator[None]:
    """Drops Orbax's log in this context, such as warnings that a folder is only read."""
    orbax_logger = logging.getLogger("absl")
    quiet = functools.partial(is_not_from_orbax)  # an object of its own: removing it leaves the filters of others
    orbax_logger.addFilter(quiet)
    try:
        yield
    finally:
        orbax_logger.removeFilter(quiet)


def is_not_from_orbax(record: logging.LogRecord) -> bool:
    """Filters out Orbax's log, where each thread writes a traceback of an error that is reported in one line."""
    return f"{os.sep}orbax{os.sep}" not in record.pathname


def load_run(folder: epath.Path, weights: WeightKind) -> tuple[dict[str, Any], SwinIRConfig]:
    """Reads the weights of a run's best checkpoint by validation, or of the latest if there are no scores.

    Only `comparable_scores` count. The log names the checkpoint.

    Args:
      folder: folder with `experiment.json` and `checkpoints/`; the run may be in training.
      weights: "ema" for the moving average, "raw" for the weights themselves.

    Returns:
      The parameters as float32 NumPy arrays, and the network configuration.

    Raises:
      InputError: if there is no checkpoint yet, or a file is damaged or does not fit the configuration.
    """
    try:
        config = SwinIRConfig.from_dict(json.loads((folder / EXPERIMENT_FILE).read_text())["network"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{folder / EXPERIMENT_FILE}: not readable as an experiment ({error}).") from error
    with without_orbax_log():
        step, why = _choose_step(folder)
    path = folder / CHECKPOINTS_FOLDER / str(step) / ITEMS[weights]
    try:
        with without_orbax_log():
            flat = load_params(path)
    except (OSError, ValueError, KeyError) as error:
        if not path.parent.exists():  # the run, in training, has replaced this checkpoint by a newer one
            return load_run(folder, weights)
        raise InputError(f"{path}: damaged ({one_line(error)}).") from error
    problems = shape_problems({name: leaf.shape for name, leaf in flat.items()}, parameter_shapes(config))
    if problems:
        raise InputError(f"{folder}: {EXPERIMENT_FILE} contradicts the weights: {first_few(sorted(problems))}.")
    logger.info("%s: weights of step %d, %s.", folder, step, why)
    return flax.traverse_util.unflatten_dict(flat, sep="/"), config


def _choose_step(folder: epath.Path) -> tuple[int, str]:
    """Returns the step of the checkpoint to load, and the reason in words."""
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
