"""JAX's transformations of `model.apply` against plain calls, for one group of windows and for more than one."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens import generated_weights
from jax.sharding import PartitionSpec as P

from swinir_jax import SwinIR, SwinIRConfig
from swinir_jax.checkpoints.names import official_shapes, params_from_official
from swinir_jax.models import groups

CONFIG = SwinIRConfig(
    upscale=2, upsampler="pixelshuffledirect", embed_dim=8, depths=(2, 2), num_heads=(2, 2), img_size=8, window_size=4
)
MODEL = SwinIR(CONFIG)
PARAMS = [params_from_official(generated_weights(official_shapes(CONFIG), seed), CONFIG) for seed in (1, 2, 3)]
FEW, MANY = (8, 12), (24, 28)  # 6 windows, and 42: two bands of 3 rows


def images(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})  # compiles faster


def apply(params, lq):
    return MODEL.apply({"params": params}, lq)


def loss(params, lq):
    return jnp.sum(jnp.sin(apply(params, lq)))


restore = jit(apply)
gradients = jit(jax.grad(loss, argnums=(0, 1)))


def assert_close(ours, plain, tolerance=2e-6):
    """To float32 rounding, beside the largest value of each array."""
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * float(np.abs(b).max()))


def stacked(trees):
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


@pytest.fixture
def everywhere_the_reference(monkeypatch):
    """Takes the branches of GPUs and TPUs here, too."""

    def other_platforms(*operands, default, **branches):
        return default(*operands)

    def use():
        monkeypatch.setattr(jax.lax, "platform_dependent", other_platforms)

    return use


def test_the_larger_images_have_more_windows_than_one_group():
    windows = [h * w // CONFIG.window_size**2 for h, w in (FEW, MANY)]
    assert windows[0] < groups._CPU_WINDOWS < windows[1]


def test_no_jit():
    lq = images(1, *FEW, 3)
    assert_close(apply(PARAMS[0], lq), restore(PARAMS[0], lq))


@pytest.mark.parametrize("size", [FEW, MANY])
def test_vmap_over_images(size):
    stack = images(3, 2, *size, 3)
    ours = jit(jax.vmap(apply, in_axes=(None, 0)))(PARAMS[0], stack)
    assert_close(ours, np.stack([restore(PARAMS[0], lq) for lq in stack]))


@pytest.mark.parametrize("size", [FEW, MANY])
def test_vmap_over_parameters(size):
    lq = images(1, *size, 3)
    ours = jit(jax.vmap(apply, in_axes=(0, None)))(stacked(PARAMS), lq)
    assert_close(ours, np.stack([restore(params, lq) for params in PARAMS]))


def test_scan_over_frames():
    frames = images(4, 1, *MANY, 3)

    def blend(before, lq):
        frame = apply(PARAMS[0], lq)
        mixed = 0.5 * before + 0.5 * frame
        return mixed, mixed

    first = jnp.zeros((1, 2 * MANY[0], 2 * MANY[1], 3))
    expected = [first]
    for lq in frames:
        expected.append(0.5 * expected[-1] + 0.5 * restore(PARAMS[0], lq))
    assert_close(jit(lambda: jax.lax.scan(blend, first, frames)[1])(), np.stack(expected[1:]))


@pytest.mark.parametrize("size", [FEW, MANY])
def test_gradients_of_parameters_and_image(size, everywhere_the_reference):
    lq = images(1, *size, 3)
    ours = gradients(PARAMS[0], lq)
    everywhere_the_reference()
    assert_close(ours, jit(jax.grad(lambda *arguments: loss(*arguments), argnums=(0, 1)))(PARAMS[0], lq), 1e-5)


def test_gradients_of_a_stack_of_images():
    stack = images(3, 1, *MANY, 3)
    ours = jit(jax.vmap(jax.grad(loss, argnums=1), in_axes=(None, 0)))(PARAMS[0], stack)
    assert_close(ours, np.stack([gradients(PARAMS[0], lq)[1] for lq in stack]), 1e-5)


def test_jvp_is_the_gradient_times_the_direction():
    lq, direction = images(1, *MANY, 3), images(1, *MANY, 3, seed=1) - 0.5
    gradient = gradients(PARAMS[0], lq)[1]
    _, slope = jit(lambda x, v: jax.jvp(lambda x: loss(PARAMS[0], x), (x,), (v,)))(lq, direction)
    scale = float(np.linalg.norm(gradient) * np.linalg.norm(direction))
    np.testing.assert_allclose(slope, np.vdot(gradient, direction), atol=1e-5 * scale)


def test_inside_shard_map():
    lq = images(1, *MANY, 3)
    mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))

    def answers(params, lq):
        total = jax.grad(lambda params: jax.lax.psum(loss(params, lq), "data"))(params)
        return apply(params, lq), total

    ours = jit(jax.shard_map(answers, mesh=mesh, in_specs=(P(), P("data")), out_specs=(P("data"), P())))
    assert_close(ours(PARAMS[0], lq), (restore(PARAMS[0], lq), gradients(PARAMS[0], lq)[0]), 1e-5)
