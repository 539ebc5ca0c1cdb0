"""Checks of an experiment: fit of the parts, and changes of a resumed run."""

import dataclasses
import logging
import math
from collections.abc import Iterator
from typing import Any

from swinir_jax.data.config import LEVELS, SHRINKING
from swinir_jax.errors import InputError, first_few, nearest, option
from swinir_jax.features import FEATURE_NETWORKS
from swinir_jax.metrics import SSIM_WINDOW_SIZE
from swinir_jax.tasks import TASKS
from swinir_jax.training.experiment import Experiment
from swinir_jax.training.optimizer import make_optimizer

logger = logging.getLogger(__name__)

# Fields that a resumed run may change; a prefix with a dot is a group of fields.
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
    "loss.weights_dir",
)


def check_experiment(experiment: Experiment) -> None:
    """Checks that task, network, data and validation fit each other.

    Raises:
      InputError: if they do not fit; the message names the options.
    """
    task = TASKS.get(experiment.task)
    if task is None or task.training is None:
        trained = [name for name, task in TASKS.items() if task.training]
        hint = nearest(experiment.task, trained).removeprefix(", ") or f"use one of {', '.join(trained)}"
        raise InputError(f"--task {experiment.task} cannot be trained; {hint}.")
    network, degradation = experiment.network, experiment.data.degradation
    if network.in_chans != task.channels:
        raise InputError(
            f"--task {experiment.task} has {task.channels} channels, but --network.in-chans is {network.in_chans}."
        )
    kind = degradation.kind
    if kind != task.training:
        raise InputError(f"--task {experiment.task} needs --data.degradation.kind {task.training}, got {kind}.")
    if network.upscale != degradation.scale:
        raise InputError(
            f"--network.upscale {network.upscale} does not fit {kind} data "
            f"with --data.degradation.low {degradation.low}."
        )
    least, most = LEVELS[kind]
    if not least <= experiment.validation.level <= most:
        raise InputError(
            f"--validation.level of {kind} must lie in {least}..{most}, got {experiment.validation.level}."
        )
    if kind in SHRINKING and experiment.validation.level != network.upscale:
        raise InputError(
            f"--validation.level {experiment.validation.level} does not fit --network.upscale {network.upscale}."
        )

    side = experiment.data.patch_size * network.upscale
    if experiment.loss.name == "l1_ssim" and side < SSIM_WINDOW_SIZE:
        raise InputError(
            f"--loss.name l1_ssim needs HQ patches of at least {SSIM_WINDOW_SIZE} pixels; --data.patch-size "
            f"{experiment.data.patch_size} times --network.upscale {network.upscale} is {side}."
        )
    _check_colour_losses(experiment)


def _check_colour_losses(experiment: Experiment) -> None:
    """Checks what the losses of a discriminator or of a feature network need.

    Raises:
      InputError: if images are gray, or too small or not divisible for the network.
    """
    side, channels = experiment.data.patch_size * experiment.network.upscale, experiment.network.in_chans
    perceptual, adversarial = experiment.loss.perceptual, experiment.gan.loss
    for name, value in (("--loss.perceptual", perceptual), ("--gan.loss", adversarial)):
        if value != "none" and channels != 3:
            raise InputError(f"{name} {value} needs RGB images, and --network.in-chans is {channels}.")
    if adversarial != "none" and side % 8:
        raise InputError(
            f"--gan.loss {adversarial} needs HQ patches with sides of a multiple of 8; --data.patch-size "
            f"{experiment.data.patch_size} times --network.upscale {experiment.network.upscale} is {side}."
        )
    if perceptual != "none":
        network = FEATURE_NETWORKS[perceptual]
        least = network.least_side + network.phases - 1  # which the random shift cuts off
        if side < least:
            raise InputError(f"--loss.perceptual {perceptual} needs HQ patches of at least {least} pixels, got {side}.")
    if adversarial != "none" and not experiment.init_from:
        logger.warning("Adversarial training from random weights; --init-from names the run of the stage before it.")


def check_resume(stored: Experiment, wanted: Experiment) -> None:
    """Checks which fields a resumed run changes, and logs them.

    Args:
      stored: experiment of the run so far.
      wanted: experiment to continue with.

    Raises:
      InputError: if a field must not change; the message names the first few options and counts the others.
    """
    if stored.name != wanted.name:
        raise InputError(f"The run in the workdir is one of {stored.name}, not {wanted.name}; name a new --workdir.")
    new = dict(_flatten(wanted))
    changes = {
        name: f"{option(name)} from {old!r} to {new[name]!r}" for name, old in _flatten(stored) if old != new[name]
    }
    refused = [change for name, change in changes.items() if not name.startswith(_CHANGEABLE)]
    if refused:
        raise InputError(
            f"The run in the workdir cannot change {first_few(refused)}. "
            "Leave these options out to continue the run, or name a new --workdir."
        )
    for change in changes.values():
        logger.info("Changed: %s.", change)


def tell_rate_change(stored: Experiment, wanted: Experiment, step: int) -> None:
    """Logs a jump of the learning rate, which occurs if another number of steps stretches the schedule.

    Args:
      stored: experiment of the run so far.
      wanted: experiment to continue with.
      step: number of steps done.
    """
    old, new = (make_optimizer(run.optimizer, run.steps)[1] for run in (stored, wanted))
    if step < wanted.steps and not math.isclose(float(old(step)), float(new(step)), rel_tol=1e-5):
        logger.warning(
            "The learning rate jumps from %.3g in step %d to %.3g in the next step, because the schedule now has %d "
            "steps instead of %d.", float(old(step - 1)), step, float(new(step)), wanted.steps, stored.steps,
        )  # fmt: skip


def _flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the dotted name and the value of each field."""
    for field in dataclasses.fields(value):
        inner, name = getattr(value, field.name), prefix + field.name
        if dataclasses.is_dataclass(inner):
            yield from _flatten(inner, f"{name}.")
        else:
            yield name, inner
