"""Ten steps of the original implementation in PyTorch and float64, repeated."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens import DATA, generated_weights, relative_error
from training_runs import EXPERIMENT

from swinir_jax.checkpoints.names import params_from_official, params_to_official
from swinir_jax.config import SwinIRConfig
from swinir_jax.training.experiment import OptimizerConfig
from swinir_jax.training.state import create_state
from swinir_jax.training.step import train_step

CASE = np.load(DATA / "training_trajectory.npz")
CONFIG = SwinIRConfig.from_dict(json.loads(str(CASE["config"])))
SEED, STEPS, BATCH_SIZE = (int(CASE[name]) for name in ("seed", "steps", "batch_size"))


def start(dtype):
    experiment = dataclasses.replace(
        EXPERIMENT,
        network=CONFIG,
        optimizer=OptimizerConfig(schedule="constant", learning_rate=float(CASE["learning_rate"])),
        ema_decay=float(CASE["ema_decay"]),
        ema_warmup=False,
        steps=STEPS,
        batch_size=BATCH_SIZE,
    )
    weights = params_from_official(generated_weights(json.loads(str(CASE["parameters"])), SEED), CONFIG)
    state = create_state(experiment, weights)
    if dtype == jnp.float32:
        return state
    params = jax.tree.map(lambda leaf: leaf.astype(dtype), state.params)
    ema = jax.tree.map(jnp.copy, params)
    model = state.model.clone(dtype=dtype)
    return state.replace(params=params, ema=ema, opt_state=state.optimizer.init(params), model=model)


def batch_of(step, dtype):
    def images(seed, side):
        rng = np.random.default_rng(SEED * 1000 + seed + step)
        return rng.random((BATCH_SIZE, side, side, 3), dtype=np.float32).astype(dtype)

    return {"lq": images(2000, 16), "hq": images(3000, 16 * CONFIG.upscale)}


def official(tree):
    return params_to_official(jax.tree.map(np.asarray, tree), CONFIG)


SHIPPED = pytest.param(jnp.float32, 1e-5, 1e-6, marks=pytest.mark.as_shipped)


@pytest.mark.parametrize(("dtype", "tolerance", "stored"), [SHIPPED, (jnp.float64, 1e-9, 1e-7)])
def test_the_original_trajectory(dtype, tolerance, stored):
    """`stored` has the weights, in float32."""
    with jax.enable_x64(dtype == jnp.float64):
        state = start(dtype)
        step, losses = jax.jit(train_step, donate_argnums=0), []
        for t in range(STEPS):
            state, metrics = step(state, batch_of(t, dtype))
            losses.append(float(metrics["loss"]))
            if t == 0:  # Adam's first moment is then 0.1 times the gradient
                gradient = official(jax.tree.map(lambda leaf: leaf / 0.1, state.opt_state[0].mu))
        np.testing.assert_allclose(losses, CASE["losses"], rtol=tolerance)
        norms = [np.linalg.norm(gradient[name]) for name in CASE["first_step_grad_norm_keys"]]
        np.testing.assert_allclose(norms, CASE["first_step_grad_norms"], rtol=tolerance)
        compared = 0
        for prefix, tree in (("param/", official(state.params)), ("ema/", official(state.ema))):
            for name in (name for name in CASE if name.startswith(prefix)):
                assert relative_error(tree[name.removeprefix(prefix)], CASE[name]) < stored, name
                compared += 1
        assert compared == 12
