"""What is degraded, restored and measured of a picture in each task."""

from pathlib import Path

import numpy as np
import pytest
from smooth_photos import photo

from swinir_jax import InputError
from swinir_jax.data.degradations import gaussian_noise_official, imresize, to_uint8
from swinir_jax.evaluation.protocol import baseline, evaluate
from swinir_jax.images import Picture, write_picture
from swinir_jax.metrics import psnr
from swinir_jax.tasks import METRICS, TASKS


def test_noise_input_by_hand():
    hq = photo("set/a.png", 20, 24)
    [(result, images)] = evaluate("gray_dn", 25, lambda lq: lq, [(Path("set/a.png"), None)])
    noisy = np.clip(np.round(gaussian_noise_official(hq / 255, 25).clip(0, 1) * 255), 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(images.restored, noisy)
    assert result.scores["psnr"] == psnr(noisy, hq)


def test_super_resolution_crops_to_the_scale_and_cuts_the_border():
    hq = photo("set/a.png", 37, 41, 3)[:36, :39]
    seen = []

    def network(lq):
        seen.append(lq)
        restored = hq / 255
        restored[:3] = 0  # wrong only in the border of 3, which is not measured
        return restored

    [(result, _)] = evaluate("classical_sr", 3, network, [(Path("set/a.png"), None)])
    np.testing.assert_allclose(seen[0], imresize(hq, 1 / 3) / 255, atol=1e-6)
    assert result.scores["psnr"] == np.inf


def test_a_pair_of_wrong_sizes_is_named():
    photo("hq/a.png", 40, 40, 3), photo("lq/a.png", 19, 20, 3)
    with pytest.raises(InputError, match=r"lq/a\.png does not fit hq/a\.png: 20x19 enlarged by 2 is not 40x40"):
        list(evaluate("classical_sr", 2, lambda lq: lq, [(Path("hq/a.png"), Path("lq/a.png"))]))


def test_colours_of_every_task():
    colour, gray = photo("c.png", 16, 16, 3), photo("g.png", 16, 16)
    for name, task in TASKS.items():
        for image in (colour, gray):
            assert task.colours(image).shape == ((16, 16) if task.channels == 1 else (16, 16, 3)), name
            assert task.colours(image).dtype == np.uint8
        assert set(task.metrics) <= METRICS.keys()


def test_gray_of_colour_files_is_each_task_s_own():
    white = np.full((8, 8, 3), 255, np.uint8)
    assert (TASKS["gray_dn"].colours(white) == 255).all()  # OpenCV's gray
    assert (TASKS["jpeg_car"].colours(white) == 235).all()  # MATLAB's Y


@pytest.mark.parametrize("task", ["classical_sr", "lightweight_sr", "color_dn", "color_jpeg_car"])
def test_a_gray_file_is_three_equal_channels_to_a_network_for_colour(task):
    """OpenCV reads three equal channels, whose Y has 219 of 255 values and smaller errors."""
    write_picture("flat.png", Picture(np.full((32, 32), 100, np.uint8)))
    scale = 2 if TASKS[task].level == "scale" else 1
    restored = np.full((32, 32, 3), 110 / 255)
    seen = []

    def network(lq):
        seen.append(lq)
        return restored

    level = {"scale": 2, "noise": 0, "jpeg": 90}[TASKS[task].level]
    [(result, _)] = evaluate(task, level, network, [(Path("flat.png"), None)])
    assert seen[0].shape == (32 // scale, 32 // scale, 3)
    np.testing.assert_array_equal(seen[0], seen[0][..., :1].repeat(3, axis=-1))
    assert result.scores["psnr"] == pytest.approx(28.130804, abs=1e-6)  # 20 log10(255 / 10)
    assert result.scores["psnr_y"] == pytest.approx(29.452725, abs=1e-6)  # 20 log10(255 / (10 * 219 / 255))
    hq, y, c = 16 + 100 * 219 / 255, 16 + 110 * 219 / 255, 2.55**2
    assert result.scores["ssim"] == pytest.approx((2 * 100 * 110 + c) / (100**2 + 110**2 + c), abs=1e-12)
    assert result.scores["ssim_y"] == pytest.approx((2 * hq * y + c) / (hq**2 + y**2 + c), abs=1e-12)


def test_bicubic_of_y_measures_gray_files_unchanged():
    gray = np.random.default_rng(0).integers(0, 256, (48, 56), np.uint8)
    write_picture("gray.png", Picture(gray))
    write_picture("colour.png", Picture(gray[..., None].repeat(3, axis=-1)))
    pairs = [(Path("gray.png"), None), (Path("colour.png"), None)]
    runs = evaluate("classical_sr", 4, baseline("bicubic", 4), pairs, bicubic_of_y=True)
    [of_gray, of_colour] = [result.scores for result, _ in runs]
    enlarged = to_uint8(imresize(imresize(gray.astype(float), 1 / 4), 4.0))
    assert of_gray["psnr_y"] == psnr(enlarged, gray, 4)
    # MATLAB's Y of a colour file takes 219 of 255 values: 20 log10(255 / 219) dB more, up to rounding.
    assert of_colour["psnr_y"] - of_gray["psnr_y"] == pytest.approx(1.3219, abs=0.01)
    assert of_colour["ssim_y"] != of_gray["ssim_y"]


@pytest.mark.parametrize("task", ["gray_dn", "jpeg_car"])
def test_networks_for_gray_are_measured_over_the_whole_range(task):
    write_picture("flat.png", Picture(np.full((32, 32), 100, np.uint8)))
    level = {"noise": 0, "jpeg": 90}[TASKS[task].level]
    [(result, _)] = evaluate(task, level, lambda lq: np.full((32, 32, 1), 110 / 255), [(Path("flat.png"), None)])
    assert result.scores["psnr"] == pytest.approx(28.130804, abs=1e-6)  # 20 log10(255 / 10)
    assert "psnr_y" not in result.scores
