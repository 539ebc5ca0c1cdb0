import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens import TINY, generated_weights

from swinir_jax import SwinIR
from swinir_jax.checkpoints.names import official_shapes, params_from_official
from swinir_jax.models import strips, swinir
from swinir_jax.models.convolution import convolve_plainly
from swinir_jax.models.reconstruction import pixel_shuffle

W = 6


@pytest.fixture
def low_strips(monkeypatch):
    monkeypatch.setattr(strips, "_LEAST_ROWS", 1)


@pytest.mark.parametrize("height", [8, 9, 12, 14, 21])  # none, and strips that end with the image or do not
def test_values_and_gradients_are_those_of_the_whole(low_strips, height):
    rng = np.random.default_rng(height)
    x = tuple(jnp.asarray(rng.standard_normal((2, height, W, c)), jnp.float32) for c in (3, 1))
    first, second = (jnp.asarray(rng.standard_normal((3, 3, 3, c)), jnp.float32) for c in (12, 2))
    heights = []

    def f(x):
        features, image = x
        heights.append(features.shape[1])
        y = convolve_plainly(pixel_shuffle(convolve_plainly(features + image, first), 2), second)
        return y + jnp.repeat(jnp.repeat(image, 2, axis=1), 2, axis=2)

    def in_strips(x):
        return strips.in_strips(f, x, reach=2, pixels=4 * W)

    y, pullback = jax.vjp(f, x)
    heights.clear()
    ours, our_pullback = jax.vjp(in_strips, x)
    assert set(heights) == {8}
    np.testing.assert_allclose(ours, y, rtol=1e-5, atol=1e-5)
    cotangent = jnp.asarray(rng.standard_normal(y.shape), jnp.float32)
    for a, b in zip(our_pullback(cotangent)[0], pullback(cotangent)[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-4)


def test_what_the_first_value_holds_does_not_show(low_strips):
    x = jnp.ones((1, 20, W, 1)).at[0, 0, 0, 0].set(jnp.nan)
    kernel = jnp.ones((3, 3, 1, 1))
    y = strips.in_strips(lambda x: convolve_plainly(x, kernel), x, reach=1, pixels=4 * W)
    np.testing.assert_array_equal(y, convolve_plainly(x, kernel))
    assert jnp.isnan(y).sum() == 4


@pytest.mark.parametrize(
    ("upsampler", "upscale"),
    [
        ("", 1),
        ("pixelshuffledirect", 2),
        ("pixelshuffledirect", 4),
        ("pixelshuffle", 2),
        ("pixelshuffle", 3),
        ("pixelshuffle", 8),
        ("nearest+conv", 2),
        ("nearest+conv", 4),
    ],
)
def test_each_reconstruction_reaches_no_further_than_a_strip(monkeypatch, upsampler, upscale):
    config = dataclasses.replace(TINY, upsampler=upsampler, upscale=upscale, depths=(2,), num_heads=(2,))
    params = params_from_official(generated_weights(official_shapes(config), 1), config)
    lq = jnp.asarray(np.random.default_rng(0).random((1, 40, 2 * config.window_size, 3)), jnp.float32)
    model = SwinIR(config)
    whole = model.apply({"params": params}, lq)
    monkeypatch.setattr(swinir, "STRIP_PIXELS", 1)
    monkeypatch.setattr(strips, "_LEAST_ROWS", 5)
    by_strips = model.apply({"params": params}, lq)
    np.testing.assert_allclose(by_strips, whole, atol=1e-6 * float(jnp.abs(whole).max()))
