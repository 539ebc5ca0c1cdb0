"""Adam's direction and the learning rate that scales it."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from swinir_jax.training.experiment import OptimizerConfig


def _multistep(config: OptimizerConfig, steps: int) -> optax.Schedule:
    halvings = {round(share * steps): 0.5 for share in config.milestones}
    return optax.piecewise_constant_schedule(config.learning_rate, halvings)


def _cosine(config: OptimizerConfig, steps: int) -> optax.Schedule:
    return optax.cosine_decay_schedule(config.learning_rate, steps)


def _constant(config: OptimizerConfig, steps: int) -> optax.Schedule:
    return optax.constant_schedule(config.learning_rate)


_SCHEDULES: Mapping[str, Callable[[OptimizerConfig, int], optax.Schedule]] = {
    "multistep": _multistep,
    "cosine": _cosine,
    "constant": _constant,
}


@functools.cache  # one object a configuration: states that hold it then have the same tree structure
def make_optimizer(config: OptimizerConfig, steps: int) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """The optimiser of a run, in two parts.

    Args:
      config: its figures, by PyTorch's formulas: `eps` is added outside the root; AdamW's decay is decoupled, scaled
        by the learning rate, and of all parameters.
      steps: of the whole run.

    Returns:
      What turns gradients into a direction, and the learning rate of a step, counted from 0; an update is minus their
      product. Apart, because the rate follows the step, and the direction's own count leaves out skipped ones.
    """
    parts = [optax.scale_by_adam(b1=config.b1, b2=config.b2, eps=config.eps)]
    if config.clip_norm is not None:
        parts.insert(0, optax.clip_by_global_norm(config.clip_norm))
    if config.name == "adamw":
        parts.append(optax.add_decayed_weights(config.weight_decay))
    chain = optax.chain(*parts)
    schedule = _warmed_up(_SCHEDULES[config.schedule](config, steps), config.warmup_steps)
    return optax.GradientTransformation(chain.init, _promoting(chain.update)), _promoting(schedule)


def _promoting(function: Callable[..., Any]) -> Callable[..., Any]:
    """Lets the whole numbers of steps that Optax counts become floats, which a strict JAX would refuse."""

    def promoting(*arguments: Any) -> Any:
        with jax.numpy_dtype_promotion("standard"):
            return function(*arguments)

    return promoting


def _warmed_up(schedule: optax.Schedule, warmup_steps: int) -> optax.Schedule:
    """Rises linearly to the schedule's value, which the last of the warm-up steps has."""
    if not warmup_steps:
        return schedule
    return lambda step: jnp.minimum((step + 1) / warmup_steps, 1.0) * schedule(step)
