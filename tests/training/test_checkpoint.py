import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import multihost_utils
from saved_runs import OF_FAILING_READS, opened, restored, state_at, steps_in
from training_runs import EXPERIMENT, NETWORK, assert_same_bits, first_state
from training_worker import run_workers

from swinir_jax import InputError
from swinir_jax.training.checkpoint import Checkpoints, write_config
from swinir_jax.training.experiment import CheckpointConfig
from swinir_jax.training.sharding import abstract_state, make_mesh, place_state

pytestmark = OF_FAILING_READS
TESTS = Path(__file__).parents[1]
MESH = make_mesh()


def test_a_state_is_restored_bit_for_bit(tmp_path):
    state = state_at(3)
    with opened(tmp_path) as checkpoints:
        assert checkpoints.latest_step() is None
        checkpoints.save(3, state, {"batches": 3})
        assert checkpoints.latest_step() == 3
    with opened(tmp_path) as checkpoints:
        found, data = restored(checkpoints)
    assert data == {"batches": 3}
    assert_same_bits(jax.tree.map(jnp.asarray, found.replace(key=0)), jax.tree.map(jnp.asarray, state.replace(key=0)))
    assert_same_bits(jax.random.key_data(found.key), jax.random.key_data(state.key))


def test_buffers_may_be_used_again_once_save_returns(tmp_path):
    state = place_state(MESH, state_at(0))
    big = {"conv_first": {"kernel": jnp.ones((1000, 1000))}}
    state = state.replace(params=big, ema=jax.tree.map(jnp.copy, big))
    overwrite = jax.jit(lambda tree: jax.tree.map(lambda leaf: leaf * 0, tree), donate_argnums=0)
    with opened(tmp_path) as checkpoints:
        checkpoints.save(1, state, {})
        jax.block_until_ready(overwrite((state.params, state.ema)))
        target = abstract_state(MESH, first_state(EXPERIMENT).replace(params=jnp.zeros((1,)), ema=jnp.zeros((1,))))
        shapes = {"conv_first": {"kernel": jax.ShapeDtypeStruct((1000, 1000), jnp.float32)}}
        target = target.replace(params=shapes, ema=shapes)
        found, _ = checkpoints.restore(target)
    for tree in (found.params, found.ema):
        assert (np.asarray(tree["conv_first"]["kernel"]) == 1).all()


def test_saving_does_not_reach_a_preemption_point(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(multihost_utils, "reached_preemption_sync_point", asked.append)
    with opened(tmp_path) as checkpoints:
        checkpoints.save(1, state_at(1), {})
        checkpoints.save(2, state_at(2), {})
    assert steps_in(tmp_path) == [1, 2]
    assert asked == []  # JAX would take it for a step of training


def test_the_last_and_the_best_are_kept(tmp_path):
    scores = {1: 30.0, 2: 35.0, 3: None, 4: 34.0, 5: None, 6: 28.0}
    with opened(tmp_path, keep_last=2, keep_best=1) as checkpoints:
        for step, psnr in scores.items():
            checkpoints.save(step, state_at(step), {}, psnr)
    assert steps_in(tmp_path) == [2, 5, 6]
    with opened(tmp_path, keep_last=1, keep_best=0) as checkpoints:
        checkpoints.save(7, state_at(7), {}, 36.0)
        checkpoints.save(8, state_at(8), {}, None)
    assert steps_in(tmp_path) == [8]


def test_ten_steps_and_ten_in_another_process_equal_twenty(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    first = run_workers({str(one): (20,), str(two): (10,)})
    second = run_workers({str(two): (20,)})
    assert first[str(one)] == first[str(two)] + second[str(two)]
    states = []
    for workdir in (one, two):
        with opened(workdir) as checkpoints:
            state, data = restored(checkpoints)
            assert data == {"batches": 20}
            states.append((state.params, state.ema, state.opt_state, state.step, jax.random.key_data(state.key)))
    assert_same_bits(*states)


# In a separate process, because the limit applies to all threads.
FULL_DISK = """
import contextlib, logging, pathlib, resource, signal, sys
import pytest
from saved_runs import opened, restored, state_at
from swinir_jax.training.checkpoint import SaveError
messages = []
handler = logging.Handler(); handler.emit = lambda record: messages.append(record.getMessage())
logging.getLogger("swinir_jax").addHandler(handler)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
@contextlib.contextmanager
def full_disk():
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
def unfinished():
    return [path.name for path in pathlib.Path(sys.argv[1], "checkpoints").iterdir() if not path.name.isdigit()]
with opened(sys.argv[1], keep_last=1) as checkpoints:
    checkpoints.save(1, state_at(1), {"batches": 1})
    checkpoints.wait()
    with full_disk():
        checkpoints.save(2, state_at(2), {"batches": 2})
        with pytest.raises(SaveError, match=r"/2: could not be saved \\(.*too large.*good one is of step 1"):
            checkpoints.wait()
    assert not messages, messages
    assert unfinished() == []
    assert checkpoints.latest_step() == 1
    assert restored(checkpoints)[1] == {"batches": 1}
    with full_disk():
        checkpoints.save(3, state_at(3), {"batches": 3})
        assert checkpoints.latest_step() == 1
    assert "/3: could not be saved" in messages[-1], messages
    assert unfinished() == []
    checkpoints.save(4, state_at(4), {"batches": 4})
    checkpoints.wait()
    assert checkpoints.latest_step() == 4
    assert restored(checkpoints)[1] == {"batches": 4}
with pytest.raises(SaveError, match="/5: could not be saved"):
    with opened(sys.argv[1]) as checkpoints, full_disk():
        checkpoints.save(5, state_at(5), {"batches": 5})
        checkpoints.close()
assert unfinished() == []
"""


def test_a_full_disk_is_reported_and_the_last_good_checkpoint_stays(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


KILLED = """
import os, signal, sys
from training_runs import EXPERIMENT, first_state
from swinir_jax.training.checkpoint import Checkpoints

def kill(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)

checkpoints = Checkpoints(sys.argv[1], EXPERIMENT.checkpoint)
checkpoints.save(1, first_state(EXPERIMENT), {"batches": 1})
checkpoints.wait()
os.rename = os.replace = kill  # the moment before a checkpoint appears
checkpoints.save(2, first_state(EXPERIMENT), {"batches": 2})
checkpoints.wait()
"""


def test_a_killed_save_leaves_the_previous_checkpoint(tmp_path):
    environment = {**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"}
    result = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], env=environment, check=False, timeout=240)
    assert result.returncode == -signal.SIGKILL
    assert any(path.name.startswith("2.") for path in (tmp_path / "checkpoints").iterdir())
    with opened(tmp_path) as checkpoints:
        assert checkpoints.latest_step() == 1
        assert restored(checkpoints)[1] == {"batches": 1}
        checkpoints.save(2, state_at(2), {"batches": 2})
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["1", "2"]


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    with opened(tmp_path) as checkpoints:
        checkpoints.save(1, state_at(1), {})
        wide = dataclasses.replace(EXPERIMENT, network=dataclasses.replace(NETWORK, embed_dim=16))
        with pytest.raises(InputError, match="damaged, or of another experiment") as caught:
            checkpoints.restore(abstract_state(MESH, first_state(wide)))
    assert "\n" not in str(caught.value)


def test_a_workdir_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file/run.*cannot be written"):
        Checkpoints(tmp_path / "file" / "run", CheckpointConfig())
    with pytest.raises(InputError, match=r"file/run.*cannot be written"):
        write_config(tmp_path / "file" / "run", EXPERIMENT)
