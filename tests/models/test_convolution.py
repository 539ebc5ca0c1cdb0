import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from swinir_jax.models.convolution import convolve, convolve_on_cpu, convolve_plainly


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_derivatives_in_every_mode_are_those_of_the_plain_convolution(size, dtype):
    rng = np.random.default_rng(0)
    x, x_dot = (jnp.asarray(rng.standard_normal((2, 5, 7, 3)), dtype) for _ in range(2))
    kernel, kernel_dot = (jnp.asarray(rng.standard_normal((size, size, 3, 4)), dtype) for _ in range(2))
    y_bar = jnp.asarray(rng.standard_normal((2, 5, 7, 4)), dtype)
    reference = (
        *jax.jvp(convolve_plainly, (x, kernel), (x_dot, kernel_dot)),
        *jax.vjp(convolve_plainly, x, kernel)[1](y_bar),
    )
    for path in (convolve_on_cpu, convolve):
        ours = (*jax.jvp(path, (x, kernel), (x_dot, kernel_dot)), *jax.vjp(path, x, kernel)[1](y_bar))
        for a, b in zip(ours, reference, strict=True):
            assert a.dtype == b.dtype
            a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
            # bfloat16 rounds each of the nine products before they are summed
            assert np.linalg.norm(a - b) <= (1e-6 if dtype == jnp.float32 else 1e-2) * np.linalg.norm(b)


def test_in_a_loop_all_convolutions_of_a_gradient_have_the_axes_that_the_library_of_a_cpu_takes():
    x, kernel = jnp.ones((2, 16, 16, 4)), jnp.ones((3, 3, 4, 4))

    def loss(kernel):
        return jnp.square(convolve(convolve(x, kernel), kernel)).sum()

    def loop(kernel):
        return jax.lax.fori_loop(0, 3, lambda _, kernel: kernel - jax.grad(loss)(kernel), kernel)

    program = jax.jit(loop).lower(kernel).compile().as_text()
    axes = re.findall(r" convolution\(.*dim_labels=([\w>-]+)", program)
    assert len(axes) == 5  # two of the image, and the gradients by the kernel in both and by the first one's result
    assert set(axes) == {"b01f_01io->b01f"}
