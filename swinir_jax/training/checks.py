"""Whether the parts of an experiment fit, and which of its fields a run may change when it is resumed."""

import dataclasses
import difflib
import logging
import math
from collections.abc import Iterator
from typing import Any

from swinir_jax.data.config import LEVELS
from swinir_jax.errors import InputError, first_few, option
from swinir_jax.tasks import TASKS
from swinir_jax.training.experiment import Experiment
from swinir_jax.training.optimizer import make_optimizer

logger = logging.getLogger(__name__)

# Fields, and groups of them, that do not decide what is learnt or are meant to be changed.
_CHANGEABLE = (
    "steps",
    "log_every",
    "max_skipped",
    "shard_optimizer",
    "validation.",
    "checkpoint.",
    "data.hq",
    "data.pairs",
    "data.data_dir",
    "data.max_corrupt",
    "data.threads",
    "data.cache_mb",
)


def check_experiment(experiment: Experiment) -> None:
    """Checks that task, network and data fit each other.

    Raises:
      InputError: if they do not; the message names the fields.
    """
    task = TASKS.get(experiment.task)
    if task is None or task.degrade is None:
        known = [name for name, task in TASKS.items() if task.degrade is not None]
        near = difflib.get_close_matches(experiment.task, known, n=1) or known
        raise InputError(f"--task {experiment.task} cannot be trained; the nearest is {', '.join(near)}.")
    network, degradation = experiment.network, experiment.data.degradation
    if network.in_chans != task.channels:
        raise InputError(f"{experiment.task} has {task.channels} channels, --network.in-chans is {network.in_chans}.")
    kind = {"scale": "bicubic"}.get(task.level, task.level)
    if degradation.kind != kind:
        raise InputError(f"{experiment.task} learns from {kind} data, --data.degradation.kind is {degradation.kind}.")
    if network.upscale != (degradation.low if kind == "bicubic" else 1):
        raise InputError(
            f"--network.upscale is {network.upscale}, but {kind} data of --data.degradation.low {degradation.low} "
            "have another scale."
        )
    least, most = LEVELS[kind]
    if not least <= experiment.validation.level <= most:
        raise InputError(f"--validation.level of {kind} lies in {least}..{most}, got {experiment.validation.level}.")
    if kind == "bicubic" and experiment.validation.level != network.upscale:
        raise InputError(
            f"--validation.level is {experiment.validation.level}, but the network enlarges by {network.upscale}."
        )


def check_resume(stored: Experiment, wanted: Experiment) -> None:
    """Says which fields a resumed run has changed.

    Args:
      stored: what the run began with.
      wanted: what it is to go on with.

    Raises:
      InputError: if one of them decides what is learnt; the message names all such.
    """
    new = dict(_flatten(wanted))
    changes = {
        name: f"{option(name)} from {old!r} to {new[name]!r}" for name, old in _flatten(stored) if old != new[name]
    }
    refused = [change for name, change in changes.items() if not name.startswith(_CHANGEABLE)]
    if refused:
        raise InputError(
            f"The workdir holds a run of another experiment, which cannot be changed: {first_few(refused)}. "
            "Leave these options out to go on with it, or name a new --workdir."
        )
    for change in changes.values():
        logger.info("Changed: %s.", change)


def tell_rate_change(stored: Experiment, wanted: Experiment, step: int) -> None:
    """Says from what to what the learning rate jumps where another number of steps stretches its schedule.

    Args:
      stored: what the run was until now.
      wanted: what it is to go on with.
      step: steps done.
    """
    old, new = (make_optimizer(run.optimizer, run.steps)[1] for run in (stored, wanted))
    if not math.isclose(float(old(step)), float(new(step)), rel_tol=1e-5):
        logger.warning(
            "The learning rate jumps from %.3g in step %d to %.3g in the next: its schedule goes by shares of all %d "
            "steps now, no longer of %d.", float(old(step - 1)), step, float(new(step)), wanted.steps, stored.steps,
        )  # fmt: skip


def _flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """All fields by their dotted names, as on the command line."""
    for field in dataclasses.fields(value):
        inner, name = getattr(value, field.name), prefix + field.name
        if dataclasses.is_dataclass(inner):
            yield from _flatten(inner, f"{name}.")
        else:
            yield name, inner
