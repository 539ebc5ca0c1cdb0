import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens import TINY, params_of

from swinir_jax import SwinIR, cpu
from swinir_jax.cpu import convolution
from swinir_jax.cpu.convolution import convolve
from swinir_jax.models.precision import convolve as models_convolve
from swinir_jax.models.reconstruction import pixel_shuffle

W = 6


def plainly(x, kernel):
    y = jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"), precision="highest"
    )
    return y.astype(jnp.float32)


@pytest.fixture
def low_strips(monkeypatch):
    """Strips of four rows of images that are six pixels wide."""
    monkeypatch.setattr(convolution, "_LEAST_ROWS", 1)
    monkeypatch.setattr(convolution, "STRIP_PIXELS", 4 * W)


def in_steps_of_two(convolution):
    return lambda x, kernel: convolution(x, kernel, 2, ((1, 1), (1, 1)), x.dtype)


@pytest.mark.parametrize("pixels", [1024, 14])  # all rows in one product, and two in each
@pytest.mark.parametrize(
    ("path", "plain", "size"),
    [
        (convolve, plainly, 1),
        (convolve, plainly, 3),
        (in_steps_of_two(cpu.convolve_padded), in_steps_of_two(models_convolve), 4),
    ],
)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_derivatives_in_every_mode_are_those_of_the_plain_convolution(path, plain, size, dtype, pixels, monkeypatch):
    monkeypatch.setattr(convolution, "PRODUCT_PIXELS", pixels)
    rng = np.random.default_rng(0)
    x, x_dot = (jnp.asarray(rng.standard_normal((2, 6, 7, 3)), dtype) for _ in range(2))
    kernel, kernel_dot = (jnp.asarray(rng.standard_normal((size, size, 3, 4)), dtype) for _ in range(2))
    y = jax.eval_shape(plain, x, kernel)
    y_bar = jnp.asarray(rng.standard_normal(y.shape), y.dtype)
    ours, reference = (
        (*jax.jvp(f, (x, kernel), (x_dot, kernel_dot)), *jax.vjp(f, x, kernel)[1](y_bar)) for f in (path, plain)
    )
    for a, b in zip(ours, reference, strict=True):
        assert a.dtype == b.dtype
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        assert np.linalg.norm(a - b) <= (1e-6 if dtype == jnp.float32 else 1e-2) * np.linalg.norm(b)


def test_in_a_loop_all_convolutions_of_a_gradient_have_the_axes_of_the_fast_library():
    x, kernel = jnp.ones((2, 16, 16, 4)), jnp.ones((3, 3, 4, 4))

    def loss(kernel):
        return jnp.square(convolve(convolve(x, kernel), kernel)).sum()

    def loop(kernel):
        return jax.lax.fori_loop(0, 3, lambda _, kernel: kernel - jax.grad(loss)(kernel), kernel)

    program = jax.jit(loop).lower(kernel).compile().as_text()
    axes = re.findall(r" convolution\(.*dim_labels=([\w>-]+)", program)
    assert len(axes) == 3  # two forward, and the gradient by the result of the first; those by the kernel are products
    assert set(axes) == {"b01f_01io->b01f"}


@pytest.mark.usefixtures("low_strips")
@pytest.mark.parametrize("height", [8, 9, 12, 14, 21])  # none, and strips that end with the image or do not
def test_values_and_gradients_of_strips_are_those_of_the_whole(height):
    rng = np.random.default_rng(height)
    x = tuple(jnp.asarray(rng.standard_normal((2, height, W, c)), jnp.float32) for c in (3, 1))
    first, second = (jnp.asarray(rng.standard_normal((3, 3, 3, c)), jnp.float32) for c in (12, 2))
    heights = []

    def f(x):
        features, image = x
        heights.append(features.shape[1])
        y = plainly(pixel_shuffle(plainly(features + image, first), 2), second)
        return y + jnp.repeat(jnp.repeat(image, 2, axis=1), 2, axis=2)

    y, pullback = jax.vjp(f, x)
    heights.clear()
    ours, our_pullback = jax.vjp(lambda x: convolution.in_strips(f, x, reach=2), x)
    assert set(heights) == {8}
    np.testing.assert_allclose(ours, y, rtol=1e-5, atol=1e-5)
    cotangent = jnp.asarray(rng.standard_normal(y.shape), jnp.float32)
    for a, b in zip(our_pullback(cotangent)[0], pullback(cotangent)[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-4)


@pytest.mark.usefixtures("low_strips")
def test_the_first_value_does_not_show_in_the_result():
    x = jnp.ones((1, 20, W, 1)).at[0, 0, 0, 0].set(jnp.nan)
    kernel = jnp.ones((3, 3, 1, 1))
    y = convolution.in_strips(lambda x: plainly(x, kernel), x, reach=1)
    np.testing.assert_array_equal(y, plainly(x, kernel))
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
def test_reach_holds_for_each_reconstruction(monkeypatch, upsampler, upscale):
    config = dataclasses.replace(TINY, upsampler=upsampler, upscale=upscale, depths=(2,), num_heads=(2,))
    params = params_of(config)
    lq = jnp.asarray(np.random.default_rng(0).random((1, 40, 2 * config.window_size, 3)), jnp.float32)
    whole = jax.jit(SwinIR(config).apply)({"params": params}, lq)
    monkeypatch.setattr(convolution, "STRIP_PIXELS", 1)
    monkeypatch.setattr(convolution, "_LEAST_ROWS", 5)
    by_strips = jax.jit(lambda lq: cpu.restore(cpu.prepare(params, config), lq, config))(lq)
    np.testing.assert_allclose(by_strips, whole, atol=1e-6 * float(jnp.abs(whole).max()))
