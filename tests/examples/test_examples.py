"""The short examples on networks that compile at once, and deblurring as a command with the bundled network."""

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from goldens import TINY, params_of
from training_runs import STILL, first_state

import swinir_jax
from examples import ensemble, fine_tune, pipeline, video
from swinir_jax.data.pipeline import TrainingBatches

ROOT = Path(__file__).parents[2]
MODEL = swinir_jax.SwinIR(TINY)
PARAMS = [params_of(TINY, seed) for seed in (1, 2)]
IMAGES = np.random.default_rng(0).random((3, 8, 16, 3), dtype=np.float32)


def restore(params, lq):
    return jax.jit(MODEL.apply)({"params": params}, lq)


def assert_close(x, y):
    np.testing.assert_allclose(x, y, rtol=0, atol=2e-5)


def test_pipeline_restores_each_crop_in_order():
    photo = np.random.default_rng(0).integers(0, 256, (24, 21, 3), np.uint8)
    restored = list(pipeline.restored_batches(MODEL, PARAMS[0], pipeline.crop_batches(photo, 8, 3)))
    crops = [photo[y : y + 8, x : x + 8].astype(np.float32) / 255 for y in (0, 8, 16) for x in (0, 8)]
    expected = restore(PARAMS[0], np.stack(crops))
    assert_close(np.concatenate([hq for hq, _ in restored]), expected)
    sharpness = np.abs(np.diff(expected, axis=2)).mean(axis=(1, 2, 3))
    assert_close(np.concatenate([values for _, values in restored]), sharpness)


def test_video_is_restored_frame_by_frame():
    restored, change = jax.jit(video.restore_video, static_argnums=0)(MODEL, PARAMS[0], IMAGES)
    expected = restore(PARAMS[0], IMAGES)
    assert_close(restored, expected)
    assert_close(change, np.abs(np.diff(expected, axis=0)).mean(axis=(1, 2, 3)))


def test_ensemble_is_the_mean_of_its_members():
    mean, deviation = jax.jit(ensemble.ensemble, static_argnums=0)(MODEL, ensemble.stack(PARAMS), IMAGES)
    one, two = (restore(params, IMAGES) for params in PARAMS)
    assert_close(mean, (one + two) / 2)
    assert_close(deviation, np.abs(one - two) / 2)
    assert np.asarray(deviation).max() > 0.1


def test_fine_tuning_on_ten_photographs_lowers_the_error(tmp_path):
    fine_tune.write_crops(tmp_path, count=10, side=24)
    data = dataclasses.replace(STILL.data, hq=f"folder:{tmp_path}")
    batches = TrainingBatches(data, scale=2, channels=3, batch_size=4, seed=0)
    seen = next(batches)
    state = first_state()
    params = jax.tree.map(np.asarray, state.params)
    tuned = fine_tune.fine_tune(STILL, params, [next(batches) for _ in range(20)])
    batches.close()
    before, after = (fine_tune.mean_error(state.model, weights, seen) for weights in (params, tuned))
    assert after < 0.9 * before


@pytest.mark.as_shipped  # runs for longer than it compiles
def test_deblurring_comes_closer_to_the_sharp_picture(tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "deblur.py"), "--small", "--out", "deblurred.png"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    blurred, deblurred = map(float, re.findall(r"([\d.]+) dB", done.stdout))
    assert deblurred > blurred + 2
    assert (tmp_path / "deblurred.png").is_file()
