import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from swinir_jax.cpu import layers
from swinir_jax.models.windows import shift_mask, shift_regions

HEADS, N, D = 3, 64, 5


def operands(masked=True):
    rng = np.random.default_rng(0)
    qkv = jnp.asarray(rng.standard_normal((6, N, 3 * HEADS * D)), jnp.float32)
    regions = shift_regions(24, 16, 8, 4).reshape(6, N) if masked else None
    return jnp.asarray(rng.standard_normal((HEADS, N, N)), jnp.float32), qkv, regions


def layer_weights(position):
    c, rng = HEADS * D, np.random.default_rng(1)

    def linear(inner, outer):
        kernel = jnp.asarray(rng.standard_normal((inner, outer)) / np.sqrt(inner), jnp.float32)
        return {"kernel": kernel, "bias": jnp.asarray(rng.standard_normal(outer), jnp.float32)}

    w = {"qkv": linear(c, 3 * c), "proj": linear(c, c), "fc1": linear(c, 2 * c), "fc2": linear(2 * c, c)}
    return w | {"position_bias": position}


def textbook(position, qkv, regions):
    q, k, v = jnp.moveaxis(qkv.reshape(6, N, 3, HEADS, D), 2, 0)
    mask = 0 if regions is None else shift_mask(regions)[:, None]
    scores = jnp.einsum("wqhd,wkhd->whqk", q, k) + position.swapaxes(1, 2)[None] + mask
    return jnp.einsum("whqk,wkhd->wqhd", jax.nn.softmax(scores), v).reshape(6, N, HEADS * D)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_attention_and_gradients_are_those_of_the_textbook(masked, training):
    position, qkv, regions = operands(masked)
    attend = functools.partial(layers.attention, training=training)
    np.testing.assert_allclose(attend(position, qkv, regions), textbook(position, qkv, regions), atol=3e-6)

    def gradients(path):
        return jax.grad(lambda *x: jnp.sum(jnp.sin(path(*x, regions))), argnums=(0, 1))(position, qkv)

    for ours, theirs in zip(gradients(attend), gradients(textbook), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * float(jnp.abs(theirs).max()))


@pytest.mark.parametrize("mean", [0, 10, 1000])
def test_a_mean_far_above_the_deviation_costs_bfloat16_no_digits(mean):
    rng = np.random.default_rng(0)
    x = mean + rng.standard_normal((N, 60))
    kernel = rng.standard_normal((60, 90)) / np.sqrt(60)
    w = {"kernel": kernel - kernel.mean(axis=0), "bias": np.zeros(90)}
    expected = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True) @ kernel
    w, x = jax.tree.map(jnp.float32, (w, x))
    got = layers.linear_of_normalised(w, x, jnp.bfloat16)
    assert np.linalg.norm(got - expected) < 0.005 * np.linalg.norm(expected)


def test_in_bfloat16_the_linear_layers_alone_multiply_in_it():
    position, qkv, regions = operands()
    run = functools.partial(layers.on_windows, layers.swin_branches, dtype=jnp.bfloat16, training=False)
    traced = jax.make_jaxpr(run)(layer_weights(position), qkv[..., : HEADS * D], regions, None)
    lines = [line for line in str(traced).splitlines() if "bf16" in line]
    assert len(lines) == 8  # two factors of each of four layers
    assert all("convert_element_type" in line for line in lines)


# One band; a prime number of rows, so a band per row; bands of one row, of two, of more than a group; a batch.
@pytest.mark.parametrize(
    ("size", "shift"),
    [
        *((size, 4) for size in [(1, 24, 32), (1, 104, 24), (1, 40, 104), (1, 32, 96), (1, 24, 296), (2, 24, 96)]),
        ((1, 32, 96), 0),
    ],
)
def test_bands_and_groups_of_windows_equal_all_at_once_in_values_and_gradients(size, shift, monkeypatch):
    (batch, height, width), c = size, HEADS * D
    monkeypatch.setattr(layers, "GROUP_BYTES", 24 * 64 * c * 4)
    rng = np.random.default_rng(0)
    w = layer_weights(operands()[0])
    w["keep"] = jnp.asarray(2 * rng.random((batch, 2)), jnp.float32)
    x = jnp.asarray(rng.standard_normal((batch, height, width, c)), jnp.float32)
    regions = shift_regions(height, width, 8, shift) if shift else None

    def run(training, w, x):
        return layers.window_layer(layers.swin_branches, w, x, 8, shift, regions, jnp.float32, training)

    def gradients(training):
        return jax.jit(jax.grad(lambda w, x: jnp.sum(jnp.sin(run(training, w, x))), (0, 1)))(w, x)

    by_bands, slopes = jax.jit(functools.partial(run, False))(w, x), [gradients(False), gradients(True)]
    monkeypatch.setattr(layers, "GROUP_BYTES", 1 << 40)  # all at once
    monkeypatch.setattr(layers, "TRAINING_GROUP", 1 << 20)
    expected, expected_slopes = jax.jit(functools.partial(run, True))(w, x), gradients(True)

    def close(ours, theirs):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * float(jnp.abs(theirs).max()))

    close(by_bands, expected)
    for ours in slopes:
        jax.tree.map(close, ours, expected_slopes)
