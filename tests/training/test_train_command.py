"""`train.py` in separate processes: stopped, killed and resumed."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from command_runs import EVERY, FIELDS, STEPS, make_images, metrics
from training_runs import assert_same_bits

from swinir_jax.checkpoints.pretrained import load_pretrained
from swinir_jax.cli.main import main
from swinir_jax.data.pipeline import TrainingBatches
from swinir_jax.errors import EXTRAS
from swinir_jax.images import read_picture
from swinir_jax.training import loop
from swinir_jax.training.checkpoint import Checkpoints, read_config
from swinir_jax.training.sharding import abstract_state, make_mesh
from swinir_jax.training.state import create_state

ROOT = Path(__file__).parents[2]


class Runs:
    """Starts the command in processes that share compiled programs."""

    def __init__(self, folder, cache):
        self.folder = folder
        self.processes = []
        self.images = make_images(folder)
        cache = {"JAX_COMPILATION_CACHE_DIR": str(cache), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
        self._environment = {**os.environ, **cache, "PYTHONPATH": str(ROOT)}

    def start(self, name, *fields, before=(), **environment):
        process = subprocess.Popen(
            [*before, sys.executable, str(ROOT / "train.py"), "lightweight_sr_x2", "--workdir", name, *fields],
            cwd=self.folder,
            env=self._environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def finish(self, name, *fields, **environment):
        process = self.start(name, *fields, **environment)
        out, err = process.communicate(timeout=300)
        assert (process.returncode, out) == (0, ""), err
        return err


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    cache = tmp_path_factory.getbasetemp().parent / "compiled"  # of all workers that run these tests
    runs = Runs(tmp_path_factory.mktemp("runs"), cache)
    yield runs
    for process in runs.processes:  # a test that failed has left some
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def whole(runs):
    """An uninterrupted run under strict promotion, and its output."""
    strict = {"JAX_NUMPY_DTYPE_PROMOTION": "strict", "JAX_NUMPY_RANK_PROMOTION": "raise"}
    output = runs.finish("whole", *FIELDS, *runs.images, **strict)
    return runs.folder / "whole", output


def wait_for(process, condition):
    for _ in range(30_000):
        if condition():
            return
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    raise AssertionError("the condition was never met")


def last_checkpoint(workdir):
    """State and data position after the last step, and the next batch."""
    experiment = read_config(workdir)
    checkpoints = Checkpoints(workdir, experiment.checkpoint)
    shapes = jax.eval_shape(lambda: create_state(experiment))
    state, data_state = checkpoints.restore(abstract_state(make_mesh(), shapes))
    checkpoints.close()
    batches = TrainingBatches(experiment.data, scale=2, channels=3, batch_size=4, seed=experiment.seed)
    batches.set_state(data_state)
    batch = next(batches)
    batches.close()
    return jax.tree.map(np.asarray, state.replace(key=jax.random.key_data(state.key))), data_state, batch


@pytest.mark.as_shipped
def test_stopped_killed_and_resumed_gives_the_same_bits(runs, whole, capsys):
    workdir = runs.folder / "broken"
    process = runs.start("broken", *FIELDS, *runs.images)
    wait_for(process, lambda: (workdir / "metrics.jsonl").exists() and metrics(workdir, "train/loss"))
    process.send_signal(signal.SIGSTOP)  # else it may come to its last steps meanwhile
    assert main(["train", "lightweight_sr_x2", "--workdir", str(workdir)]) == 2
    process.send_signal(signal.SIGCONT)
    assert f"another training holds this folder (process {process.pid} on " in capsys.readouterr().err
    process.send_signal(signal.SIGTERM)
    _, output = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert "Stopped by a signal, saved after step" in output

    process = runs.start("broken")
    wait_for(process, lambda: any((workdir / "checkpoints").glob("*.orbax-checkpoint-tmp")))
    process.kill()  # during a save
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL

    output = runs.finish("broken")
    assert "continuing after step" in output
    ours, theirs = last_checkpoint(workdir), last_checkpoint(whole[0])
    assert int(ours[0].step) == STEPS
    assert_same_bits(ours, theirs)
    assert metrics(workdir, "train/loss").keys() >= {*range(EVERY, STEPS + 1, EVERY)}
    assert metrics(workdir, "train/loss")[STEPS] == metrics(whole[0], "train/loss")[STEPS]
    assert metrics(workdir, "validation/psnr_y")[STEPS] == metrics(whole[0], "validation/psnr_y")[STEPS]


def test_what_a_run_writes(whole):
    workdir, output = whole
    assert "\r" not in output  # no bar without a terminal
    assert re.search(rf"step 1 of {STEPS}: loss .* s a step, .* left", output)
    assert f"step {STEPS} of {STEPS}: loss" in output
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "train/loss" in line] == [1, *range(EVERY, STEPS + 1, EVERY)]
    assert {line["step"] for line in lines if "validation/psnr_y" in line} == {STEPS // 2, STEPS}
    losses = metrics(workdir, "train/loss")
    assert losses[STEPS] < losses[EVERY]
    assert metrics(workdir, "train/learning_rate")[STEPS] == pytest.approx(2e-4 / 16)
    shares = metrics(workdir, "train/data_wait_share")
    assert shares.keys() == losses.keys()
    assert all(0 <= share <= 1 for share in shares.values())
    assert set(metrics(workdir, "train/skipped").values()) == {0}
    assert read_picture(workdir / "pictures" / "0" / f"{STEPS:08}.png").pixels.shape == (32, 3 * 40, 3)
    assert [path.stat().st_size > 1000 for path in workdir.glob("events.out.tfevents.*")] == [True]


def test_a_run_is_a_model_with_the_scores_of_its_validation(whole, runs, tmp_path):
    workdir, _ = whole
    model, _ = load_pretrained(workdir)
    assert model.config.embed_dim == 6
    command = ["evaluate", "--task", "lightweight_sr", "--scale", "2", "--hq", str(runs.folder / "val"), "--quiet"]
    assert main([*command, "--model", str(workdir), "--json", str(tmp_path / "scores.json")]) == 0
    best = max(metrics(workdir, "validation/psnr_y").values())
    measured = json.loads((tmp_path / "scores.json").read_text())["average"]["psnr_y"]
    assert measured == pytest.approx(best, abs=1e-3)


def test_a_full_disk_ends_with_1_and_keeps_the_last_good_checkpoint(whole, runs):
    workdir = runs.folder / "full"
    shutil.copytree(whole[0], workdir)
    shutil.rmtree(workdir / "checkpoints" / str(STEPS))  # so that there is something to do
    limited = ["sh", "-c", 'ulimit -f 32; exec "$@"', "sh"]  # files of no more than so many blocks
    process = runs.start("full", "--validation.hq", "", before=limited)
    _, output = process.communicate(timeout=300)
    assert process.returncode == 1, output
    assert "could not be saved" in output
    assert f"the last good one is of step {STEPS - EVERY}" in output
    assert "Traceback" not in output
    assert not any((workdir / "checkpoints").glob("*.orbax-checkpoint-tmp"))
    assert load_pretrained(workdir)[0].config.embed_dim == 6


def test_a_diverging_run_ends_with_1_and_advice(runs):
    short = ["--steps", "4", "--validation.every", "2", "--optimizer.learning-rate", "1e30"]
    process = runs.start("diverged", *FIELDS, *runs.images, *short)
    _, output = process.communicate(timeout=300)
    assert process.returncode == 1, output
    assert "a lower --optimizer.learning-rate" in output
    assert "Traceback" not in output
    assert "img_range" not in output
    assert not any((runs.folder / "diverged" / "checkpoints").iterdir())


def test_two_processes_stop_at_the_same_step(runs):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    fields = [*FIELDS, *runs.images, "--steps", "100000", "--shard-optimizer", "2"]
    both = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": "2"}
    processes = [runs.start("two", *fields, **both, JAX_PROCESS_ID=str(i)) for i in range(2)]
    workdir = runs.folder / "two"
    wait_for(processes[0], lambda: (workdir / "metrics.jsonl").exists() and metrics(workdir, "train/loss"))
    processes[1].send_signal(signal.SIGUSR1)  # which this process passes on to JAX as SIGTERM
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline and any(process.poll() is None for process in processes):
        time.sleep(0.1)
    ended = [process.poll() for process in processes]
    for process in processes:
        process.kill()  # a process may wait for the other in vain; the output of both is shown
    first, second = (process.communicate()[1] for process in processes)
    assert ended == [0, 0], first + second
    assert "Stopped by a signal, saved after step" in first
    assert "step" not in second
    state, data_state, _ = last_checkpoint(workdir)  # in one process, on one device
    assert int(state.step) == data_state["next_index"] == max(metrics(workdir, "train/loss"))


def test_a_warning_before_the_loop_stops_the_run_there(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(loop, "check_experiment", lambda experiment: signal.raise_signal(signal.SIGUSR1))
    assert main(["train", "lightweight_sr_x2", "--workdir", str(tmp_path), *FIELDS, *runs.images]) == 0
    assert capsys.readouterr().err.endswith(
        "Stopped by a signal, before the first step; the same command continues the run.\n"
    )


def test_another_experiment_in_the_workdir(whole, capsys):
    workdir = str(whole[0])
    assert main(["train", "lightweight_sr_x2", "--workdir", workdir, "--seed", "1", "--batch-size", "8"]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert "seed from 0 to 1" in error
    assert "--batch-size from 4 to 8" in error
    assert main(["train", "lightweight_sr_x3", "--workdir", workdir]) == 2
    assert "is one of lightweight_sr_x2, not lightweight_sr_x3; name a new --workdir" in capsys.readouterr().err


def test_a_finished_run(whole, capsys):
    assert main(["train", "lightweight_sr_x2", "--workdir", str(whole[0]), "--log-every", "7"]) == 0
    error = capsys.readouterr().err
    assert "Changed: --log-every from 10 to 7" in error
    assert f"all {STEPS} steps are done" in error
    assert read_config(whole[0]).log_every == 7


@pytest.mark.parametrize(
    ("command", "parts"),
    [
        ("lightwight_sr_x2 --workdir x", ["lightwight_sr_x2: no such experiment", "lightweight_sr_x2"]),
        ("gray_dn_noise25 --workdir x --optimizer.learning-rat 1", ["--optimizer.learning-rat,", "learning-rate"]),
        ("gray_dn_noise25 --workdir x --steps many", ["--steps", "'many'"]),
        ("gray_dn_noise25 --workdir x --profile -1", ["--profile must be at least 0, got -1"]),
        ("gray_dn_noise25 --workdir x --gan.artifacts 1", ["--gan.artifacts need a --gan.loss"]),
        ("gray_dn_noise25 --workdir x --steps 0", ["swinir-jax: error: --steps must be at least 1, got 0"]),
        ("gray_dn_noise25 --steps 1", ["required", "--workdir"]),
        ("gray_dn_noise25 --workdir= --data.hq folder:.", ["The name of --workdir is empty"]),
        ("gray_dn_noise25 --workdir x --network.depths 6 6", ["depths=(6, 6)"]),
        ("gray_dn_noise25 --workdir x --task classical_sr", ["classical_sr", "3 channels", "--network.in-chans is 1"]),
        ("gray_dn_noise25 --workdir x", ["data.hq", "folder:"]),
        ("gray_dn_noise25 --workdir x --data.hq folder:nowhere", ["nowhere: no such folder"]),
    ],
)
def test_bad_options_are_reported_in_one_line(command, parts, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *command.split()]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    for part in parts:
        assert part in error


def test_help_of_an_experiment_lists_its_fields(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["train", "gray_dn_noise25", "--help"])
    out = capsys.readouterr().out
    assert "--optimizer.learning-rate" in out
    assert "0.0001" in out


@pytest.mark.parametrize(
    ("command", "package", "message"),
    [
        ("train", "grain", "train needs grain"),
        ("prepare-data", "grain", "prepare-data needs grain"),
        ("degrade", "cv2", "Blind degradation needs OpenCV"),
    ],
)
def test_missing_packages_are_named(command, package, message):
    program = (
        f"import sys; sys.modules['{package}'] = None; from swinir_jax.cli.main import main; "
        f"main(['{command}', 'docs/astronaut.png', '--chain', 'photo_x4', '--out', 'lq'])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == f"swinir-jax: error: {message}: pip install {EXTRAS['train']}.\n"
