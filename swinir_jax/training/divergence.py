"""Training that is past saving: the errors that end it, and how ruined weights are told from sound ones."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from swinir_jax.training.sharding import state_shardings
from swinir_jax.training.state import TrainState
from swinir_jax.training.step import Batch

# No loss of an image in [0, 1] comes near, neither at the start nor by bad luck.
_RUIN = 1e6


class TrainingError(RuntimeError):
    """A run had to end early; the message is one line, and what was saved before is kept."""


class DivergenceError(TrainingError):
    """The weights are ruined."""

    def __init__(self, sign: str):
        """Says by what it showed, such as `No finite gradient in 3 steps`."""
        super().__init__(
            f"{sign}: a lower --optimizer.learning-rate or --optimizer.clip-norm may help. "
            "What was saved before is kept."
        )


def is_ruin(loss: float) -> bool:
    """Whether a mean loss, of images in [0, 1], is that of a network that has lost what it had learnt."""
    return not loss < _RUIN  # NaN is none


class Probe:
    """Tries weights out before they are saved, by taking the next step on a copy of them.

    A step with a finite gradient may still lead too far, which only shows in the step after it.
    """

    def __init__(self, mesh: Mesh, state: TrainState, step: Callable[[TrainState, Batch], tuple[TrainState, Any]]):
        """Prepares the copy.

        Args:
          mesh: that the state lies on.
          state: one like those to be probed.
          step: `train_step`, compiled; it takes over the buffers of the state that it gets.
        """
        self._step = step
        self._copy = jax.jit(
            lambda state, params: jax.tree.map(jnp.copy, state.replace(params=params)),
            out_shardings=state_shardings(mesh, state),
        )

    def is_sound(self, state: TrainState, batch: Batch) -> bool:
        """Whether both the weights and their average give a loss and a gradient to learn from."""
        return all(self._answers(self._copy(state, weights), batch) for weights in (state.params, state.ema))

    def _answers(self, state: TrainState, batch: Batch) -> bool:
        metrics: Mapping[str, jax.Array] = jax.device_get(self._step(state, batch)[1])
        return not is_ruin(float(metrics["loss"])) and bool(jnp.isfinite(metrics["grad_norm"]))
