"""Checkpoints of a run that was never trained, for the tests of saving and of reading runs."""

import contextlib
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from training_runs import EXPERIMENT, first_state

from swinir_jax.training.checkpoint import Checkpoints
from swinir_jax.training.experiment import CheckpointConfig
from swinir_jax.training.sharding import abstract_state, make_mesh

# Orbax never awaits the other parts of a save or a read that fails.
OF_FAILING_READS = [
    pytest.mark.usefixtures("collected"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
]


@functools.cache
def untrained():
    return first_state(EXPERIMENT)


def state_at(step):
    """A state with other values for each step, in place of training."""
    state = untrained()
    moved = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf) + step), (state.params, state.opt_state))
    return state.replace(step=jnp.int32(step), params=moved[0], opt_state=moved[1])


@contextlib.contextmanager
def opened(workdir, **config):
    with contextlib.closing(Checkpoints(workdir, CheckpointConfig(**config))) as checkpoints:
        yield checkpoints


def restored(checkpoints):
    return checkpoints.restore(abstract_state(make_mesh(), untrained()))


def steps_in(workdir):
    return sorted(int(path.name) for path in (workdir / "checkpoints").iterdir() if path.name.isdigit())
