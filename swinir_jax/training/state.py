"""All that a training run carries from step to step."""

from collections.abc import Mapping
from typing import Any

import flax
import jax
import jax.numpy as jnp
import optax

from swinir_jax.models import SwinIR
from swinir_jax.training.experiment import Experiment
from swinir_jax.training.losses import Loss, make_loss
from swinir_jax.training.optimizer import make_optimizer


class TrainState(flax.struct.PyTreeNode):
    """Training state: arrays that change from step to step, and the functions that change them.

    Attributes:
      step: number of steps done, including the skipped ones, int32.
      params: parameters, float32, as in `model.init(...)["params"]`.
      ema: moving average of the parameters, with the same structure.
      opt_state: state of `optimizer`.
      key: constant key from which the keys of the steps are derived.
      skipped: number of steps without a finite gradient, int32.
      skipped_in_row: number of consecutive skipped steps at the end, int32.
      model: network with the dtype of the arithmetic.
      optimizer: update direction, from `make_optimizer`.
      schedule: learning rate as a function of the step, from `make_optimizer`.
      loss: loss `(restored, hq) -> scalar`.
      ema_decay: decay rate of the moving average.
      accumulate: number of micro-batches in a step.
    """

    step: jax.Array
    params: Any
    ema: Any
    opt_state: optax.OptState
    key: jax.Array
    skipped: jax.Array
    skipped_in_row: jax.Array
    model: SwinIR = flax.struct.field(pytree_node=False)
    optimizer: optax.GradientTransformation = flax.struct.field(pytree_node=False)
    schedule: optax.Schedule = flax.struct.field(pytree_node=False)
    loss: Loss = flax.struct.field(pytree_node=False)
    ema_decay: float = flax.struct.field(pytree_node=False)
    accumulate: int = flax.struct.field(pytree_node=False)


def create_state(experiment: Experiment, params: Mapping[str, Any] | None = None) -> TrainState:
    """Creates the state before the first step, equal in all processes.

    Args:
      experiment: settings of the run.
      params: initial parameters, float32; None for random ones by the seed of the experiment.

    Returns:
      A state on the default device; states of equal experiments have the same tree structure.
    """
    model = SwinIR(experiment.network, dtype=jnp.dtype(experiment.dtype).type)
    optimizer, schedule = make_optimizer(experiment.optimizer, experiment.steps)
    init_key, step_key = jax.random.split(jax.random.key(experiment.seed))
    if params is None:
        params = init_params(model, init_key)
    params = jax.tree.map(jnp.array, dict(params))
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        ema=jax.tree.map(jnp.copy, params),  # a copy, because a step overwrites both buffers
        opt_state=optimizer.init(params),
        key=step_key,
        skipped=jnp.zeros((), jnp.int32),
        skipped_in_row=jnp.zeros((), jnp.int32),
        model=model,
        optimizer=optimizer,
        schedule=schedule,
        loss=make_loss(experiment.loss),
        ema_decay=experiment.ema_decay,
        accumulate=experiment.optimizer.accumulate,
    )


def init_params(model: SwinIR, key: jax.Array) -> Any:
    """Draws random float32 parameters with the distributions of the official code.

    Equal layers share small compiled programs; compiling the whole initialisation would take minutes.
    """
    c = model.config
    lq = jnp.zeros((1, *(c.img_sides if c.ape else (c.window_size, c.window_size)), c.in_chans))
    return model.init(key, lq)["params"]
