import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from swinir_jax.models.loops import in_turn, one_by_one, scan, with_derivative_of


def step(x, part, shared):
    return jnp.tanh(x @ part["kernel"] + part["bias"] * shared)


def operands(parts):
    rng = np.random.default_rng(0)
    made = [{"kernel": rng.standard_normal((4, 4)), "bias": rng.standard_normal(4)} for _ in range(parts)]
    return jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), (rng.standard_normal((3, 4)), made, 0.5))


def close(ours, theirs):
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.fixture(params=["cpu", "others"])
def platform(request, monkeypatch):
    if request.param == "others":
        monkeypatch.setattr(jax.lax, "platform_dependent", lambda *operands, default, **_: default(*operands))


@pytest.mark.usefixtures("platform")
@pytest.mark.parametrize("parts", [1, 3])
def test_all_loops_are_the_same_in_values_and_derivatives(parts):
    given, plain = operands(parts), functools.partial(one_by_one, step)
    x, made, shared = given

    def slope(loop):  # forward over reverse, of all operands
        gradient = jax.grad(lambda *given: jnp.sum(loop(*given) ** 2), argnums=(0, 1, 2))
        return jax.jit(lambda *given: jax.jvp(gradient, given, given))(*given)

    for loop in (
        functools.partial(scan, step),
        functools.partial(in_turn, step),
        with_derivative_of(plain, functools.partial(in_turn, step)),
    ):
        close(jax.jit(loop)(*given), plain(*given))
        jax.tree.map(close, slope(loop), slope(plain))
        images = jnp.stack([x, 2 * x])
        close(jax.vmap(lambda x, loop=loop: loop(x, made, shared))(images), plain(images, made, shared))


def test_what_stands_still_has_no_derivative_computed():
    given, loop = operands(3), with_derivative_of(
        functools.partial(one_by_one, step), functools.partial(in_turn, step)
    )  # fmt: skip

    def products(argnums):
        gradient = jax.grad(lambda *given: jnp.sum(loop(*given)), argnums=argnums)
        return str(jax.make_jaxpr(gradient)(*given)).count("dot_general")

    assert products(0) < products((0, 1))
