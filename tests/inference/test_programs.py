import copy
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np
import pytest
import quick_programs
from goldens import params_of

from swinir_jax import InputError, Restorer, SwinIR, SwinIRConfig, machine
from swinir_jax.inference.chain import NetworkChain

CONFIG = SwinIRConfig(upsampler="", upscale=1, embed_dim=4, depths=(1,), num_heads=(1,), img_size=16)
NETWORK = SwinIR(CONFIG), params_of(CONFIG)
PHOTO = np.random.default_rng(0).integers(0, 256, (13, 9, 3), np.uint8)

DEVICES = """
import copy, json, pickle
import jax, jax.numpy as jnp
from swinir_jax import Restorer, SwinIR, SwinIRConfig

model = SwinIR(SwinIRConfig(upsampler="", upscale=1, embed_dim=4, depths=(1,), num_heads=(1,), img_size=16))
second = jax.devices()[1]
shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)))["params"]
params = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes)
found = {"nothing": Restorer(model, params), "committed": Restorer(model, jax.device_put(params, second))}
with jax.default_device(second):
    found["default device"] = Restorer(model, params)
with jax.default_device("cpu"):
    found["platform"] = Restorer(model, params)
found["mesh"] = Restorer(model, params, mesh=jax.make_mesh((2,), ("x",)))
found["copy"] = copy.copy(found["committed"])
found["deep copy"] = copy.deepcopy(found["committed"])
found["pickled mesh"] = pickle.loads(pickle.dumps(found["mesh"]))
found = {name: held.engine.programs.compiled((2, 8, 8, 3)) for name, held in found.items()}
print(json.dumps({
    name: sorted(device.id for device in jax.tree.leaves(program.input_shardings)[0].device_set)
    for name, program in found.items()
}))
"""


def test_runs_on_the_device_that_jax_would_choose():
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(Path(__file__).parents[2])}
    environment["XLA_FLAGS"] = f"--xla_force_host_platform_device_count=2 {quick_programs.FLAGS}"
    done = subprocess.run([sys.executable, "-c", DEVICES], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "nothing": [0],
        "committed": [1],
        "default device": [1],
        "platform": [0],
        "mesh": [0, 1],
        "copy": [1],
        "deep copy": [1],
        "pickled mesh": [0, 1],
    }


def through_pickle(restorer):
    return pickle.loads(pickle.dumps(restorer))


@pytest.mark.parametrize("duplicate", [through_pickle, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("kind", [Restorer, lambda *network, **options: NetworkChain([network], **options)])
def test_a_copy_restores_alike(duplicate, kind):
    held = kind(*NETWORK, tile=16, overlap=8, pad="official", blend="average")
    expected = held(PHOTO)
    other = duplicate(held)
    np.testing.assert_array_equal(other(PHOTO), expected)
    del held
    np.testing.assert_array_equal(other(PHOTO), expected)


def test_a_pickle_has_no_compiled_programs():
    held = Restorer(*NETWORK, tile=16)
    before = len(pickle.dumps(held))
    held(PHOTO)
    assert len(held.engine.programs) == 1
    assert len(pickle.dumps(held)) == before
    assert len(through_pickle(held).engine.programs) == 0


def test_a_restorer_in_processes_that_are_spawned():
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        held = Restorer(*NETWORK)
        np.testing.assert_array_equal(pool.submit(held, PHOTO).result(), held(PHOTO))


@pytest.mark.parametrize("memory", [None, 1])  # with which tiles follow a whole image that does not fit
def test_threads_compile_no_program_twice(memory, monkeypatch):
    held, compiled, photo = Restorer(*NETWORK, memory=memory), [], np.tile(PHOTO, (6, 6, 1))
    compile_program = held.engine.programs.devices.compile

    def compile_slowly(model, weights, shape):
        compiled.append(shape)
        time.sleep(0.1)
        return compile_program(model, weights, shape)

    monkeypatch.setattr(held.engine.programs.devices, "compile", compile_slowly)
    with ThreadPoolExecutor(4) as threads:
        first, *others = threads.map(held, [photo] * 4)
    for other in others:
        np.testing.assert_array_equal(other, first)
    assert len(compiled) == len(set(compiled)) == (1 if memory is None else 2)


def test_restores_where_jit_is_disabled():
    expected = Restorer(*NETWORK)(PHOTO)
    with jax.disable_jit():
        np.testing.assert_array_equal(Restorer(*NETWORK)(PHOTO), expected)


def test_restores_where_only_explicit_transfers_are_allowed():
    held = Restorer(*NETWORK)
    expected = held(PHOTO)
    with jax.transfer_guard("disallow"):
        np.testing.assert_array_equal(held(PHOTO), expected)


@pytest.mark.parametrize(
    ("step", "error"),
    [("compile", MemoryError()), ("run", jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory"))],
)
def test_the_size_that_lacks_memory_is_named(step, error, monkeypatch):
    def fail(*arguments):
        raise error

    held = Restorer(*NETWORK, tile=0, pad="minimal")
    monkeypatch.setattr(held.engine.programs.devices, step, fail)
    with pytest.raises(InputError, match=r"Not enough memory for 16x24 pixels at once; take smaller tiles \(tile=N\)"):
        held.restore(np.zeros((24, 16, 3), np.float32))


def test_malloc_of_the_process_is_left_as_it_is(monkeypatch):
    called = []

    class Library:
        def __init__(self, name):
            pass

        def __getattr__(self, name):
            return lambda *arguments: called.append(name)

    monkeypatch.setattr(machine.ctypes, "CDLL", Library)
    Restorer(*NETWORK)(PHOTO)
    assert set(called) == {"malloc_trim"}  # which lasts no longer than the call
    machine.keep_scratch()
    assert "mallopt" in called
