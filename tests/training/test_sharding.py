import os

import jax
import numpy as np
import pytest
from training_runs import EXPERIMENT
from training_worker import run_workers, train

from swinir_jax import InputError
from swinir_jax.training.sharding import (
    check_batch_size,
    divide_cpu,
    initialize_distributed,
    make_mesh,
    state_shardings,
)
from swinir_jax.training.state import create_state


@pytest.fixture(scope="module")
def one_device(tmp_path_factory):
    """Losses of six steps, and a checkpoint after the fourth."""
    workdir = tmp_path_factory.mktemp("one") / "run"
    losses = train(str(workdir), 4)[0]
    return losses + train(str(workdir.with_name("continued")), 6)[0][4:], workdir


def test_two_processes_of_two_devices_train_and_resume_as_one(one_device, tmp_path):
    expected, checkpoint = one_device
    jobs = {str(tmp_path / "run"): (4, 2), str(checkpoint): (6, 2)}  # one of their own, and on from the other's
    losses = run_workers(jobs, processes=2, devices=2)
    np.testing.assert_allclose(losses[str(tmp_path / "run")], expected[:4], rtol=1e-5)
    np.testing.assert_allclose(losses[str(checkpoint)], expected[4:], rtol=1e-5)
    # The reverse: one process continues from the checkpoint of two.
    np.testing.assert_allclose(train(str(tmp_path / "run"), 6)[0], expected[4:], rtol=1e-5)


@pytest.fixture(scope="module")
def four_devices(tmp_path_factory):
    """Folder and losses of four steps by experiment and number of devices that share its optimiser."""
    folder = tmp_path_factory.mktemp("four")
    runs = {run: str(folder / str(i)) for i, run in enumerate([("alone", 1), ("alone", 4), ("muon", 4)])}
    losses = run_workers({workdir: (4, shards, name) for (name, shards), workdir in runs.items()}, devices=4)
    return {run: (workdir, losses[workdir]) for run, workdir in runs.items()}


@pytest.mark.parametrize("shard_optimizer", [1, 4])
def test_four_devices_train_as_one(shard_optimizer, one_device, four_devices):
    _, losses = four_devices["alone", shard_optimizer]
    np.testing.assert_allclose(losses, one_device[0][:4], rtol=1e-5)


def test_muon_is_divided_and_resumed(four_devices, tmp_path):
    one, (four, losses) = str(tmp_path / "one"), four_devices["muon", 4]
    for until in (4, 6):
        expected, _ = train(one, until, name="muon")
        np.testing.assert_allclose(losses, expected, rtol=1e-5)
        losses, _ = train(four, 6, name="muon")


def test_ema_and_optimiser_are_split_and_parameters_are_not():
    state = jax.eval_shape(lambda: create_state(EXPERIMENT))
    mesh = jax.sharding.AbstractMesh((2, 4), ("data", "model"))
    shardings = state_shardings(mesh, state)
    assert {tuple(sharding.spec) for sharding in jax.tree.leaves(shardings.params)} == {()}
    moments = shardings.opt_state[0]
    for tree in (shardings.ema, moments.mu, moments.nu):
        assert tuple(tree["conv_first"]["kernel"].spec) == (None, None, None, "model")  # [3, 3, 3, 8]
        assert tuple(tree["upsample_0"]["kernel"].spec) == (None, None, None, "model")  # [3, 3, 8, 12]: the longest
    assert tuple(moments.count.spec) == ()
    table = shardings.ema["layers_0"]["residual_group"]["blocks_0"]["attn"]["relative_position_bias_table"]
    assert tuple(table.spec) == ()  # [49, 2]: neither is a multiple of 4


def test_indivisible_batches_are_refused():
    mesh = jax.sharding.AbstractMesh((2, 4), ("data", "model"))
    check_batch_size(16, mesh)
    check_batch_size(16, mesh, accumulate=2)
    with pytest.raises(InputError, match="--batch-size 20 is not a multiple of 8 devices; take 16 or 24"):
        check_batch_size(20, mesh)
    with pytest.raises(
        InputError, match="--batch-size 8 is not a multiple of 8 devices times 2 micro-batches; take 16"
    ):
        check_batch_size(8, mesh, accumulate=2)


def test_an_indivisible_mesh_is_refused():
    with pytest.raises(InputError, match=f"--shard-optimizer 3 does not divide the {jax.device_count()} device"):
        make_mesh(3)


@pytest.fixture
def devices(monkeypatch):
    """Requested numbers of CPU devices, on a machine with six cores."""
    asked = []
    monkeypatch.setattr(jax.config, "update", lambda name, value: asked.append((name, value)))
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(6)), raising=False)
    monkeypatch.setitem(jax.config.values, "jax_num_cpu_devices", -1)
    monkeypatch.setenv("XLA_FLAGS", "")
    return asked


@pytest.mark.parametrize(("images", "unit", "expected"), [(12, 1, 6), (4, 1, 4), (32, 1, 4), (7, 1, 1), (12, 4, 4)])
def test_a_cpu_is_divided_into_devices_with_equal_shares(images, unit, expected, devices):
    divide_cpu(images, unit)
    assert devices == [("jax_num_cpu_devices", expected)]


@pytest.mark.parametrize("flags", ["", "--xla_cpu_enable_fast_math=false"])
def test_devices_wait_for_each_other_while_the_process_is_stopped(flags, devices, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", flags)
    divide_cpu(4)
    chosen = f"{flags} --xla_cpu_collective_call_terminate_timeout_seconds=604800".strip()
    assert os.environ["XLA_FLAGS"] == chosen
    divide_cpu(4)
    assert os.environ["XLA_FLAGS"] == chosen


def test_a_chosen_number_of_devices_stays(devices, monkeypatch):
    divide_cpu(9, 4)  # none would do: `make_mesh` tells
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
    divide_cpu(4)
    assert devices == []


def test_a_started_cpu_is_not_divided():
    count = jax.device_count()
    divide_cpu(4)
    assert jax.device_count() == count


@pytest.fixture
def started(monkeypatch):
    """Arguments of `jax.distributed.initialize`, in an environment without launchers."""
    calls = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda *a, **k: calls.append(a))
    for name in ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID", "SLURM_STEP_NODELIST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    return calls


def test_one_process_starts_nothing(started):
    initialize_distributed()
    assert started == []


def test_a_launcher_starts_what_jax_detects(started, monkeypatch):
    monkeypatch.setenv("SLURM_STEP_NODELIST", "node[1-2]")
    initialize_distributed()
    assert started == [()]


def test_a_launcher_of_one_process_is_no_error(started, monkeypatch):
    def nothing_found():
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setenv("SLURM_STEP_NODELIST", "node1")
    monkeypatch.setattr(jax.distributed, "initialize", nothing_found)
    initialize_distributed()


def test_processes_by_hand(started, monkeypatch):
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "10.0.0.1:1234")
    with pytest.raises(InputError, match="not set: JAX_NUM_PROCESSES, JAX_PROCESS_ID"):
        initialize_distributed()
    monkeypatch.setenv("JAX_NUM_PROCESSES", "2")
    monkeypatch.setenv("JAX_PROCESS_ID", "two")
    with pytest.raises(InputError, match="numbers, got 2, two"):
        initialize_distributed()
    monkeypatch.setenv("JAX_PROCESS_ID", "2")
    with pytest.raises(InputError, match="got 2 of 2"):
        initialize_distributed()
    monkeypatch.setenv("JAX_PROCESS_ID", "1")
    initialize_distributed()
    assert started == [("10.0.0.1:1234", 2, 1)]
