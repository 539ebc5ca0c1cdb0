import json
import logging
import shutil

import jax
import numpy as np
import pytest
from saved_runs import OF_FAILING_READS, opened, state_at, steps_in
from training_runs import STILL, assert_same_bits, first_state

import swinir_jax
from swinir_jax import InputError
from swinir_jax.checkpoints import run as run_folder_module
from swinir_jax.inference.restorer import Restorer
from swinir_jax.training.checkpoint import write_config
from swinir_jax.training.lock import held

pytestmark = OF_FAILING_READS


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
    assert {record.name.partition(".")[0] for record in caplog.records} == {"swinir_jax"}  # no warnings of Orbax
    image = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    assert Restorer(model, params)(image).shape == (18, 14, 3)


def test_a_run_without_validation_yields_the_latest_weights(tmp_path):
    write_config(tmp_path, STILL)
    with pytest.raises(InputError, match="this run has no checkpoint yet"):
        swinir_jax.load_pretrained(tmp_path)
    with opened(tmp_path, keep_last=3) as checkpoints:
        for step in (1, 2, 3):
            checkpoints.save(step, state_at(step), {})
    _, raw = swinir_jax.load_pretrained(tmp_path, weights="raw")
    assert_same_bits(raw, jax.tree.map(np.asarray, state_at(3).params))


def saved_with(workdir, *scores, keep_best=1):
    """Saves checkpoints with scores and settings; returns the step that `load_pretrained` chooses."""
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


def test_a_checkpoint_removed_while_it_is_read_is_replaced_by_the_next(run, monkeypatch):
    def load_params(path, load=run_folder_module.load_params):
        shutil.rmtree(run / "checkpoints" / "2", ignore_errors=True)
        return load(path)

    monkeypatch.setattr(run_folder_module, "load_params", load_params)
    assert taken(run) == 3


def test_a_damaged_run_is_named(run):
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
