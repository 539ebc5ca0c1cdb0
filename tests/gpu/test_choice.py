"""Which programs hold the kernels: lowered for an NVIDIA GPU, which this machine need not have."""

import dataclasses
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.pallas import triton
from jax.sharding import AbstractDevice, AbstractMesh, AxisType
from training_runs import STILL, first_state

from swinir_jax import SwinIR, SwinIRConfig, export, fast_apply, gpu, load_exported
from swinir_jax.gpu import attention
from swinir_jax.inference import network, sharding
from swinir_jax.training.gradients import losses_and_gradients

CONFIG = SwinIRConfig(embed_dim=8, depths=(2,), num_heads=(2,))
LQ = np.random.default_rng(0).random((1, 24, 16, 3), dtype=np.float32)


def device(platform="gpu", **attributes):
    return types.SimpleNamespace(platform=platform, **attributes)


HOPPER, OLD, AMD = (device(compute_capability=name) for name in ("9.0", "7.5", "gfx942"))


@pytest.fixture(scope="module")
def params():
    return SwinIR(CONFIG).init(jax.random.key(0), LQ)["params"]


def has_kernel(f, *arguments):
    target = AbstractDevice(device_kind="NVIDIA H200", num_cores=None, platform="gpu")
    with jax.sharding.use_abstract_mesh(AbstractMesh((), (), abstract_device=target)):
        program = jax.jit(f).trace(*arguments).lower(lowering_platforms=("cuda",))
    return "triton" in program.as_text()


def test_kernels_run_on_the_gpus_that_triton_has_bfloat16_for():
    later = device(compute_capability="12.0")
    assert [gpu.runs_on(d) for d in (HOPPER, later, OLD, AMD)] == [True, True, False, False]
    assert not any(map(gpu.runs_on, (jax.devices()[0], device("tpu"), device("tpu", compute_capability="9.0"))))


@pytest.mark.parametrize("lost", ["backend", "function"])
def test_a_jax_without_the_backend_has_no_kernels(lost, monkeypatch):
    monkeypatch.delitem(sys.modules, "swinir_jax.gpu.attention", raising=False)
    if lost == "backend":
        monkeypatch.setitem(sys.modules, "jax.experimental.pallas.triton", None)
    else:
        monkeypatch.delattr(triton, "CompilerParams")
    assert not gpu.runs_on(HOPPER)


@pytest.mark.parametrize(
    ("first", "count", "options", "expected"),
    [
        (HOPPER, 1, {}, True),
        (HOPPER, 1, {"dtype": jnp.float32}, False),
        (HOPPER, 1, {"fast": False}, False),
        (HOPPER, 2, {}, False),
        (OLD, 1, {}, False),
        (AMD, 1, {}, False),
    ],
)
def test_a_restorer_takes_the_kernel_on_one_gpu(first, count, options, expected, params, monkeypatch):
    monkeypatch.setattr(sharding, "Mesh", types.SimpleNamespace)
    mesh = sharding.Mesh(devices=np.array([first] * count), is_multi_process=False)
    devices = sharding.Devices(mesh, fast=options.get("fast", True))
    functions = devices.network(SwinIR(CONFIG, options.get("dtype", jnp.bfloat16)))
    assert has_kernel(functions.restore, functions.prepare(params), LQ) == expected


@pytest.mark.parametrize(
    ("devices", "options", "expected"),
    [
        ([HOPPER], {}, True),
        ([HOPPER], {"accumulate": 2}, True),
        ([HOPPER], {"remat": True}, True),
        ([HOPPER], {"dtype": jnp.float32}, False),
        ([HOPPER], {"fast": False}, False),
        ([HOPPER, HOPPER], {}, True),
        ([AMD], {}, False),
        ([AMD, AMD], {}, False),
        ([device("tpu")], {}, False),
    ],
)
def test_a_training_step_takes_the_kernel_on_gpus(devices, options, expected, monkeypatch):
    meshes = []

    def divided_attention(mesh, *operands):
        meshes.append(mesh)
        return attention.window_attention(*operands)

    monkeypatch.setattr(attention, "divided_attention", divided_attention)
    changes = {"window_size": 8, "use_checkpoint": options.get("remat", False)}
    state = first_state(dataclasses.replace(STILL, network=dataclasses.replace(STILL.network, **changes)))
    model = SwinIR(state.model.config, options.get("dtype", jnp.bfloat16))
    state = state.replace(model=model, accumulate=options.get("accumulate", 1))
    batch = {"lq": np.zeros((2, 16, 8, 3), np.float32), "hq": np.zeros((2, 32, 16, 3), np.float32)}
    mesh = types.SimpleNamespace(devices=np.array(devices), size=len(devices))

    def step(state, batch):
        return losses_and_gradients(state, batch, mesh, fast=options.get("fast", True))

    assert has_kernel(step, state, batch) == expected
    assert bool(meshes) == (expected and len(devices) > 1)
    assert all(divided is mesh for divided in meshes)


def test_the_divided_kernel_is_lowered_for_gpus():
    target = AbstractDevice(device_kind="NVIDIA H200", num_cores=None, platform="gpu")
    mesh = AbstractMesh((2,), ("data",), (AxisType.Auto,), abstract_device=target)
    operands = jnp.zeros((2, 1, 1, 64, 24), jnp.bfloat16), jnp.zeros((2, 64, 64))
    settings = attention.Settings(0.3, -100.0)
    attend = jax.jit(lambda qkv, bias: attention.divided_attention(mesh, qkv, bias, None, settings))
    with jax.sharding.use_abstract_mesh(mesh):
        program = attend.trace(*operands).lower(lowering_platforms=("cuda",)).as_text()
    assert "triton" in program
    assert "1x1x1x64x24xbf16" in program  # the part of a device


@pytest.fixture
def one_gpu(monkeypatch):
    """Lets `fast_apply` choose as on a machine with one NVIDIA GPU; here, the kernel is interpreted."""
    choose = network.network_for
    monkeypatch.setattr(gpu, "runs_on", lambda device: True)
    monkeypatch.setattr(network, "network_for", lambda model, _, **options: choose(model, "gpu", **options))


@pytest.mark.parametrize("count", [1, 2])
def test_fast_apply_takes_the_kernel_where_no_other_device_can_take_a_part(count, one_gpu, params, monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: count)
    restore = fast_apply(SwinIR(CONFIG, jnp.bfloat16), params)
    assert has_kernel(restore, LQ) == (count == 1)


@pytest.mark.parametrize("transform", ["call", "jit", "vmap", "scan"])
def test_transformed_kernels_agree_with_the_modules(transform, one_gpu, params, monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    restore = fast_apply(SwinIR(CONFIG, jnp.bfloat16), params)
    batches = np.stack([LQ, LQ[:, ::-1]])
    transformed = {
        "call": lambda batches: jnp.stack([restore(batch) for batch in batches]),
        "jit": jax.jit(lambda batches: jnp.stack([restore(batch) for batch in batches])),
        "vmap": jax.vmap(restore),
        "scan": lambda batches: jax.lax.scan(lambda _, batch: (None, restore(batch)), None, batches)[1],
    }[transform]
    assert has_kernel(transformed, batches)
    expected = jax.jit(jax.vmap(lambda batch: SwinIR(CONFIG).apply({"params": params}, batch)))(batches)
    np.testing.assert_allclose(transformed(batches), expected, atol=0.02 * np.abs(expected).max())


def test_exported_programs_hold_no_kernel(one_gpu, params, tmp_path):
    model = SwinIR(CONFIG, jnp.bfloat16, fused=True)
    export.export_network(model, params, tmp_path / "program", platforms=("cpu", "cuda"))
    assert load_exported(tmp_path / "program").platforms == ("cpu", "cuda")
