import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens import GOLDENS, generated_discriminator

from swinir_jax.models.discriminator import SPECTRAL, Discriminator, power_iteration

CASE = np.load(GOLDENS / "real_world" / "discriminator.npz")
SEED = int(CASE["seed"])
VARIABLES = generated_discriminator(json.loads(str(CASE["parameters"])), SEED)


def images(dtype=np.float32):
    return np.random.default_rng(SEED * 1000 + 1).random(CASE["input_shape"], dtype=np.float32).astype(dtype)


@functools.partial(jax.jit, static_argnums=0)
def judge(network, variables, images):
    """Returns the logits."""
    return network.apply(variables, images)


@jax.jit
def advanced(variables):
    """Returns the variables with better singular vectors."""
    return variables | {SPECTRAL: power_iteration(variables["params"], variables[SPECTRAL])}


@pytest.mark.as_shipped
@pytest.mark.parametrize("name", ["eval", "train"])
def test_answers_are_those_of_the_original(name):
    variables = advanced(VARIABLES) if name == "train" else VARIABLES
    answer = judge(Discriminator(int(CASE["ndf"])), variables, images())
    np.testing.assert_allclose(answer, CASE[name], rtol=1e-5, atol=1e-5 * np.abs(CASE[name]).max())
    if name == "train":
        for layer, vectors in variables[SPECTRAL].items():
            np.testing.assert_allclose(vectors["u"], CASE[f"after/{layer}.weight_u"], atol=1e-5)


def test_the_power_iteration_finds_the_largest_singular_value():
    network = Discriminator(4)
    variables = jax.jit(network.init)(jax.random.key(1), images())
    for _ in range(200):
        variables = advanced(variables)
    kernel = np.asarray(variables["params"]["conv5"]["kernel"]).reshape(-1, 8)
    vectors = variables[SPECTRAL]["conv5"]
    np.testing.assert_allclose(vectors["v"] @ kernel @ vectors["u"], np.linalg.norm(kernel, 2), rtol=1e-3)


def test_bfloat16_judges_nearly_alike_and_keeps_float32_logits():
    network = Discriminator(8)
    variables = jax.jit(network.init)(jax.random.key(0), images())
    exact, rough = (judge(Discriminator(8, dtype), variables, images()) for dtype in (jnp.float32, jnp.bfloat16))
    assert rough.dtype == jnp.float32
    assert 0 < np.abs(rough - exact).max() < 0.05 * np.abs(exact).max() + 0.05
