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


@pytest.mark.parametrize("name", ["eval", "train"])
def test_answers_are_those_of_the_original(name):
    network = Discriminator(int(CASE["ndf"]))
    answer, state = network.apply(VARIABLES, images(), name == "train", mutable=[SPECTRAL])
    np.testing.assert_allclose(answer, CASE[name], rtol=1e-5, atol=1e-5 * np.abs(CASE[name]).max())
    for layer in state.get(SPECTRAL, {}):
        if name == "train":
            np.testing.assert_allclose(state[SPECTRAL][layer]["u"], CASE[f"after/{layer}.weight_u"], atol=1e-5)


def test_only_training_moves_the_singular_vectors():
    network = Discriminator(4)
    start = jax.jit(network.init)(jax.random.key(0), images())
    still = network.apply(start, images(), mutable=[SPECTRAL])[1]
    moved = network.apply(start, images(), True, mutable=[SPECTRAL])[1]
    same = jax.tree.map(lambda a, b: bool((a == b).all()), start[SPECTRAL], still[SPECTRAL])
    assert all(jax.tree.leaves(same))
    changed = jax.tree.map(lambda a, b: bool((a != b).any()), start[SPECTRAL], moved[SPECTRAL])
    assert all(jax.tree.leaves(changed))


def test_the_power_iteration_finds_the_largest_singular_value():
    network, state = Discriminator(4), None
    variables = jax.jit(network.init)(jax.random.key(1), images())
    for _ in range(200):
        _, state = network.apply(variables, images(), True, mutable=[SPECTRAL])
        variables = {"params": variables["params"], **state}
    kernel = variables["params"]["conv5"]["kernel"].reshape(-1, 8)
    vectors = variables[SPECTRAL]["conv5"]
    np.testing.assert_allclose(vectors["v"] @ kernel @ vectors["u"], np.linalg.norm(kernel, 2), rtol=1e-3)


def test_bfloat16_judges_nearly_alike_and_keeps_float32_logits():
    network = Discriminator(8)
    variables = jax.jit(network.init)(jax.random.key(0), images())
    exact, rough = (Discriminator(8, dtype).apply(variables, images()) for dtype in (jnp.float32, jnp.bfloat16))
    assert rough.dtype == jnp.float32
    assert 0 < np.abs(rough - exact).max() < 0.05 * np.abs(exact).max() + 0.05
