import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from swinir_jax import metrics
from swinir_jax.differentiable_metrics import ssim
from swinir_jax.errors import InputError

NAMES = {"psnr": metrics.psnr, "ssim": metrics.ssim, "psnrb": metrics.psnr_b}


def random_pair(*shape: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    hq = rng.integers(0, 256, shape)
    return np.clip(hq + rng.integers(-30, 31, shape), 0, 255).astype(np.uint8), hq.astype(np.uint8)


def slow_ssim(x: np.ndarray, y: np.ndarray) -> float:
    """SSIM of two gray images by its definition: weighted moments of every 11x11 window."""
    weight = np.array([[math.exp(-(i * i + j * j) / (2 * 1.5**2)) for j in range(-5, 6)] for i in range(-5, 6)])
    weight /= weight.sum()
    x, y = x.astype(float), y.astype(float)
    values = []
    for i in range(x.shape[0] - 10):
        for j in range(x.shape[1] - 10):
            a, b = x[i : i + 11, j : j + 11], y[i : i + 11, j : j + 11]
            mean_a, mean_b = (weight * a).sum(), (weight * b).sum()
            var_a, var_b = (weight * (a - mean_a) ** 2).sum(), (weight * (b - mean_b) ** 2).sum()
            cov = (weight * (a - mean_a) * (b - mean_b)).sum()
            luminance = (2 * mean_a * mean_b + 2.55**2) / (mean_a**2 + mean_b**2 + 2.55**2)
            values.append(luminance * (2 * cov + 7.65**2) / (var_a + var_b + 7.65**2))
    return sum(values) / len(values)


def slow_psnr_b(x: np.ndarray, y: np.ndarray) -> float:
    """PSNR-B of two gray images, step by step over all neighbours."""
    x, y = x.astype(float), y.astype(float)
    h, w = x.shape
    at_borders = inside = 0.0
    for i in range(h):
        for j in range(w):
            for di, dj, position in ((0, 1, j), (1, 0, i)):
                if i + di < h and j + dj < w:
                    step = (x[i, j] - x[i + di, j + dj]) ** 2
                    if position % 8 == 7:
                        at_borders += step
                    else:
                        inside += step
    borders = h * (w // 8 - 1) + w * (h // 8 - 1)
    excess = at_borders / borders - inside / (h * (w - 1) + w * (h - 1) - borders)
    effect = max(0.0, excess) * math.log2(8) / math.log2(min(h, w))
    return 10 * math.log10(255**2 / (((x - y) ** 2).mean() + effect))


def test_y_has_the_weights_of_bt601_in_rgb_order():
    colours = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    expected = [[16, 235, 81.481, 144.553, 40.966]]
    np.testing.assert_allclose(metrics.rgb_to_y(colours), expected, rtol=1e-14)
    np.testing.assert_allclose(metrics.rgb_to_y(colours.astype(np.float32)), expected, rtol=1e-14)


def test_psnr_of_a_known_error():
    hq = np.full((2, 2), 100, np.uint8)
    restored = np.array([[110, 100], [100, 100]], np.uint8)  # mean squared error 25
    assert metrics.psnr(restored, hq) == pytest.approx(20 * math.log10(255 / 5), abs=1e-12)
    assert metrics.psnr(hq, restored) == metrics.psnr(restored, hq)  # uint8 must not wrap below zero


def test_psnr_averages_the_error_of_all_channels_before_the_logarithm():
    hq = np.zeros((4, 5, 3), np.uint8)
    restored = hq + np.array([0, 0, 6], np.uint8)  # mean squared error 36 / 3
    assert metrics.psnr(restored, hq) == pytest.approx(10 * math.log10(255**2 / 12), abs=1e-12)


def test_psnr_y_sees_a_channel_with_its_weight():
    hq = np.zeros((4, 5, 3), np.uint8)
    restored = hq + np.array([0, 0, 255], np.uint8)
    assert metrics.psnr(restored, hq, y_channel=True) == pytest.approx(20 * math.log10(255 / 24.966), abs=1e-12)


@pytest.mark.parametrize("shape", [(13, 17), (13, 17, 1), (12, 19, 3)])
def test_ssim_matches_its_definition(shape):
    restored, hq = random_pair(*shape)
    planes = [np.atleast_3d(image).transpose(2, 0, 1) for image in (restored, hq)]
    expected = np.mean([slow_ssim(a, b) for a, b in zip(*planes, strict=True)])
    assert metrics.ssim(restored, hq) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("shape", [(24, 40), (21, 35), (16, 23)])
def test_psnr_b_matches_its_definition(shape):
    restored, hq = random_pair(*shape)
    blocks = (np.indices(shape) // 8).sum(axis=0) % 2 * 40
    restored = np.clip(restored // 4 + blocks, 0, 255).astype(np.uint8)
    expected = slow_psnr_b(restored, hq)
    assert expected < metrics.psnr(restored, hq) - 1e-3  # the blocking counts in this case
    assert metrics.psnr_b(restored, hq) == pytest.approx(expected, abs=1e-12)


def test_psnr_b_of_one_known_step():
    blocky, flat = np.full((16, 16), 100, np.uint8), np.full((16, 16), 100, np.uint8)
    blocky[:, 8:] = 110  # 16 steps of 10 among the 32 across block borders, none inside; log 8 / log 16 = 3/4
    effect = 16 * 10**2 / 32 * 3 / 4
    assert metrics.psnr_b(blocky, flat) == pytest.approx(10 * math.log10(255**2 / (50 + effect)), abs=1e-12)
    assert metrics.psnr_b(blocky, blocky) == pytest.approx(10 * math.log10(255**2 / effect), abs=1e-12)
    assert metrics.psnr_b(flat, blocky) == pytest.approx(metrics.psnr(flat, blocky), abs=1e-12)


def test_psnr_b_rewards_no_block_border_smoother_than_the_inside():
    restored = np.full((16, 16), 100, np.uint8)
    restored[:, 4:] = 110  # the only step lies inside the blocks
    hq = np.full((16, 16), 90, np.uint8)
    assert metrics.psnr_b(restored, hq) == metrics.psnr(restored, hq)


def test_psnr_b_of_colour_averages_the_decibels_of_the_channels():
    restored, hq = random_pair(24, 17, 3)
    channels = [metrics.psnr_b(restored[..., c], hq[..., c]) for c in range(3)]
    assert metrics.psnr_b(restored, hq) == pytest.approx(np.mean(channels), abs=1e-12)
    assert len({round(value, 6) for value in channels}) == 3


@pytest.mark.parametrize("metric", NAMES.values())
def test_y_switch_measures_luma_and_leaves_gray_alone(metric):
    restored, hq = random_pair(20, 27, 3)
    assert metric(restored, hq, y_channel=True) == metric(metrics.rgb_to_y(restored), metrics.rgb_to_y(hq))
    gray, gray_hq = restored[..., 0], hq[..., 0]
    assert metric(gray, gray_hq, y_channel=True) == metric(gray, gray_hq)
    assert metric(gray[..., None], gray_hq[..., None], y_channel=True) == metric(gray, gray_hq)


@pytest.mark.parametrize("metric", NAMES.values())
def test_crop_cuts_every_side(metric):
    restored, hq = random_pair(22, 29, 3)
    assert metric(restored, hq, crop=3) == metric(restored[3:-3, 3:-3], hq[3:-3, 3:-3])
    assert metric(restored, hq, crop=3) != metric(restored, hq)


def test_identical_images():
    image = (np.indices((16, 24)).sum(axis=0) * 3).astype(np.uint8)  # a slope: no blocking
    assert metrics.psnr(image, image) == math.inf
    assert metrics.psnr_b(image, image) == math.inf
    assert metrics.ssim(image, image) == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize(
    ("metric", "restored", "crop", "message"),
    [
        (metrics.psnr, np.zeros((8, 9), np.uint8), 0, r"restored \(8, 9\), hq \(8, 8\)"),
        (metrics.psnr, np.zeros((8, 8), np.int64), 0, "restored must be uint8.* got int64"),
        (metrics.psnr, np.zeros((8, 8), bool), 0, "got bool"),
        (metrics.psnr, np.zeros((8, 8, 4), np.uint8), 0, r"got \(8, 8, 4\)"),
        (metrics.psnr, np.zeros((1, 8, 8, 3), np.uint8), 0, r"got \(1, 8, 8, 3\)"),
        (metrics.psnr, np.full((8, 8), np.nan), 0, "restored has values that are not finite"),
        (metrics.psnr, np.zeros((8, 8), np.uint8), 4, "Cannot cut 4 pixels from each side of an image of 8x8"),
        (metrics.psnr, np.zeros((8, 8), np.uint8), -1, "Cannot cut -1"),
        (metrics.ssim, np.zeros((8, 8), np.uint8), 0, "SSIM needs sides of at least 11 pixels, got 8x8"),
        (metrics.psnr_b, np.zeros((8, 8), np.uint8), 1, "PSNR-B needs sides of at least 16 pixels, got 6x6"),
    ],
)
def test_unusable_pairs_are_refused_in_one_line(metric, restored, crop, message):
    with pytest.raises(InputError, match=message) as caught:
        metric(restored, np.zeros((8, 8), np.uint8), crop)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1)])
def test_y_needs_colour(shape):
    with pytest.raises(InputError, match="RGB"):
        metrics.rgb_to_y(np.zeros(shape, np.uint8))


def test_official_figures(shared):
    goldens = json.loads((shared / "goldens/metrics.json").read_text())
    sets = shared / "data/testsets"
    for case, figures in goldens.items():
        dataset, rest = case.split("/")
        name, degradation = rest.split(" ", 1)
        if degradation.startswith("nearest x"):
            scale = degradation.removeprefix("nearest x")
            lq = np.asarray(Image.open(sets / dataset / f"LR_bicubic/X{scale}/{name}x{scale}.png"))
            restored = lq.repeat(int(scale), axis=0).repeat(int(scale), axis=1)
            hq = np.asarray(Image.open(sets / dataset / f"HR/{name}.png"))[: restored.shape[0], : restored.shape[1]]
        else:
            hq = np.asarray(Image.open(sets / dataset / name))
            restored = np.minimum(255, hq.astype(int) // 16 * 16 + 8).astype(np.uint8)
        crop = figures.pop("crop_border")
        for figure, expected in figures.items():
            metric, _, y = figure.partition("_")
            # On Y the original averages squared errors in float32.
            tolerance = 1e-4 if figure in ("psnr_y", "psnrb_y") else 1e-6
            got = NAMES[metric](restored, hq, crop, y_channel=bool(y))
            assert got == pytest.approx(expected, abs=tolerance), (case, figure)


def unit_batch(*shape: int) -> tuple[np.ndarray, np.ndarray]:
    restored, hq = random_pair(*shape, seed=1)
    return (restored / 255).astype(np.float32), (hq / 255).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 3])
def test_jax_ssim_agrees_with_numpy_image_by_image(channels):
    restored, hq = random_pair(3, 19, 30, channels)
    restored[1] = hq[1] // 2  # images of one batch must not mix
    expected = [metrics.ssim(a, b) for a, b in zip(restored, hq, strict=True)]
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        a, b = jnp.asarray(restored / 255, jnp.float32), jnp.asarray(hq / 255, jnp.float32)
        np.testing.assert_allclose(ssim(a, b), expected, rtol=1e-6)
        np.testing.assert_allclose(jax.jit(ssim)(a, b), expected, rtol=1e-6)
        np.testing.assert_allclose(jax.vmap(ssim)(a[:, None], b[:, None])[:, 0], expected, rtol=1e-6)


def test_jax_ssim_keeps_small_variances_of_bright_images():
    rng = np.random.default_rng(2)
    restored, hq = (rng.uniform(0.98, 1, (1, 24, 24, 1)).astype(np.float32) for _ in range(2))
    expected = metrics.ssim(255 * restored[0].astype(np.float64), 255 * hq[0].astype(np.float64))
    np.testing.assert_allclose(ssim(restored, hq), [expected], atol=1e-4)


def test_jax_ssim_has_the_gradient_of_the_numpy_metric():
    restored, hq = unit_batch(1, 14, 13, 3)
    direction = np.random.default_rng(3).standard_normal(restored.shape)
    gradient = jax.jit(jax.grad(lambda x: ssim(x, hq).sum()))(restored)
    got = np.vdot(gradient, direction)
    x, y, step = 255 * restored[0].astype(np.float64), 255 * hq[0].astype(np.float64), 1e-5
    ahead, behind = (metrics.ssim(x + sign * 255 * step * direction[0], y) for sign in (1, -1))
    np.testing.assert_allclose(got, (ahead - behind) / (2 * step), rtol=1e-4)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0, None])
def test_the_gradient_of_identical_images_is_finite_and_vanishes(value):
    image = unit_batch(2, 16, 15, 3)[1] if value is None else np.full((2, 16, 15, 3), value, np.float32)
    total, gradient = jax.jit(jax.value_and_grad(lambda x, y: ssim(x, y).sum()))(image, image)
    assert total == pytest.approx(2, rel=1e-6)
    np.testing.assert_allclose(gradient, np.zeros_like(image), atol=1e-6)


def test_jax_ssim_measures_half_precision_in_float32():
    restored, hq = (jnp.asarray(image, jnp.bfloat16) for image in unit_batch(2, 16, 15, 3))
    got = ssim(restored, hq)
    assert got.dtype == jnp.float32
    np.testing.assert_array_equal(got, ssim(restored.astype(jnp.float32), hq.astype(jnp.float32)))


@pytest.mark.parametrize(
    ("restored", "message"),
    [
        (np.zeros((2, 8, 9, 3), np.float32), r"restored \(2, 8, 9, 3\)"),
        (np.zeros((2, 8, 8, 3), np.uint8), "restored must be float .* got uint8"),
        (np.zeros((2, 8, 8, 3), np.float32), "at least 11 pixels, got 8x8"),
    ],
)
def test_jax_ssim_refuses_unusable_pairs(restored, message):
    with pytest.raises(InputError, match=message):
        ssim(restored, np.zeros((2, 8, 8, 3), np.float32))


def test_jax_ssim_refuses_a_single_image():
    with pytest.raises(InputError, match=r"\[B, h, w, C\]"):
        ssim(np.zeros((8, 8, 3), np.float32), np.zeros((8, 8, 3), np.float32))
