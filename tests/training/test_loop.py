import contextlib
import dataclasses
import logging
import resource
import shutil
import signal

import jax
import numpy as np
import pytest
from command_runs import make_images, metrics
from training_runs import STILL, first_state

from swinir_jax.data.pipeline import TrainingBatches
from swinir_jax.errors import InputError, UnwritableError
from swinir_jax.training import loop
from swinir_jax.training.checkpoint import Checkpoints, write_config
from swinir_jax.training.checks import check_experiment, check_resume, tell_rate_change
from swinir_jax.training.divergence import DivergenceError, Probe, is_ruin
from swinir_jax.training.logs import Logs
from swinir_jax.training.loop import TrainingError, train_and_evaluate
from swinir_jax.training.progress import Progress
from swinir_jax.training.sharding import make_mesh
from swinir_jax.training.validation import validate


def change(experiment, **parts):
    """Replaces fields of an experiment, and of its parts by `data={"hq": ...}`."""
    values = {
        name: dataclasses.replace(getattr(experiment, name), **value) if isinstance(value, dict) else value
        for name, value in parts.items()
    }
    return dataclasses.replace(experiment, **values)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    make_images(folder)
    photo = folder / "hq" / "0.png"
    (folder / "hq" / "damaged.png").write_bytes(photo.read_bytes()[:200])  # with the sizes in its header
    return change(STILL, data={"hq": f"folder:{folder / 'hq'}"}, checkpoint={"every": 3}, log_every=2)


class Stopped:
    """A run with two traced steps, stopped by Ctrl-C after step 8."""

    def __init__(self, experiment, workdir):
        self.workdir = workdir
        self.records = []
        self.handler = signal.getsignal(signal.SIGINT)  # a shell's background job has another than Python's own
        handler = logging.Handler()
        handler.emit = lambda record: self.records.append(record.getMessage())
        patch = pytest.MonkeyPatch()
        patch.setattr(Progress, "add", self._interrupting(Progress.add))
        logger = logging.getLogger("swinir_jax.training.loop")
        logger.addHandler(handler)
        try:
            with pytest.raises(KeyboardInterrupt):
                train_and_evaluate(experiment, workdir, profile=2)
        finally:
            patch.undo()
            logger.removeHandler(handler)

    @staticmethod
    def _interrupting(add):
        added = []

        def add_and_interrupt(progress, metrics):
            add(progress, metrics)
            added.append(metrics)
            if len(added) == 8:
                signal.raise_signal(signal.SIGINT)

        return add_and_interrupt


@pytest.fixture(scope="module")
def stopped(experiment, tmp_path_factory):
    return Stopped(experiment, tmp_path_factory.mktemp("stopped"))


def test_ctrl_c_saves_the_current_step(stopped, experiment):
    checkpoints = Checkpoints(stopped.workdir, experiment.checkpoint)
    assert checkpoints.latest_step() == 8
    checkpoints.close()
    assert list(metrics(stopped.workdir, "train/loss")) == [1, 2, 4, 6, 8]  # the first step, too
    assert signal.getsignal(signal.SIGINT) is stopped.handler


def test_ctrl_c_in_the_last_validation_keeps_the_run_without_a_score(experiment, tmp_path, monkeypatch, caplog):
    def interrupted(*args):
        signal.raise_signal(signal.SIGINT)
        return validate(*args)

    monkeypatch.setattr(loop, "validate", interrupted)
    places = {"hq": experiment.data.hq.replace("folder:", "") + "/0.png"}
    with pytest.raises(KeyboardInterrupt):
        train_and_evaluate(change(experiment, steps=1, validation=places), tmp_path)
    assert "The validation after step 1 was broken off; swinir-jax evaluate measures" in caplog.text
    checkpoints = Checkpoints(tmp_path, experiment.checkpoint)
    assert checkpoints.latest_step() == 1
    checkpoints.close()
    assert not metrics(tmp_path, "validation/psnr_y")


def test_a_signal_in_the_last_step_keeps_the_run_without_a_score(experiment, tmp_path, monkeypatch, caplog):
    add = Progress.add
    monkeypatch.setattr(Progress, "add", lambda *args: (add(*args), signal.raise_signal(signal.SIGTERM)))
    places = {"hq": experiment.data.hq.replace("folder:", "") + "/0.png"}
    with caplog.at_level(logging.INFO):
        train_and_evaluate(change(experiment, steps=1, validation=places), tmp_path)
    assert "in the last step, 1: saved without validation; swinir-jax evaluate measures a run" in caplog.text
    assert "continues the run" not in caplog.text
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {"1"}


def test_a_run_whose_last_checkpoint_is_long_ago_is_saved_at_a_log_entry(experiment, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_UNSAVED_SECONDS", 0)
    train_and_evaluate(change(experiment, steps=3, checkpoint={"every": 1000}), tmp_path)
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {"2", "3"}


def test_a_damaged_record_is_named_once_and_counted(stopped):
    assert metrics(stopped.workdir, "train/corrupt")[8] >= 1
    named = [record for record in stopped.records if "damaged.png" in record]
    assert len(named) == metrics(stopped.workdir, "train/corrupt")[8]


def test_the_profile_is_a_trace(stopped):
    assert len(list((stopped.workdir / "profile").rglob("*.xplane.pb"))) == 1


def test_no_finite_gradient_ends_the_run(experiment, tmp_path, caplog):
    experiment = change(experiment, optimizer={"learning_rate": 1e30}, max_skipped=3, log_every=1)
    with pytest.raises(TrainingError, match=r"3 steps in a row, up to step 4.*learning-rate"):
        train_and_evaluate(experiment, tmp_path)
    assert metrics(tmp_path, "train/skipped") == {1: 0, 2: 1, 3: 2, 4: 3}
    assert metrics(tmp_path, "train/loss")[4] is None


def test_a_diverging_run_leaves_the_last_sound_checkpoint(stopped, experiment, tmp_path, caplog):
    workdir = tmp_path / "run"
    shutil.copytree(stopped.workdir, workdir)
    diverging = change(
        experiment,
        optimizer={"learning_rate": 1e30},
        validation={"hq": experiment.data.hq.removeprefix("folder:") + "/0.png", "every": 1},
        checkpoint={"every": 1},
        max_skipped=3,
    )
    write_config(workdir, diverging)
    with pytest.raises(DivergenceError, match=r"3 steps in a row, up to step 12.*--optimizer.learning-rate"):
        train_and_evaluate(diverging, workdir)
    checkpoints = Checkpoints(workdir, experiment.checkpoint)
    assert checkpoints.latest_step() == 8
    checkpoints.close()
    assert "Not saved: the weights of step 9" in caplog.text
    assert not metrics(workdir, "validation/psnr_y")


@pytest.mark.parametrize(
    ("place", "error", "raised"),
    [
        ("_Run._measure", MemoryError("none left"), MemoryError),
        ("_Run._measure", OSError(28, "No space left on device"), TrainingError),
        ("_Run._measure", UnwritableError("pictures: cannot be written"), TrainingError),
        ("_Run._measure", DivergenceError("NaN"), DivergenceError),
        ("Logs.write", OSError(28, "No space left on device"), TrainingError),
    ],
)
def test_sound_weights_are_saved_before_an_error_ends_the_run(
    stopped, experiment, tmp_path, monkeypatch, place, error, raised
):
    workdir = tmp_path / "run"
    shutil.copytree(stopped.workdir, workdir)
    folder = experiment.data.hq.removeprefix("folder:")
    small = tmp_path / "small"
    small.mkdir()
    shutil.copy(f"{folder}/0.png", small)
    wanted = change(experiment, validation={"hq": str(small), "every": 10}, checkpoint={"every": 100}, log_every=10)

    def fail(run, *arguments):
        if getattr(run, "_step", arguments[0] if arguments else 0) == 10:
            raise error

    owner, method = place.split(".")
    monkeypatch.setattr({"_Run": loop._Run, "Logs": Logs}[owner], method, fail)
    with pytest.raises(raised):
        train_and_evaluate(wanted, workdir)
    with contextlib.closing(Checkpoints(workdir, wanted.checkpoint)) as checkpoints:
        assert checkpoints.latest_step() == (8 if raised is DivergenceError else 10)


def test_sound_weights_are_saved_before_the_data_ends_the_run(stopped, experiment, tmp_path, monkeypatch):
    shutil.copytree(stopped.workdir, tmp_path, dirs_exist_ok=True)
    draw = TrainingBatches.__next__

    def draw_one(batches):
        if batches.get_state()["next_index"] == 9:
            raise InputError("too many damaged records")
        return draw(batches)

    monkeypatch.setattr(TrainingBatches, "__next__", draw_one)
    with pytest.raises(InputError, match="too many"):
        train_and_evaluate(change(experiment, checkpoint={"every": 100}), tmp_path)
    with contextlib.closing(Checkpoints(tmp_path, experiment.checkpoint)) as checkpoints:
        assert checkpoints.latest_step() == 9


def test_a_huge_loss_ends_the_run(experiment, tmp_path, monkeypatch):
    summary = Progress.summary
    monkeypatch.setattr(Progress, "summary", lambda *arguments: {**summary(*arguments), "loss": 1e7})
    with pytest.raises(DivergenceError, match=r"A loss of 1e\+07 up to step 1: a lower --optimizer.learning-rate"):
        train_and_evaluate(experiment, tmp_path)


def test_an_impossible_finite_loss_is_divergence():
    assert is_ruin(float("inf"))
    assert is_ruin(float("nan"))
    assert is_ruin(1e7)
    assert not is_ruin(100.0)


def test_weights_are_sound_if_they_and_their_average_have_a_sane_loss():
    state = first_state()
    probe = Probe(make_mesh(), state, lambda state, batch: (state, {"loss": state.params["conv_first"]["bias"][0]}))

    def filled(value):
        return jax.tree.map(lambda leaf: np.full_like(leaf, value), state.params)

    for params, ema, sound in ((0.1, 0.1, True), (1e7, 0.1, False), (0.1, 1e7, False), (0.1, np.nan, False)):
        assert probe.is_sound(state.replace(params=filled(params), ema=filled(ema)), batch=None) == sound


def test_resumed_logs_drop_steps_that_run_again(tmp_path):
    logs = Logs(tmp_path, 0)
    for step in (1, 2, 3):
        logs.write(step, {"train/loss": step if step < 3 else float("nan")})
    logs.close()
    assert metrics(tmp_path, "train/loss") == {1: 1, 2: 2, 3: None}
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 4, "train/lo')  # as a kill leaves it
    logs = Logs(tmp_path, 2)
    logs.write(3, {"train/loss": 7})
    logs.close()
    assert metrics(tmp_path, "train/loss") == {1: 1, 2: 2, 3: 7}


@pytest.mark.parametrize("room", [16, 64])  # bytes of a file: less than a line, and than the TensorBoard file
def test_logs_tell_a_full_disk_and_can_be_closed(tmp_path, room):
    logs = Logs(tmp_path, 0)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            logs.write(1, {"train/loss": 1.0})
        logs.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_resuming_may_change_logging_but_not_learning(caplog):
    caplog.set_level(logging.INFO)
    changed = change(STILL, steps=30, validation={"every": 7}, checkpoint={"keep_last": 1}, data={"hq": "folder:new"})
    check_resume(STILL, changed)
    assert "steps from 20 to 30" in caplog.text
    assert "--data.hq from '' to 'folder:new'" in caplog.text
    changed = change(STILL, steps=30, seed=3, data={"patch_size": 16}, optimizer={"learning_rate": 0.1})
    with pytest.raises(InputError) as caught:
        check_resume(STILL, changed)
    for name in ("seed from 0 to 3", "--data.patch-size", "--optimizer.learning-rate from 0.0002 to 0.1"):
        assert name in str(caught.value)
    assert "steps" not in str(caught.value)


def test_a_jump_of_the_learning_rate_is_logged(caplog):
    tell_rate_change(STILL, change(STILL, steps=40), 20)
    assert "rate jumps from 1.25e-05 in step 20 to 0.0001 in the next" in caplog.text
    caplog.clear()
    tell_rate_change(STILL, change(STILL, steps=40), 2)  # before the first milestone of either
    constant = change(STILL, optimizer={"schedule": "constant"})
    tell_rate_change(constant, change(constant, steps=40), 20)
    tell_rate_change(STILL, change(STILL, steps=10), 12)  # no step follows
    assert not caplog.text


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"task": "lightweight_st"}, "nearest is lightweight_sr"),
        ({"task": "compressed_sr"}, "compressed_sr cannot be trained"),
        ({"task": "x"}, "use one of classical_sr, "),
        ({"task": "real_sr"}, "needs --data.degradation.kind blind"),
        ({"task": "gray_dn"}, "--network.in-chans is 3"),
        ({"task": "color_dn"}, "needs --data.degradation.kind noise"),
        ({"loss": {"name": "l1_ssim"}, "data": {"patch_size": 5}}, "l1_ssim needs HQ patches of at least 11 pixels"),
        ({"validation": {"level": 3}}, "validation.level 3 does not fit"),
        (
            {
                "task": "color_dn",
                "network": {"upscale": 1, "upsampler": ""},
                "data": {"degradation": dataclasses.replace(STILL.data.degradation, kind="noise", low=15, high=15)},
                "validation": {"level": 256},
            },
            "--validation.level of noise must lie in 0..255, got 256",
        ),
        (
            {"data": {"degradation": dataclasses.replace(STILL.data.degradation, low=3, high=3)}},
            "--data.degradation.low 3",
        ),
    ],
)
def test_parts_that_do_not_fit_each_other(parts, message):
    with pytest.raises(InputError, match=message):
        check_experiment(change(STILL, **parts))
