"""Update direction by Adam or Muon, and learning rate schedules."""

import functools
import math
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


# Root mean square of Muon's updates: about that of Adam's, so that the same learning rates fit (arXiv 2502.16982).
_MUON_SIZE = 0.2

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
        learning rate, and applies to all parameters. Muon needs a tree with the names of Flax: it is for kernels.
      steps: steps of the whole run.

    Returns:
      The transformation from gradients to directions, and the learning rate as a function of the step, from 0 on.
    """
    parts = [_muon(config) if config.name == "muon" else _adam(config)]
    if config.clip_norm is not None:
        parts.insert(0, optax.clip_by_global_norm(config.clip_norm))
    if config.name == "adamw":
        parts.append(optax.add_decayed_weights(config.weight_decay))
    chain = optax.chain(*parts)
    schedule = _warmed_up(_SCHEDULES[config.schedule](config, steps), config.warmup_steps)
    return optax.GradientTransformation(chain.init, _promoting(chain.update)), _promoting(schedule)


def _adam(config: OptimizerConfig) -> optax.GradientTransformation:
    return optax.scale_by_adam(b1=config.b1, b2=config.b2, eps=config.eps)


def _muon(config: OptimizerConfig) -> optax.GradientTransformation:
    """Returns Muon for kernels, and Adam for biases, LayerNorms and position tables."""
    muon = optax.contrib.scale_by_muon(weight_dimension_numbers=_as_matrices)
    kinds = {"kernel": optax.chain(muon, optax.stateless(_with_equal_size)), "other": _adam(config)}
    return optax.partition(kinds, _kinds)


def _kinds(params: optax.Params) -> Any:
    return jax.tree_util.tree_map_with_path(lambda path, _: "kernel" if path[-1].key == "kernel" else "other", params)


def _as_matrices(kernels: optax.Updates) -> Any:
    """Tells Muon to take kernels of convolutions, `[k, k, C, features]`, as matrices `[k * k * C, features]`."""
    return jax.tree.map(
        lambda kernel: optax.contrib.MuonDimensionNumbers(tuple(range(kernel.ndim - 1)), kernel.ndim - 1), kernels
    )


def _with_equal_size(updates: optax.Updates, params: optax.Params | None) -> Any:
    """Scales orthogonal matrices, whose entries are the smaller the longer the sides, to `_MUON_SIZE`."""

    def scaled(update: jax.Array) -> jax.Array:
        return update * (_MUON_SIZE * math.sqrt(max(update.shape[-1], update.size // update.shape[-1])))

    return jax.tree.map(scaled, updates)


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
