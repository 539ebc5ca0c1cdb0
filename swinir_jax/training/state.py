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
    """What changes from step to step, and beside it the functions that change it.

    Attributes:
      step: int32, steps done, with the skipped ones.
      params: float32, as `model.init(...)["params"]`.
      ema: their moving average, of the same structure.
      opt_state: of `optimizer`.
      key: from which each step's random numbers follow; it never changes.
      skipped: int32, steps whose gradient was not finite.
      skipped_in_row: int32, of these, how many in a row were the last.
      model: the network; its dtype is the one that it computes in.
      optimizer: gives the direction, as from `make_optimizer`.
      schedule: gives its length.
      loss: `(restored, hq) -> scalar`.
      ema_decay: share of the average that a step keeps.
      accumulate: micro-batches that a step takes its batch in.
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
    """The state before the first step; the same in each process.

    Args:
      experiment: the run.
      params: to start from, float32; None to draw them by the experiment's seed.

    Returns:
      A state on the default device; two for equal experiments have the same tree structure.
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
        ema=jax.tree.map(jnp.copy, params),  # a buffer of its own: a step takes both over
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
    """Parameters drawn as the original draws them, float32.

    Not compiled as a whole: layers alike share one small program each, where one for all takes minutes.
    """
    c = model.config
    lq = jnp.zeros((1, *(c.img_sides if c.ape else (c.window_size, c.window_size)), c.in_chans))
    return model.init(key, lq)["params"]
