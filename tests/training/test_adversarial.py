"""What each step of adversarial training promises."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens import compiled
from training_runs import ADVERSARIAL, STILL, assert_same_bits, batch_of, first_state
from training_worker import run_workers, train

from swinir_jax import InputError
from swinir_jax.models.discriminator import SPECTRAL, power_iteration
from swinir_jax.training.adversary import create_adversary, discriminator_loss
from swinir_jax.training.artifacts import artifact_map
from swinir_jax.training.checks import check_experiment, check_resume
from swinir_jax.training.experiment import DiscriminatorOptimizerConfig, GanConfig, LossConfig, OptimizerConfig
from swinir_jax.training.gradients import losses_and_gradients
from swinir_jax.training.step import train_step

EXPERIMENT = dataclasses.replace(
    ADVERSARIAL,
    network=STILL.network,
    gan=dataclasses.replace(
        ADVERSARIAL.gan, warmup_steps=1, optimizer=DiscriminatorOptimizerConfig(learning_rate=1e-2)
    ),
)
STEP, GRADIENTS = jax.jit(train_step), jax.jit(losses_and_gradients, static_argnames="fast")
CHANGED = ("params", "ema", "opt_state", "adversary")


def changed(state):
    return tuple(getattr(state, name) for name in CHANGED)


def test_the_loss_is_the_sum_of_the_named_parts():
    _, metrics = STEP(first_state(EXPERIMENT), batch_of(0))
    parts = ("pixel", "adversarial", "feature_matching", "artifacts")
    assert all(float(metrics[name]) > 0 for name in parts)
    np.testing.assert_allclose(metrics["loss"], sum(metrics[name] for name in parts), rtol=1e-6)


def test_artifacts_weigh_the_error_and_features_are_those_of_all_layers_but_the_last():
    state, batch = first_state(EXPERIMENT), batch_of(0)
    state = state.replace(ema=jax.tree.map(lambda leaf: 0.9 * leaf, state.params))
    _, metrics = STEP(state, batch)
    restored, averaged = (compiled(state.model)({"params": tree}, batch["lq"]) for tree in (state.params, state.ema))
    weights = artifact_map(restored, averaged, batch["hq"])
    np.testing.assert_allclose(metrics["artifacts"], np.mean(weights * np.abs(restored - batch["hq"])), rtol=1e-4)

    adversary = state.adversary
    variables = {"params": adversary.params, SPECTRAL: power_iteration(adversary.params, adversary.spectral)}
    capture = jax.jit(functools.partial(adversary.network.apply, capture_intermediates=True, mutable="intermediates"))
    features, wanted = (capture(variables, image)[1]["intermediates"] for image in (restored, batch["hq"]))
    layers = [f"conv{number}" for number in range(9)]
    distances = [jnp.abs(features[name]["__call__"][0] - wanted[name]["__call__"][0]).mean() for name in layers]
    np.testing.assert_allclose(metrics["feature_matching"], np.mean(distances), rtol=1e-4)


def test_the_discriminator_learns_while_the_generator_waits():
    first, losses = first_state(EXPERIMENT), []
    state = first
    for _ in range(20):
        state, metrics = STEP(state.replace(step=jnp.int32(0)), batch_of(0))
        losses.append(float(metrics["real"] + metrics["fake"]))
    assert losses[-1] < 0.7 * losses[0]
    for name in ("params", "ema", "opt_state"):
        assert_same_bits(getattr(state, name), getattr(first, name))
    after, _ = STEP(state, batch_of(0))
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), after.params, first.params)
    assert all(jax.tree.leaves(moved))


def test_least_squares_has_the_labels_one_and_zero():
    adversary = create_adversary(GanConfig(loss="lsgan", features=2), 1, jnp.float32, jax.random.key(0))
    hq, restored = batch_of(0)["hq"], batch_of(1)["hq"]
    _, terms = discriminator_loss(adversary.params, adversary, restored, hq)
    variables = {"params": adversary.params, "spectral_norm": adversary.spectral}
    judge, logits = jax.jit(adversary.network.apply), []
    for image in (hq, hq, restored):  # the first pass stands for the generator's; each one advances the vectors
        variables |= {"spectral_norm": power_iteration(variables["params"], variables["spectral_norm"])}
        logits.append(judge(variables, image))
    np.testing.assert_allclose(terms["real"], np.mean((logits[1] - 1) ** 2), rtol=1e-5)
    np.testing.assert_allclose(terms["fake"], np.mean(logits[2] ** 2), rtol=1e-5)


def test_steps_without_a_finite_gradient_change_neither_network():
    state, _ = STEP(first_state(EXPERIMENT), batch_of(0))
    bad = batch_of(1)
    bad["hq"][0, 0, 0, 0] = np.nan
    skipped, _ = STEP(state, bad)
    assert_same_bits(changed(skipped), changed(state))
    assert (int(skipped.step), int(skipped.skipped)) == (2, 1)


def test_micro_batches_through_the_modules_give_the_gradients_of_the_whole():
    in_parts = dataclasses.replace(EXPERIMENT, optimizer=OptimizerConfig(accumulate=2))
    jax.tree.map(  # the absolute bound is for the gradients of real and restored images, which nearly cancel out
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-6),
        GRADIENTS(first_state(in_parts), batch_of(0), fast=False),
        GRADIENTS(first_state(EXPERIMENT), batch_of(0)),
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_gradients_need_no_implicit_promotion(dtype):
    state = first_state(dataclasses.replace(EXPERIMENT, dtype=dtype))
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        metrics, gradients = jax.eval_shape(losses_and_gradients, state, batch_of(0))
    assert {leaf.dtype for leaf in jax.tree.leaves((metrics, gradients))} == {jnp.dtype("float32")}


@pytest.fixture(scope="module")
def one_device(tmp_path_factory):
    """Losses of four steps, and their state."""
    return train(str(tmp_path_factory.mktemp("one")), 4, name="adversarial")


def test_four_devices_train_as_one(one_device, tmp_path):
    losses = run_workers({str(tmp_path): (4, 2, "adversarial")}, devices=4)
    np.testing.assert_allclose(losses[str(tmp_path)], one_device[0], rtol=1e-5)


def test_a_resumed_run_is_the_run_in_one_go_bit_for_bit(one_device, tmp_path):
    first, _ = train(str(tmp_path), 2, name="adversarial")
    second, state = train(str(tmp_path), 4, name="adversarial")
    assert first + second == one_device[0]
    assert_same_bits(changed(state), changed(one_device[1]))


def test_a_resumed_run_keeps_the_width_of_its_discriminator():
    wider = dataclasses.replace(ADVERSARIAL, gan=dataclasses.replace(ADVERSARIAL.gan, features=3))
    with pytest.raises(InputError, match=r"cannot change --gan.features from 2 to 3"):
        check_resume(ADVERSARIAL, wider)


def test_a_resumed_run_may_find_feature_weights_elsewhere():
    check_resume(ADVERSARIAL, dataclasses.replace(ADVERSARIAL, loss=LossConfig(weights_dir="elsewhere")))


def test_artefacts_are_where_the_average_is_better_and_the_error_varies():
    rng = np.random.default_rng(0)
    hq, restored, averaged = (rng.random((2, 12, 10, 3), dtype=np.float32) for _ in range(3))
    weights = np.asarray(artifact_map(restored, averaged, hq))
    for image in range(2):
        residual, other = (np.abs(hq - each)[image].sum(-1) for each in (restored, averaged))
        padded = np.pad(residual, 3, mode="reflect")
        windows = np.lib.stride_tricks.sliding_window_view(padded, (7, 7))
        expected = residual.var(ddof=1) ** 0.2 * windows.var(axis=(2, 3), ddof=1)
        expected[residual < other] = 0
        np.testing.assert_allclose(weights[image, ..., 0], expected, rtol=1e-4, atol=1e-6)
        assert 0.2 < np.mean(expected == 0) < 0.8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(data=dataclasses.replace(ADVERSARIAL.data, patch_size=9)), "--gan.loss gan needs HQ patches .* is 18"),
        (
            dict(loss=LossConfig(perceptual="efficientnet_lite0")),
            "--loss.perceptual efficientnet_lite0 needs HQ patches of at least 19 pixels, got 16",
        ),
    ],
)
def test_patches_that_do_not_fit_the_networks_of_the_losses(changes, message):
    with pytest.raises(InputError, match=message):
        check_experiment(dataclasses.replace(ADVERSARIAL, **changes))


def test_adversarial_training_from_random_weights_is_warned_of(caplog):
    check_experiment(ADVERSARIAL)
    assert "Adversarial training from random weights; --init-from names the run" in caplog.text
    caplog.clear()
    check_experiment(dataclasses.replace(ADVERSARIAL, init_from="run"))
    assert not caplog.text


def test_gray_images_are_refused():
    network = dataclasses.replace(STILL.network, in_chans=1, upscale=1, upsampler="")
    data = dataclasses.replace(ADVERSARIAL.data, degradation=dataclasses.replace(
        ADVERSARIAL.data.degradation, kind="noise", low=15, high=15))  # fmt: skip
    gray = dataclasses.replace(ADVERSARIAL, task="gray_dn", network=network, data=data,
                               validation=dataclasses.replace(ADVERSARIAL.validation, level=15))  # fmt: skip
    with pytest.raises(InputError, match=r"--gan.loss gan needs RGB images"):
        check_experiment(gray)


def test_options_of_the_discriminators_optimiser_are_named_in_full():
    with pytest.raises(InputError, match=r"--gan.optimizer.learning-rate must be above 0"):
        DiscriminatorOptimizerConfig(learning_rate=-1.0)
    with pytest.raises(InputError, match=r"--gan.optimizer.accumulate has no effect"):
        DiscriminatorOptimizerConfig(accumulate=2)
    with pytest.raises(InputError, match=r"--gan.weight must be at least 0"):
        GanConfig(weight=-1.0)
