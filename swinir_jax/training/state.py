"""All that a training run carries from step to step."""

import logging
from collections.abc import Mapping
from typing import Any

import flax
import jax
import jax.numpy as jnp
import optax

from swinir_jax.features import load_features
from swinir_jax.models import SwinIR
from swinir_jax.training.adversary import Adversary, create_adversary
from swinir_jax.training.experiment import Experiment, LossConfig
from swinir_jax.training.optimizer import make_optimizer

logger = logging.getLogger(__name__)


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
      adversary: discriminator; None to train without.
      features: constant weights of the perceptual loss's network; None without that loss.
      model: network with the dtype of the arithmetic.
      optimizer: update direction, from `make_optimizer`.
      schedule: learning rate as a function of the step, from `make_optimizer`.
      loss_config: the pixel loss and the perceptual loss.
      ema_decay: decay rate of the moving average.
      ema_warmup: whether the decay rate rises to `ema_decay` in the first updates.
      accumulate: number of micro-batches in a step.
    """

    step: jax.Array
    params: Any
    ema: Any
    opt_state: optax.OptState
    key: jax.Array
    skipped: jax.Array
    skipped_in_row: jax.Array
    adversary: Adversary | None
    features: Any
    model: SwinIR = flax.struct.field(pytree_node=False)
    optimizer: optax.GradientTransformation = flax.struct.field(pytree_node=False)
    schedule: optax.Schedule = flax.struct.field(pytree_node=False)
    loss_config: LossConfig = flax.struct.field(pytree_node=False)
    ema_decay: float = flax.struct.field(pytree_node=False)
    ema_warmup: bool = flax.struct.field(pytree_node=False)
    accumulate: int = flax.struct.field(pytree_node=False)

    def for_gradients(self) -> "TrainState":
        """Returns the state without the arrays that only an update needs, which devices may hold in parts."""
        adversary = self.adversary and self.adversary.replace(opt_state=None)
        needs_ema = self.adversary and self.adversary.config.artifacts
        return self.replace(opt_state=None, ema=self.ema if needs_ema else None, adversary=adversary)


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
    key = jax.random.key(experiment.seed)
    init_key, step_key = jax.random.split(key)
    if params is None:
        params = init_params(model, init_key)
    params = jax.tree.map(jnp.array, dict(params))
    adversary = None
    if experiment.gan.loss != "none":
        adversary = create_adversary(experiment.gan, experiment.steps, model.dtype, jax.random.fold_in(key, 1))
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        ema=jax.tree.map(jnp.copy, params),  # a copy, because a step overwrites both buffers
        opt_state=optimizer.init(params),
        key=step_key,
        skipped=jnp.zeros((), jnp.int32),
        skipped_in_row=jnp.zeros((), jnp.int32),
        adversary=adversary,
        features=perceptual_features(experiment.loss),
        model=model,
        optimizer=optimizer,
        schedule=schedule,
        loss_config=experiment.loss,
        ema_decay=experiment.ema_decay,
        ema_warmup=experiment.ema_warmup,
        accumulate=experiment.optimizer.accumulate,
    )


def perceptual_features(config: LossConfig) -> Any:
    """Loads the weights of the perceptual loss's network; None without that loss.

    Raises:
      InputError: if the weights are not found or are another network's.
    """
    if config.perceptual == "none":
        return None
    progress = logger.isEnabledFor(logging.INFO)
    return jax.tree.map(jnp.asarray, load_features(config.perceptual, config.weights_dir or None, progress=progress))


def init_params(model: SwinIR, key: jax.Array) -> Any:
    """Draws random float32 parameters with the distributions of the official code.

    Equal layers share small compiled programs; compiling the whole initialisation would take minutes.
    """
    lq = jnp.zeros((1, *model.config.example_sides, model.config.in_chans))
    return model.init(key, lq)["params"]
