import contextlib
import dataclasses
import gc
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import multihost_utils
from training_runs import EXPERIMENT, NETWORK, STILL, assert_same_bits, first_state
from training_worker import run_workers

import swinir_jax
from swinir_jax import InputError
from swinir_jax.checkpoints import run as run_folder_module
from swinir_jax.errors import option
from swinir_jax.inference.restorer import Restorer
from swinir_jax.training.checkpoint import Checkpoints, read_config, write_config
from swinir_jax.training.experiment import CheckpointConfig, Experiment
from swinir_jax.training.lock import held
from swinir_jax.training.sharding import abstract_state, make_mesh, place_state

# Of a save or a read that fails, Orbax leaves the other parts behind, never awaited.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
]
TESTS = Path(__file__).parents[1]
MESH = make_mesh()


@pytest.fixture(autouse=True)
def _collected():
    """Lets what is left behind be told here, and not in the test of another file."""
    yield
    gc.collect()


def state_at(step):
    """A state that differs from step to step, in place of training."""
    state = first_state(EXPERIMENT)
    moved = jax.tree.map(lambda leaf: leaf + step, (state.params, state.opt_state))
    return state.replace(step=jnp.int32(step), params=moved[0], opt_state=moved[1])


@contextlib.contextmanager
def opened(workdir, **config):
    with contextlib.closing(Checkpoints(workdir, CheckpointConfig(**config))) as checkpoints:
        yield checkpoints


def restored(checkpoints):
    return checkpoints.restore(abstract_state(MESH, first_state(EXPERIMENT)))


def steps_in(workdir):
    return sorted(int(path.name) for path in (workdir / "checkpoints").iterdir() if path.name.isdigit())


def test_what_is_saved_comes_back_bit_for_bit(tmp_path):
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


def test_saving_does_not_ask_whether_the_run_is_to_stop(tmp_path, monkeypatch):
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


def test_ten_steps_and_ten_more_in_another_process_are_twenty(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    first = run_workers({str(one): 20, str(two): 10})
    second = run_workers({str(two): 20})
    assert first[str(one)] == first[str(two)] + second[str(two)]
    states = []
    for workdir in (one, two):
        with opened(workdir) as checkpoints:
            state, data = restored(checkpoints)
            assert data == {"batches": 20}
            states.append((state.params, state.ema, state.opt_state, state.step, jax.random.key_data(state.key)))
    assert_same_bits(*states)


# In a process of its own: the limit is one of all its threads.
FULL_DISK = """
import contextlib, logging, pathlib, resource, signal, sys
import pytest
from test_checkpoint import opened, restored, state_at
from swinir_jax.training.checkpoint import SaveError
said = []
handler = logging.Handler(); handler.emit = lambda record: said.append(record.getMessage())
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
    assert not said, said
    assert unfinished() == []
    assert checkpoints.latest_step() == 1
    assert restored(checkpoints)[1] == {"batches": 1}
    with full_disk():
        checkpoints.save(3, state_at(3), {"batches": 3})
        assert checkpoints.latest_step() == 1
    assert "/3: could not be saved" in said[-1], said
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


def test_a_full_disk_is_told_and_the_last_good_checkpoint_stays(tmp_path):
    path = os.pathsep.join(str(folder) for folder in (Path(__file__).parent, Path(__file__).parents[1]))
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([path, *sys.path])},
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


def test_a_killed_save_leaves_the_checkpoint_before(tmp_path):
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


def test_the_experiment_is_stored_and_read(tmp_path):
    assert read_config(tmp_path) is None
    write_config(tmp_path, EXPERIMENT)
    assert read_config(tmp_path) == EXPERIMENT
    content = json.loads((tmp_path / "experiment.json").read_text())
    for broken in ({**content, "colour": 1}, {**content, "optimizer": {"learning_rates": 1}}, {"task": "x"}, [1]):
        (tmp_path / "experiment.json").write_text(json.dumps(broken))
        with pytest.raises(InputError, match=r"experiment\.json: not readable"):
            read_config(tmp_path)
    (tmp_path / "experiment.json").write_text('{"task": ')
    with pytest.raises(InputError, match=r"experiment\.json: not readable"):
        read_config(tmp_path)


@pytest.mark.parametrize(
    "values",
    [{"steps": 0}, {"batch_size": 0}, {"ema_decay": 1.0}, {"dtype": "float16"}, {"log_every": 0}, {"max_skipped": 0}],
    ids=str,
)
def test_values_that_make_no_experiment(values):
    with pytest.raises(InputError, match=option(next(iter(values)))):
        Experiment.from_dict({**EXPERIMENT.to_dict(), **values})


@pytest.fixture
def run(tmp_path):
    """A run whose best checkpoint is not its last."""
    write_config(tmp_path, STILL)
    with opened(tmp_path) as checkpoints:
        for step, psnr in ((1, 30.0), (2, 31.0), (3, 29.0)):
            checkpoints.save(step, state_at(step), {}, psnr)
    return tmp_path


def test_a_run_is_a_model(run, caplog):
    caplog.set_level(logging.INFO)
    with held(run):  # in training
        model, params = swinir_jax.load_pretrained(run)
    assert model.config == STILL.network
    expected = first_state().params  # the EMA, which `state_at` leaves
    assert_same_bits(params, jax.tree.map(np.asarray, expected))
    _, raw = swinir_jax.load_pretrained(str(run), weights="raw")
    assert_same_bits(raw, jax.tree.map(lambda leaf: np.asarray(leaf + 2), expected))  # of step 2, the best
    assert "weights of step 2, the best by validation: PSNR 31.00 dB" in caplog.text
    image = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    assert Restorer(model, params)(image).shape == (18, 14, 3)


def test_a_run_without_validation_gives_its_latest(tmp_path):
    write_config(tmp_path, STILL)
    with pytest.raises(InputError, match="this run has no checkpoint yet"):
        swinir_jax.load_pretrained(tmp_path)
    with opened(tmp_path, keep_last=3) as checkpoints:
        for step in (1, 2, 3):
            checkpoints.save(step, state_at(step), {})
    _, raw = swinir_jax.load_pretrained(tmp_path, weights="raw")
    assert_same_bits(raw, jax.tree.map(np.asarray, state_at(3).params))


def saved_with(workdir, *scores, keep_best=1):
    """A run of checkpoints that are measured in a setting, or not; the step whose weights are taken."""
    write_config(workdir, STILL)
    with opened(workdir, keep_last=1, keep_best=keep_best) as checkpoints:
        for step, (psnr, setting) in enumerate(scores, 1):
            checkpoints.save(step, state_at(step), {}, psnr, setting)
    return taken(workdir)


def taken(workdir):
    _, raw = swinir_jax.load_pretrained(workdir, weights="raw")
    moved = raw["conv_first"]["bias"] - np.asarray(first_state().params["conv_first"]["bias"])
    return round(float(moved.mean()))


def test_only_scores_of_the_newest_setting_are_compared(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    assert saved_with(tmp_path / "other", (40, "a"), (30, "b"), (31, "b"), (29, "b"), (None, "b")) == 3
    assert steps_in(tmp_path / "other") == [3, 5]
    assert "weights of step 3, the best by validation: PSNR 31.00 dB, b" in caplog.text
    assert saved_with(tmp_path / "none", (40, "a"), (None, "")) == 2
    assert "weights of step 2, the latest, without a score of the present validation" in caplog.text
    assert saved_with(tmp_path / "not_yet", (40, "a"), (None, "b")) == 2


def test_checkpoints_of_older_versions_have_no_setting(tmp_path):
    saved_with(tmp_path, (40, ""), (30, ""))
    for step, metrics in ((1, {"psnr": 40}), (2, {})):
        (tmp_path / "checkpoints" / str(step) / "metrics" / "metrics").write_text(json.dumps(metrics))
    assert taken(tmp_path) == 1


def test_a_checkpoint_that_training_removes_while_it_is_read(run, monkeypatch):
    def load_params(path, load=run_folder_module.load_params):
        shutil.rmtree(run / "checkpoints" / "2", ignore_errors=True)
        return load(path)

    monkeypatch.setattr(run_folder_module, "load_params", load_params)
    assert taken(run) == 3


def test_a_damaged_run_is_told(run):
    (file,) = (run / "checkpoints" / "2" / "ema").glob("manifest.ocdbt")
    file.write_bytes(b"?")
    with pytest.raises(InputError, match="checkpoints/2/ema: damaged") as caught:
        swinir_jax.load_pretrained(run)
    assert "\n" not in str(caught.value)
    (run / "experiment.json").write_text("{}")
    with pytest.raises(InputError, match="not readable as an experiment"):
        swinir_jax.load_pretrained(run)


def test_a_bucket_needs_its_package(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="gs://bucket/run: Google Storage needs the package gcsfs"):
        swinir_jax.load_pretrained("gs://bucket/run")
