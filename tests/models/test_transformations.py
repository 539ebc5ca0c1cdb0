"""JAX's transformations of `SwinIR` and of `swinir_jax.cpu`, compared with plain calls."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens import image, params_of
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from swinir_jax import SwinIR, SwinIRConfig, cpu
from swinir_jax.cpu import layers

CONFIG = SwinIRConfig(
    upscale=2, upsampler="pixelshuffledirect", embed_dim=8, depths=(2, 2), num_heads=(2, 2), img_size=8, window_size=4
)
MODEL = SwinIR(CONFIG)
PARAMS = [params_of(CONFIG, seed) for seed in (1, 2, 3)]
SIZE = (24, 28)  # 42 windows: on a CPU, two groups in training, else two bands of 3 rows


def by_modules(params, lq):
    return MODEL.apply({"params": params}, lq)


def on_cpu(params, lq):
    return cpu.restore(cpu.prepare(params, CONFIG), lq, CONFIG)


def on_cpu_in_training(params, lq):
    return cpu.restore(cpu.prepare(params, CONFIG, training=True), lq, CONFIG, training=True)


each_path = pytest.mark.parametrize("apply", [by_modules, on_cpu, on_cpu_in_training])


def loss(apply, params, lq):
    return jnp.sum(jnp.sin(apply(params, lq)))


restore = jax.jit(by_modules)
gradients = jax.jit(jax.grad(functools.partial(loss, by_modules), argnums=(0, 1)))


def assert_close(ours, plain, tolerance=2e-6):
    """Compares up to float32 rounding, relative to the largest value of each array."""
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * float(np.abs(b).max()))


def stacked(trees):
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


@pytest.fixture(autouse=True)
def small_groups(monkeypatch):
    monkeypatch.setattr(layers, "GROUP_BYTES", layers.TRAINING_GROUP * CONFIG.window_size**2 * CONFIG.embed_dim * 4)


def test_the_images_have_more_windows_than_a_cpu_takes_at_once():
    assert SIZE[0] * SIZE[1] // CONFIG.window_size**2 > layers.TRAINING_GROUP


@each_path
def test_no_jit(apply):
    lq = image(1, *SIZE, 3)
    assert_close(apply(PARAMS[0], lq), restore(PARAMS[0], lq))


@each_path
def test_vmap_over_images(apply):
    stack = image(3, 2, *SIZE, 3)
    ours = jax.jit(jax.vmap(apply, in_axes=(None, 0)))(PARAMS[0], stack)
    assert_close(ours, np.stack([restore(PARAMS[0], lq) for lq in stack]))


@each_path
def test_vmap_over_parameters(apply):
    lq = image(1, *SIZE, 3)
    ours = jax.jit(jax.vmap(apply, in_axes=(0, None)))(stacked(PARAMS), lq)
    assert_close(ours, np.stack([restore(params, lq) for params in PARAMS]))


@each_path
def test_scan_over_frames(apply):
    frames = image(4, 1, *SIZE, 3)

    def blend(before, lq):
        frame = apply(PARAMS[0], lq)
        mixed = 0.5 * before + 0.5 * frame
        return mixed, mixed

    first = jnp.zeros((1, 2 * SIZE[0], 2 * SIZE[1], 3))
    expected = [first]
    for lq in frames:
        expected.append(0.5 * expected[-1] + 0.5 * restore(PARAMS[0], lq))
    assert_close(jax.jit(lambda: jax.lax.scan(blend, first, frames)[1])(), np.stack(expected[1:]))


@pytest.mark.parametrize("apply", [on_cpu, on_cpu_in_training])
def test_gradients_of_parameters_and_image(apply):
    lq = image(1, *SIZE, 3)
    ours = jax.jit(jax.grad(functools.partial(loss, apply), argnums=(0, 1)))(PARAMS[0], lq)
    assert_close(ours, gradients(PARAMS[0], lq), 1e-5)


@each_path
def test_gradients_of_a_stack_of_images(apply):
    stack = image(3, 1, *SIZE, 3)
    ours = jax.jit(jax.vmap(jax.grad(functools.partial(loss, apply), argnums=1), in_axes=(None, 0)))(PARAMS[0], stack)
    assert_close(ours, np.stack([gradients(PARAMS[0], lq)[1] for lq in stack]), 1e-5)


@each_path
def test_jvp_is_the_gradient_times_the_direction(apply):
    lq, direction = image(1, *SIZE, 3), image(1, *SIZE, 3, seed=1) - np.float32(0.5)
    gradient = gradients(PARAMS[0], lq)[1]
    _, slope = jax.jit(lambda x, v: jax.jvp(lambda x: loss(apply, PARAMS[0], x), (x,), (v,)))(lq, direction)
    scale = float(np.linalg.norm(gradient) * np.linalg.norm(direction))
    np.testing.assert_allclose(slope, np.vdot(gradient, direction), atol=1e-5 * scale)


@each_path
def test_inside_shard_map_with_its_checks(apply):
    lq = image(1, *SIZE, 3)
    mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    answer = jax.jit(jax.shard_map(apply, mesh=mesh, in_specs=(P(), P("data")), out_specs=P("data")))
    assert_close(answer(PARAMS[0], lq), restore(PARAMS[0], lq))

    def total(params, lq):
        return jax.grad(lambda params: jax.lax.psum(loss(apply, params, lq), "data"))(params)

    gradient = jax.jit(jax.shard_map(total, mesh=mesh, in_specs=(P(), P("data")), out_specs=P()))
    assert_close(gradient(PARAMS[0], lq), gradients(PARAMS[0], lq)[0], 1e-5)


@each_path
def test_rows_on_an_explicit_axis(apply):
    lq = image(1, *SIZE, 3)
    mesh = jax.make_mesh((1,), ("rows",), axis_types=(jax.sharding.AxisType.Explicit,))
    placed = jax.device_put(lq, NamedSharding(mesh, P(None, "rows")))
    answer = jax.jit(apply)(PARAMS[0], placed)
    assert answer.sharding.spec[1] == "rows"
    assert_close(answer, restore(PARAMS[0], lq))


@each_path
def test_pmap(apply):
    lq = image(1, 1, *SIZE, 3)
    assert_close(jax.pmap(apply, in_axes=(None, 0))(PARAMS[0], lq)[0], restore(PARAMS[0], lq[0]))
