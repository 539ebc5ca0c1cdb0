"""Divergence of a training run: errors, and detection of ruined weights."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from swinir_jax.training.gradients import Batch
from swinir_jax.training.sharding import state_shardings
from swinir_jax.training.state import TrainState

# Far above any loss of images in [0, 1], at the start of training as well.
_RUIN = 1e6


class TrainingError(RuntimeError):
    """A run had to end early; the message is one line, and earlier checkpoints are kept."""


class DivergenceError(TrainingError):
    """The weights are ruined."""

    def __init__(self, sign: str):
        """Takes the sign of divergence, such as `No finite gradient in 3 steps`."""
        super().__init__(
            f"{sign}: a lower --optimizer.learning-rate or --optimizer.clip-norm may help. "
            "Earlier checkpoints are kept."
        )


def is_ruin(loss: float) -> bool:
    """Tells whether a mean loss of images in [0, 1] shows ruined weights; NaN does."""
    return not loss < _RUIN


class Probe:
    """Test of weights before they are saved: a training step on a copy of them.

    A step with a finite gradient can still ruin the weights, which only the next step shows.
    """

    def __init__(self, mesh: Mesh, state: TrainState, step: Callable[[TrainState, Batch], tuple[TrainState, Any]]):
        """Compiles the copying of a state.

        Args:
          mesh: mesh of the state.
          state: state with the shapes of those to test.
          step: compiled `train_step`, which overwrites the buffers of the state.
        """
        self._step = step
        self._copy = jax.jit(
            lambda state, params: jax.tree.map(jnp.copy, state.replace(params=params)),
            out_shardings=state_shardings(mesh, state),
        )

    def is_sound(self, state: TrainState, batch: Batch) -> bool:
        """Tells whether the weights and their moving average both have a sane loss and finite gradients."""
        return all(self._is_sane(self._copy(state, weights), batch) for weights in (state.params, state.ema))

    def _is_sane(self, state: TrainState, batch: Batch) -> bool:
        metrics: Mapping[str, jax.Array] = jax.device_get(self._step(state, batch)[1])
        return not is_ruin(float(metrics["loss"])) and all(np.isfinite(value) for value in metrics.values())
