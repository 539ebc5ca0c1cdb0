import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from training_runs import EXPERIMENT, STILL, assert_same_bits, batch_of, first_state

from swinir_jax.training.experiment import OptimizerConfig
from swinir_jax.training.gradients import losses_and_gradients
from swinir_jax.training.state import create_state
from swinir_jax.training.step import train_step

STEP, GRADIENTS = jax.jit(train_step), jax.jit(losses_and_gradients)
HALVED_AFTER = 10  # of 20 steps
CHANGED = ("params", "ema", "opt_state")


def parts(state):
    return tuple(getattr(state, name) for name in CHANGED)


def loss_and_gradient(state):
    metrics, gradients = GRADIENTS(state, batch_of(0))
    return metrics["loss"], gradients.generator


def kernel(tree):
    return np.asarray(tree["conv_first"]["kernel"])


def test_states_of_equal_experiments_share_one_compiled_step():
    one, two = first_state(), first_state(dataclasses.replace(STILL))
    assert jax.tree.structure(one) == jax.tree.structure(two)
    assert_same_bits(parts(one), parts(two))


def test_another_seed_draws_other_weights():
    one, two = (create_state(dataclasses.replace(STILL, seed=seed)) for seed in (0, 1))
    assert not np.array_equal(kernel(one.params), kernel(two.params))


def test_a_step_moves_against_the_gradient_and_averages():
    state = first_state()
    after, metrics = STEP(state, batch_of(0))
    loss, gradient = loss_and_gradient(state)
    np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-5)
    np.testing.assert_allclose(metrics["grad_norm"], optax.tree.norm(gradient), rtol=1e-4)
    np.testing.assert_allclose(metrics["learning_rate"], 2e-4)
    # Adam's first step is the learning rate against the gradient's sign.
    np.testing.assert_allclose(kernel(after.params), kernel(state.params) - 2e-4 * np.sign(kernel(gradient)), atol=1e-6)
    np.testing.assert_allclose(kernel(after.ema), 0.1 * kernel(state.params) + 0.9 * kernel(after.params), rtol=1e-6)
    assert int(after.step) == 1


def test_twenty_steps_arrive_in_the_average():
    state = start = first_state()
    for step in range(20):
        state, _ = STEP(state, batch_of(step))
    moved, missing = (np.abs(kernel(tree) - kernel(state.ema)).max() for tree in (start.params, state.params))
    assert missing < moved / 4


@pytest.mark.parametrize(("updates", "weight"), [(5, 9 / 15), (100_000, 0.001)])
def test_the_average_rises_to_its_decay_with_the_updates_made(updates, weight):
    state = first_state()
    adam = state.opt_state[0]._replace(count=jnp.int32(updates))
    after, _ = STEP(state.replace(step=jnp.int32(0), opt_state=(adam, *state.opt_state[1:])), batch_of(0))
    average = (1 - weight) * kernel(state.params) + weight * kernel(after.params)
    np.testing.assert_allclose(kernel(after.ema), average, rtol=1e-6)


def test_without_warm_up_the_decay_is_constant():
    after, _ = STEP(start := first_state(dataclasses.replace(STILL, ema_warmup=False)), batch_of(0))
    average = 0.999 * kernel(start.params) + 0.001 * kernel(after.params)
    np.testing.assert_allclose(kernel(after.ema), average, rtol=1e-6)


def test_steps_without_a_finite_gradient_change_only_the_counters():
    state, _ = STEP(first_state(), batch_of(0))
    bad = batch_of(1)
    bad["hq"][0, 0, 0, 0] = np.nan
    skipped, metrics = STEP(state, bad)
    assert_same_bits(parts(skipped), parts(state))
    assert (int(skipped.step), int(skipped.skipped), int(skipped.skipped_in_row)) == (2, 1, 1)
    assert int(metrics["skipped_in_row"]) == 1
    assert not np.isfinite(metrics["loss"])
    skipped, _ = STEP(skipped, bad)
    assert (int(skipped.skipped), int(skipped.skipped_in_row)) == (2, 2)
    after, metrics = STEP(skipped, batch_of(1))
    assert (int(after.step), int(after.skipped), int(after.skipped_in_row)) == (4, 2, 0)
    assert int(metrics["skipped"]) == 2
    expected, _ = STEP(state, batch_of(1))
    assert_same_bits(parts(after), parts(expected))


def test_a_gradient_that_overflows_is_skipped_though_the_loss_is_finite():
    state = first_state()
    batch = {**batch_of(0), "lq": np.full((4, 8, 8, 3), 1e20, np.float32)}
    after, metrics = STEP(state, batch)
    assert np.isfinite(metrics["loss"])
    assert not np.isfinite(metrics["grad_norm"])
    assert_same_bits(parts(after), parts(state))


def test_the_learning_rate_follows_the_step_past_skipped_ones():
    state = first_state()
    bad = {name: np.full_like(images, np.inf) for name, images in batch_of(0).items()}
    rates = []
    for _ in range(HALVED_AFTER + 1):
        state, metrics = STEP(state, bad)
        rates.append(float(metrics["learning_rate"]))
    np.testing.assert_allclose(rates, [2e-4] * HALVED_AFTER + [1e-4])


def test_micro_batches_give_the_gradient_of_the_whole():
    whole = first_state()
    in_parts = first_state(dataclasses.replace(STILL, optimizer=OptimizerConfig(accumulate=2)))
    (loss, gradient), (loss_2, gradient_2) = map(loss_and_gradient, (whole, in_parts))
    np.testing.assert_allclose(loss_2, loss, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7), gradient_2, gradient)


def test_stochastic_depth_is_drawn_anew_each_step_and_the_same_again():
    network = dataclasses.replace(EXPERIMENT.network, drop_path_rate=0.9)
    state = first_state(dataclasses.replace(EXPERIMENT, network=network))
    losses = [float(STEP(state.replace(step=jnp.int32(step)), batch_of(0))[1]["loss"]) for step in (0, 1, 2, 3, 0)]
    assert len(set(losses[:4])) > 1
    assert losses[4] == losses[0]


def test_the_modules_give_the_same_gradient():
    by_modules = jax.jit(functools.partial(losses_and_gradients, fast=False))
    for experiment in (STILL, dataclasses.replace(STILL, optimizer=OptimizerConfig(accumulate=2))):
        state = first_state(experiment)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7),
            GRADIENTS(state, batch_of(0)),
            by_modules(state, batch_of(0)),
        )


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_gradient_needs_no_implicit_promotion(fast, dtype):
    state = first_state(dataclasses.replace(EXPERIMENT, dtype=dtype))
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        _, gradients = jax.eval_shape(functools.partial(losses_and_gradients, fast=fast), state, batch_of(0))
    assert {leaf.dtype for leaf in jax.tree.leaves(gradients)} == {jnp.dtype("float32")}


def test_recomputing_changes_no_gradient():
    network = dataclasses.replace(STILL.network, use_checkpoint=True)
    _, gradient = loss_and_gradient(first_state())
    _, again = loss_and_gradient(first_state(dataclasses.replace(STILL, network=network)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7), again, gradient)


def test_bfloat16_computes_but_keeps_float32_weights():
    state = first_state(dataclasses.replace(STILL, dtype="bfloat16"))
    after, metrics = STEP(state, batch_of(0))
    assert {leaf.dtype for leaf in jax.tree.leaves((after.params, after.ema))} == {jnp.dtype("float32")}
    assert metrics["loss"].dtype == jnp.float32
    _, exact = STEP(first_state(), batch_of(0))
    np.testing.assert_allclose(metrics["loss"], exact["loss"], rtol=1e-2)
    assert float(metrics["loss"]) != float(exact["loss"])
