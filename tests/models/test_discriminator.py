import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens import GOLDENS, generated_discriminator

from swinir_jax.models.discriminator import SPECTRAL, Discriminator

CASE = np.load(GOLDENS / "real_world" / "discriminator.npz")
SEED = int(CASE["seed"])
VARIABLES = generated_discriminator(json.loads(str(CASE["parameters"])), SEED)


def images(dtype=np.float32):
    return np.random.default_rng(SEED * 1000 + 1).random(CASE["input_shape"], dtype=np.float32).astype(dtype)


@functools.partial(jax.jit, static_argnums=(0, 3))
def judge(network, variables, images, train=False):
    """Returns the logits and the singular vectors."""
    logits, state = network.apply(variables, images, train, mutable=[SPECTRAL])
    return logits, state.get(SPECTRAL, {})


@pytest.mark.as_shipped
@pytest.mark.parametrize("name", ["eval", "train"])
def test_answers_are_those_of_the_original(name):
    answer, spectral = judge(Discriminator(int(CASE["ndf"])), VARIABLES, images(), name == "train")
    np.testing.assert_allclose(answer, CASE[name], rtol=1e-5, atol=1e-5 * np.abs(CASE[name]).max())
    for layer in spectral:
        if name == "train":
            np.testing.assert_allclose(spectral[layer]["u"], CASE[f"after/{layer}.weight_u"], atol=1e-5)


def test_only_training_moves_the_singular_vectors():
    network = Discriminator(4)
    start = jax.jit(network.init)(jax.random.key(0), images())
    still, moved = (judge(network, start, images(), train)[1] for train in (False, True))
    same = jax.tree.map(np.array_equal, start[SPECTRAL], still)
    assert all(jax.tree.leaves(same))
    changed = jax.tree.map(lambda a, b: not np.array_equal(a, b), start[SPECTRAL], moved)
    assert all(jax.tree.leaves(changed))


def test_the_power_iteration_finds_the_largest_singular_value():
    network = Discriminator(4)
    variables = jax.jit(network.init)(jax.random.key(1), images())
    for _ in range(200):
        variables = {**variables, SPECTRAL: judge(network, variables, images(), True)[1]}
    kernel = np.asarray(variables["params"]["conv5"]["kernel"]).reshape(-1, 8)
    vectors = variables[SPECTRAL]["conv5"]
    np.testing.assert_allclose(vectors["v"] @ kernel @ vectors["u"], np.linalg.norm(kernel, 2), rtol=1e-3)


def test_bfloat16_judges_nearly_alike_and_keeps_float32_logits():
    network = Discriminator(8)
    variables = jax.jit(network.init)(jax.random.key(0), images())
    exact, rough = (judge(Discriminator(8, dtype), variables, images())[0] for dtype in (jnp.float32, jnp.bfloat16))
    assert rough.dtype == jnp.float32
    assert 0 < np.abs(rough - exact).max() < 0.05 * np.abs(exact).max() + 0.05
