import dataclasses
from importlib.metadata import version

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from feature_weights import generated_params

from swinir_jax import InputError
from swinir_jax.features import FEATURE_NETWORKS, perceptual_distance, perceptual_loss, perceptual_losses

A, B = np.random.default_rng(1).random((2, 2, 20, 28, 3), dtype=np.float32)


@pytest.fixture
def plain(monkeypatch):
    """The name of a network whose features are the pixels, and sums over 2x2 pixels."""

    def features(params, image, dtype=jnp.float32):
        return image, jax.lax.reduce_window(image, 0.0, jax.lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    lite = FEATURE_NETWORKS["efficientnet_lite0"]
    network = dataclasses.replace(lite, name="plain", apply=features, weights=(0.5, 2.0))
    monkeypatch.setitem(FEATURE_NETWORKS, "plain", network)
    return "plain"


def sums(image):
    return image.reshape(2, 10, 2, 14, 2, 3).sum((2, 4))


def test_the_losses_are_weighted_and_summed(plain):
    expected = [0.5 * np.abs(A - B).mean(), 2 * np.abs(sums(A) - sums(B)).mean()]
    np.testing.assert_allclose(perceptual_losses(plain, {}, A, B), expected, rtol=1e-6)
    np.testing.assert_allclose(perceptual_loss(plain, {}, A, B), sum(expected), rtol=1e-6)


def test_the_distance_is_that_of_unit_vectors(plain):
    expected = 0.0
    for x, y in ((A, B), (sums(A), sums(B))):
        cosines = np.sum(x * y, -1) / np.linalg.norm(x, axis=-1) / np.linalg.norm(y, axis=-1)
        expected += np.mean(2 - 2 * cosines)
    np.testing.assert_allclose(perceptual_distance(plain, {}, A, B), expected, rtol=1e-5)
    assert perceptual_distance(plain, {}, A, A) == 0


def test_features_of_length_0_have_a_finite_gradient(plain):
    gradient = jax.jit(jax.grad(lambda image: perceptual_distance(plain, {}, image, B)))(jnp.zeros_like(A))
    assert np.all(np.isfinite(gradient))


def test_a_key_cuts_both_images_alike_at_every_phase(plain):
    places = [(slice(None), slice(y, y + 17), slice(x, x + 25)) for y in range(4) for x in range(4)]
    expected = [perceptual_loss(plain, {}, A[place], B[place]) for place in places]
    keys = jax.random.split(jax.random.key(0), 200)
    found = jax.jit(jax.vmap(lambda key: perceptual_loss(plain, {}, A, B, key)))(keys)
    nearest = np.abs(np.asarray(found)[:, None] - np.asarray(expected)).argmin(1)
    np.testing.assert_allclose(found, np.asarray(expected)[nearest], rtol=1e-6)
    assert {*nearest.tolist()} == {*range(16)}


def test_a_key_changes_nothing_without_strided_layers(plain, monkeypatch):
    monkeypatch.setitem(FEATURE_NETWORKS, plain, dataclasses.replace(FEATURE_NETWORKS[plain], phases=1))
    assert perceptual_loss(plain, {}, A, B, jax.random.key(3)) == perceptual_loss(plain, {}, A, B)


@pytest.mark.xfail(
    version("jaxlib").startswith("0.12."),
    reason="XLA's new fusions for CPUs make NaN; passes with XLA_FLAGS=--xla_cpu_experimental_ynn_fusion_type=",
    strict=True,
)
def test_bfloat16_rounds_the_products_alone():
    params = generated_params("vgg16_hed", 1)
    loss = jax.jit(perceptual_loss, static_argnums=0, static_argnames="dtype")
    rounded = loss("vgg16_hed", params, A, B, dtype=jnp.bfloat16)
    assert rounded.dtype == jnp.float32
    np.testing.assert_allclose(rounded, loss("vgg16_hed", params, A, B), rtol=0.02)


@pytest.mark.parametrize("function", [perceptual_loss, perceptual_distance])
def test_images_too_small_for_the_features_are_refused(function):
    image = jnp.zeros((1, 40, 15, 3))
    with pytest.raises(InputError, match=r"vgg19 compares images of at least 16x16 pixels, got 40x15\."):
        function("vgg19", {}, image, image)


@pytest.mark.parametrize(
    ("a", "b"), [((2, 32, 32, 3), (1, 32, 32, 3)), ((1, 32, 32, 1), (1, 32, 32, 1)), ((32, 32, 3), (32, 32, 3))]
)
def test_other_shapes_are_refused(a, b):
    with pytest.raises(InputError, match=r"are \[B, H, W, 3\] of one shape, got"):
        perceptual_distance("vgg19", {}, jnp.zeros(a), jnp.zeros(b))


@pytest.mark.parametrize("name", FEATURE_NETWORKS)
def test_the_least_side_is_enough_for_all_features(name):
    network = FEATURE_NETWORKS[name]
    side = network.least_side - network.phases + 1
    params = network.convert({key: np.zeros(shape, np.float32) for key, shape in network.shapes.items()})
    features = jax.eval_shape(network.apply, params, jnp.zeros((1, side, side, 3)))
    assert all(feature.size for feature in features)
    assert len(features) == len(network.weights)


def test_unknown_networks_are_refused_with_the_known_names():
    with pytest.raises(InputError, match="vgg: no feature network; take one of vgg19, vgg16_hed, efficientnet_lite0"):
        perceptual_distance("vgg", {}, A, B)
