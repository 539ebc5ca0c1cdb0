"""Update direction by Adam, and learning rate schedules."""

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


@functools.cache  # states with the same functions have the same tree structure
def make_optimizer(config: OptimizerConfig, steps: int) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """Returns the optimiser of a run as a direction and a learning rate; an update is minus their product.

    The two are separate because the learning rate depends on all steps, and the direction only counts the steps that
    are not skipped.

    Args:
      config: settings, used as in PyTorch: `eps` is added outside the root; AdamW's decay is decoupled, scaled by the
        learning rate, and applies to all parameters.
      steps: steps of the whole run.

    Returns:
      The transformation from gradients to directions, and the learning rate as a function of the step, from 0 on.
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
    """Permits type promotion in Optax, whose step counts become floats; strict promotion would fail."""

    def promoting(*arguments: Any) -> Any:
        with jax.numpy_dtype_promotion("standard"):
            return function(*arguments)

    return promoting


def _warmed_up(schedule: optax.Schedule, warmup_steps: int) -> optax.Schedule:
    """Scales a schedule by a linear rise, which ends at the last warm-up step."""
    if not warmup_steps:
        return schedule
    return lambda step: jnp.minimum((step + 1) / warmup_steps, 1.0) * schedule(step)
