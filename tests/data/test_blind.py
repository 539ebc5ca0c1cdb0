import dataclasses

import cv2
import numpy as np
import pytest
from goldens import GOLDENS
from PIL import Image
from scipy import stats

from swinir_jax import InputError
from swinir_jax.colour import FULL_RANGE_LUMA
from swinir_jax.data.blind import blind_chain, blur, combine, kernels, noise
from swinir_jax.data.blind.chains import CHAINS, Chain
from swinir_jax.data.degradations import imresize

PARTS = np.load(GOLDENS / "real_world" / "degradation_parts.npz")
STATISTICS = np.load(GOLDENS / "real_world" / "degradation_statistics.npz")
IMAGE = (PARTS["image"] / 255).astype(np.float32)


@pytest.mark.parametrize(("side", "theta", "l1", "l2", "sigma"), PARTS["kernels"].tolist())
def test_gaussian_kernels_and_blur_equal_the_original(side, theta, l1, l2, sigma):
    side = int(side)
    kernel = kernels.gaussian(side, (l1, l2), theta)
    np.testing.assert_allclose(kernel, PARTS[f"anisotropic_{side}"], atol=1e-10)
    isotropic = kernels.gaussian(side, (sigma**2, sigma**2))
    np.testing.assert_allclose(isotropic, PARTS[f"isotropic_{side}"], atol=1e-10)
    np.testing.assert_allclose(blur.convolve(IMAGE, kernel), PARTS[f"blurred_{side}"], atol=1e-5)


@pytest.mark.parametrize("scale", [2, 4])
def test_shifted_kernels_equal_the_original(scale):
    kernel = kernels.shifted_gaussian(25, float(PARTS[f"shifted_x{scale}_sigma"]), scale)
    np.testing.assert_allclose(kernel, PARTS[f"shifted_x{scale}"], atol=1e-10)


def test_a_plain_downscale_with_the_shifted_kernel_stays_aligned():
    ramp = np.tile(np.linspace(0.2, 0.8, 96, dtype=np.float32)[:, None, None], (1, 96, 3))
    step = blur.ShiftedDownscale(scale=4, sigma=(1.6, 1.6))
    lq = step(ramp, (24, 24), np.random.default_rng(0))
    np.testing.assert_allclose(lq[6:-6], imresize(ramp, 1 / 4)[6:-6], atol=1e-3)


@pytest.mark.parametrize("kernel", [np.arange(9.0).reshape(3, 3), np.outer([1.0, 2, 4], [3, 8, 5])])
def test_convolution_turns_the_kernel_around(kernel):
    pixel = np.zeros((9, 9, 3), np.float32)
    pixel[4, 4] = 1
    np.testing.assert_array_equal(blur.convolve(pixel, kernel)[3:6, 3:6, 0], kernel)


@pytest.mark.parametrize("round_kernel", [kernels.gaussian(25, (4.0, 4.0)), kernels.shifted_gaussian(25, 1.6, 4)])
def test_round_kernels_are_convolved_by_rows_and_columns(monkeypatch, round_kernel):
    expected = cv2.filter2D(
        IMAGE, -1, np.ascontiguousarray(round_kernel[::-1, ::-1]), borderType=cv2.BORDER_REFLECT_101
    )
    monkeypatch.setattr(cv2, "filter2D", None)
    np.testing.assert_allclose(blur.convolve(IMAGE, round_kernel), expected, atol=1e-6)


def test_sharpening_equals_the_original():
    np.testing.assert_allclose(blur.sharpen(IMAGE), PARTS["sharpened"], atol=1e-5)


def test_covariance_of_noise_equals_the_original():
    covariance = noise.noise_covariance(25 / 255, np.diag(PARTS["noise_D"]), PARTS["noise_U"])
    np.testing.assert_allclose(covariance, PARTS["noise_covariance"], atol=1e-12)


RESIZED = [name for name in PARTS.files if name.startswith("resized")]


@pytest.mark.parametrize("name", RESIZED)
def test_resizing_equals_the_original(name):
    _, method, size = name.split("_")
    width, height = map(int, size.split("x"))
    interpolation = {"linear": "bilinear", "cubic": "bicubic", "area": "area"}[method]
    resized = blur.resize(IMAGE, (height, width), interpolation)
    np.testing.assert_allclose(resized, np.clip(PARTS[name], 0, 1), atol=1e-5)


def test_a_sinc_filter_passes_low_frequencies_and_stops_high_ones():
    response = np.abs(np.fft.fft2(kernels.sinc(21, np.pi / 2), (256, 256)))[0]
    frequency = 2 * np.pi * np.fft.fftfreq(256)
    assert np.abs(response[np.abs(frequency) < 0.3 * np.pi] - 1).max() < 0.2
    assert response[np.abs(frequency) > 0.7 * np.pi].max() < 0.1


def test_a_sinc_filter_takes_the_cutoff_of_its_side():
    step = blur.Sinc(cutoff=(1, 1), wide_cutoff=(2, 2))
    for side, cutoff in ((7, 1), (11, 1), (13, 2), (21, 2)):
        np.testing.assert_array_equal(step.draw(side, np.random.default_rng(0)), kernels.sinc(side, cutoff))


def test_gaussian_kernels_may_have_a_flat_top_or_other_powers():
    flat = blur.Gaussian(sigma=(2, 2), isotropic=True, flat=True).draw(9, np.random.default_rng(0))
    np.testing.assert_allclose(flat, kernels.plateau(9, (4, 4)), atol=1e-12)
    plain, other = (blur.Gaussian(sigma=(2, 2), isotropic=True, power=power) for power in ((1, 1), (0.5, 4)))
    peaks = {step: [step.draw(9, np.random.default_rng(seed)).max() for seed in range(20)] for step in (plain, other)}
    np.testing.assert_allclose(peaks[plain], kernels.gaussian(9, (4, 4)).max())
    assert min(peaks[other]) < 0.8 * peaks[plain][0] < 1.2 * peaks[plain][0] < max(peaks[other])


def test_a_resize_may_take_its_factor_of_the_size_of_lq():
    image, step = np.zeros((80, 96, 3), np.float32), blur.Resize(factors=(0.5, 1), of_target=True)
    sizes = np.array([step(image, (20, 24), np.random.default_rng(seed)).shape[:2] for seed in range(40)])
    np.testing.assert_array_equal([sizes.min(axis=0), sizes.max(axis=0)], [(10, 12), (19, 23)])


def test_noise_has_the_strength_and_the_channels_it_names():
    gray, rng = np.full((200, 200, 3), 0.5, np.float32), np.random.default_rng(0)
    for options, correlation in ((dict(gray=1.0), 1.0), (dict(gray=0.0), 0.0)):
        added = noise.GaussianNoise(sigma=(10, 10), **options)(gray, (1, 1), rng) - gray
        np.testing.assert_allclose(added.std() * 255, 10, rtol=0.02)
        np.testing.assert_allclose(
            np.corrcoef(added[..., 0].ravel(), added[..., 1].ravel())[0, 1], correlation, atol=0.02
        )
    shot = noise.BsrganPoissonNoise(exponent=(3, 3), gray=0.0)(gray, (1, 1), rng) - gray
    np.testing.assert_allclose(shot.std(), np.sqrt(0.5 / 1000), rtol=0.02)


def test_shot_noise_of_real_esrgan_counts_photons_by_the_levels_of_the_image():
    image = np.full((200, 200, 3), 0.5, np.float32)
    image[:, :2] = np.linspace(0, 1, 200, dtype=np.float32)[:, None, None]  # 200 levels, so 256 photons
    step = noise.RealEsrganPoissonNoise(strength=(2, 2), gray=0.0)
    added = (step(image, (1, 1), np.random.default_rng(0)) - image)[:, 2:]
    np.testing.assert_allclose(added.std(), 2 * np.sqrt(0.5 / 256), rtol=0.02)


def features(lq, hq, scale):
    """Features of the original's statistics, in the order of `STATISTICS["features"]`."""
    error = lq - np.clip(imresize(hq, 1 / scale), 0, 1)
    y = lq @ np.array(FULL_RANGE_LUMA)
    laplacian = 4 * y[1:-1, 1:-1] - y[:-2, 1:-1] - y[2:, 1:-1] - y[1:-1, :-2] - y[1:-1, 2:]
    chroma = error - (error @ np.array(FULL_RANGE_LUMA))[..., None]
    return -10 * np.log10((error**2).mean()), np.abs(laplacian).mean(), chroma.std(), np.abs(error.mean((0, 1))).max()


@pytest.mark.parametrize("name", ["bsrgan_x4", "bsrgan_x2", "bsrgan_plus_x4"])
def test_statistics_of_draws_are_those_of_the_original(name, shared):
    chain, rng, patch, margin = CHAINS[name], np.random.default_rng(0), int(STATISTICS["lq_patch"]), 16
    scale, side = chain.scale, patch + 2 * margin
    files = [shared / "data" / "testsets" / "McMaster" / photo for photo in STATISTICS["photos"]]
    photos = [np.asarray(Image.open(file).convert("RGB")) / np.float32(255) for file in files]
    drawn = []
    for i in range(800):
        photo = photos[i % len(photos)]
        top, left = (scale * int(rng.integers(length // scale - side + 1)) for length in photo.shape[:2])
        hq, lq = chain(photo[top : top + side * scale, left : left + side * scale], rng)
        hq, lq = hq[margin * scale :, margin * scale :], lq[margin:, margin:]
        drawn.append(features(lq[:patch, :patch], hq[: patch * scale, : patch * scale], scale))
    for feature, ours, theirs in zip(STATISTICS["features"], np.transpose(drawn), STATISTICS[name].T, strict=True):
        error = np.sqrt(ours.var() / len(ours) + theirs.var() / len(theirs))
        assert abs(ours.mean() - theirs.mean()) < 3 * error, feature
        assert stats.ks_2samp(ours, theirs).pvalue > 0.001, feature


@pytest.mark.parametrize("name", CHAINS)
def test_chains_are_values_that_give_the_same_of_the_same_generator(name):
    chain = CHAINS[name]
    assert chain == dataclasses.replace(chain)
    assert isinstance(hash(chain), int)
    first, second = (chain(IMAGE, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first[1], second[1])
    hq, lq = first
    assert lq.shape == (96 // chain.scale, 80 // chain.scale, 3)
    assert (lq.dtype, hq.dtype, hq.shape) == (np.float32, np.float32, IMAGE.shape)
    assert 0 <= lq.min() < lq.max() <= 1
    assert not np.array_equal(lq, chain(IMAGE, np.random.default_rng(4))[1])
    assert np.array_equal(hq, IMAGE) != chain.sharpen


def test_photo_leaves_a_tenth_clean():
    hq = IMAGE[:32, :32]
    clean = [np.array_equal(CHAINS["photo_x1"](hq, np.random.default_rng(seed))[1], hq) for seed in range(400)]
    assert 0.06 < np.mean(clean) < 0.15


def test_photo_strong_does_more_than_photo_and_leaves_a_quarter_without_jpeg_in_the_end(monkeypatch):
    def lqs(name):
        return [CHAINS[name](IMAGE[:32, :32], np.random.default_rng(seed))[1] for seed in range(400)]

    def error(name):
        return np.mean([np.abs(lq - IMAGE[:32, :32]).mean() for lq in lqs(name)])

    assert error("photo_strong_x1") > 1.5 * error("photo_x1")
    monkeypatch.setattr(noise, "jpeg", lambda samples, quality: np.full_like(samples, 255))
    monkeypatch.setattr(noise.GaussianNoise, "__call__", lambda self, image, target, rng: image / 2)
    # White by the last JPEG, or by the first where neither noise nor JPEG follows.
    white = np.mean([lq.min() == 1 for lq in lqs("photo_strong_x1")])
    assert white == pytest.approx(0.75 + 0.25 * 0.4 * 0.6, abs=0.07)


def test_real_esrgan_blurs_once_and_four_times_out_of_five_each_later_time(monkeypatch):
    blurs = []
    monkeypatch.setattr(blur, "convolve", lambda image, kernel: blurs.append(kernel) or image)
    for seed in range(400):
        CHAINS["real_esrgan_x4"](IMAGE[:32, :32], np.random.default_rng(seed))
    assert len(blurs) / 400 == pytest.approx(1 + 0.8 + 0.8, abs=0.1)


def test_what_a_chain_cannot_degrade_is_refused():
    with pytest.raises(InputError, match=r"x4 takes .* got \(98, 80, 3\)"):
        CHAINS["bsrgan_x4"](np.zeros((98, 80, 3), np.float32), np.random.default_rng(0))
    with pytest.raises(InputError, match="'bsrgan'; there are bsrgan_x2, bsrgan_x4"):
        blind_chain("bsrgan")


def test_a_shuffled_chain_keeps_the_order_that_is_asked():
    class Note:
        def __init__(self, number):
            self.number = number

        def __call__(self, image, target, rng):
            seen.append(self.number)
            return image

    steps = combine.Shuffled(steps=tuple(map(Note, range(4))), before=(1, 2))
    orders = set()
    for seed in range(200):
        seen = []
        Chain(scale=2, steps=steps)(IMAGE, np.random.default_rng(seed))
        assert sorted(seen) == [0, 1, 2, 3]
        assert seen.index(1) < seen.index(2)
        orders.add(tuple(seen))
    assert len(orders) == 12
