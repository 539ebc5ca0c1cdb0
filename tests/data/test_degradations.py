import math

import numpy as np
import pytest
from PIL import Image

from swinir_jax.data import degradations
from swinir_jax.errors import InputError


def keys_kernel(x: float) -> float:
    x, a = abs(x), -0.5
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def slow_rows(image: np.ndarray, length: int, scale: float) -> np.ndarray:
    """Resizes the rows by walking over every source position that the kernel can reach, mirrored at the edges."""
    n, stretch = image.shape[0], max(1.0, 1 / scale)
    rows = []
    for i in range(length):
        center = (i + 0.5) / scale - 0.5
        total, weights = np.zeros(image.shape[1:]), 0.0
        for j in range(math.floor(center - 2 * stretch) - 1, math.ceil(center + 2 * stretch) + 2):
            source = j
            while not 0 <= source < n:
                source = -1 - source if source < 0 else 2 * n - 1 - source
            weight = keys_kernel((center - j) / stretch)
            total, weights = total + weight * image[source], weights + weight
        rows.append(total / weights)
    return np.array(rows)


def slow_columns(image: np.ndarray, length: int, scale: float) -> np.ndarray:
    return slow_rows(image.swapaxes(0, 1), length, scale).swapaxes(0, 1)


def rounded(image: np.ndarray) -> np.ndarray:
    return np.clip(np.floor(image + 0.5), 0, 255)


def random_image(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def test_enlarging_an_impulse_gives_the_cubic_kernel():
    row = np.array([[0, 0, 0, 1, 0, 0, 0]], float)
    # Output centers lie 1.75, 1.25, 0.75 and 0.25 pixels from the impulse on either side.
    side = [-0.0234375, -0.0703125, 0.2265625, 0.8671875]
    got = degradations.imresize(row, size=(1, 14))
    np.testing.assert_array_equal(got, [[0, 0, 0, *side, *side[::-1], 0, 0, 0]])


def test_shrinking_an_impulse_gives_the_kernel_twice_as_wide():
    row = np.zeros((1, 16))
    row[0, 7] = 2
    got = degradations.imresize(row, size=(1, 8))
    np.testing.assert_array_equal(got, [[0, 0, -0.0703125, 0.8671875, 0.2265625, -0.0234375, 0, 0]])


@pytest.mark.parametrize("scale", [1 / 2, 1 / 3, 1 / 4, 1 / 8, 0.7, 1.5, 2, 3, 4, 8])
@pytest.mark.parametrize("shape", [(13, 9), (9, 13, 3), (3, 2, 5)])
def test_float_images_match_the_definition(shape, scale):
    image = np.random.default_rng(0).random(shape)
    h, w = math.ceil(shape[0] * scale), math.ceil(shape[1] * scale)
    got = degradations.imresize(image, scale)
    assert got.shape == (h, w, *shape[2:])
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, slow_columns(slow_rows(image, h, scale), w, scale), atol=1e-13)


@pytest.mark.parametrize("scale", [1 / 2, 1 / 4, 2, 4])  # weights are exact in binary, so that halves are too
def test_uint8_images_are_rounded_after_rows_and_after_columns(scale):
    image = random_image(20, 28, 3)
    h, w = int(20 * scale), int(28 * scale)
    got = degradations.imresize(image, scale)
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, rounded(slow_columns(rounded(slow_rows(image, h, scale)), w, scale)))
    assert (got != rounded(slow_rows(rounded(slow_columns(image, w, scale)), h, scale))).any()
    assert (got != rounded(degradations.imresize(image.astype(float), scale))).any()


def test_the_axis_that_shrinks_most_goes_first():
    image = random_image(16, 32)
    got = degradations.imresize(image, size=(8, 8))
    np.testing.assert_array_equal(got, rounded(slow_rows(rounded(slow_columns(image, 8, 1 / 4)), 8, 1 / 2)))
    assert (got != rounded(slow_columns(rounded(slow_rows(image, 8, 1 / 2)), 8, 1 / 4))).any()


def test_size_sets_the_scale_of_each_axis():
    image = np.random.default_rng(0).random((10, 12, 3))
    np.testing.assert_array_equal(degradations.imresize(image, size=(5, 6)), degradations.imresize(image, 0.5))
    # 5 rows of 11 are not a scale of one half
    got = degradations.imresize(image[..., 0][:, :11], size=(10, 5))
    np.testing.assert_allclose(got, slow_columns(image[..., 0][:, :11], 5, 5 / 11), atol=1e-13)


def test_scale_one_changes_nothing():
    image = random_image(7, 9, 3)
    np.testing.assert_array_equal(degradations.imresize(image, 1), image)


def test_overshoot_is_kept_in_float_and_clipped_in_uint8():
    edge = np.repeat(np.array([[0, 0, 0, 255, 255, 255]], np.uint8), 6, axis=0)
    assert degradations.imresize(edge.astype(np.float32), 2).min() < -10
    assert degradations.imresize(edge.astype(np.float32), 2).max() > 265
    enlarged = degradations.imresize(edge, 2)[0]
    np.testing.assert_array_equal(enlarged[[4, 7]], [0, 255])


def test_halves_round_up():
    values = np.array([-3, 0.49, 0.5, 1.5, 2.5, 254.4, 254.5, 300])
    np.testing.assert_array_equal(degradations.to_uint8(values), [0, 0, 1, 2, 3, 254, 255, 255])


@pytest.mark.parametrize(
    ("image", "arguments", "message"),
    [
        (np.zeros((4, 4), np.int32), {"scale": 2}, "got int32"),
        (np.zeros((1, 4, 4, 3)), {"scale": 2}, r"got \(1, 4, 4, 3\)"),
        (np.zeros((0, 4)), {"scale": 2}, r"got \(0, 4\)"),
        (np.zeros((4, 4)), {}, "scale=None and size=None"),
        (np.zeros((4, 4)), {"scale": 2, "size": (8, 8)}, "either a scale or a size"),
        (np.zeros((4, 4)), {"scale": -1}, "got -1"),
        (np.zeros((4, 4)), {"scale": math.nan}, "got nan"),
        (np.zeros((4, 4)), {"size": (0, 3)}, r"got \(0, 3\)"),
        (np.zeros((4, 4)), {"size": (8, 8, 3)}, r"got \(8, 8, 3\)"),
        (np.zeros((4, 4)), {"size": (8.0, 8.0)}, r"got \(8.0, 8.0\)"),
    ],
)
def test_unresizable_images_are_refused(image, arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        degradations.imresize(image, **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_low_resolution_files_of_set5_come_out_bit_for_bit(shared, scale):
    folder = shared / "data/testsets/Set5"
    files = sorted(folder.glob("HR/*.png"))
    assert len(files) == 5
    for file in files:
        hq = np.asarray(Image.open(file))
        hq = hq[: hq.shape[0] // scale * scale, : hq.shape[1] // scale * scale]
        if scale == 8:  # these files were made in float
            got = degradations.to_uint8(degradations.imresize(hq.astype(np.float64), 1 / scale))
        else:
            got = degradations.imresize(hq, 1 / scale)
        expected = np.asarray(Image.open(folder / f"LR_bicubic/X{scale}/{file.stem}x{scale}.png"))
        np.testing.assert_array_equal(got, expected, err_msg=file.stem)


# The first draws of NumPy's legacy generator for seed 0.
SEED_0 = [1.764052345967664, 0.4001572083672233, 0.9787379841057392, 2.240893199201458, 1.8675579901499675]


def test_official_noise_of_gray_images():
    image = np.full((1, 5), 0.5, np.float32)
    got = degradations.gaussian_noise_official(image, 51)  # 51 / 255 = 0.2; up to 0.95, so scaled, not clipped
    np.testing.assert_allclose(got, [[0.5 + 0.2 * z for z in SEED_0]], rtol=1e-12)
    np.testing.assert_array_equal(degradations.gaussian_noise_official(image[..., None], 51)[..., 0], got)
    assert got.dtype == np.float64


def test_official_noise_of_colour_images_is_drawn_in_bgr_order():
    got = degradations.gaussian_noise_official(np.zeros((1, 1, 3), np.float32), 255)
    np.testing.assert_allclose(got, [[[SEED_0[2], SEED_0[1], SEED_0[0]]]], rtol=1e-12)


def test_official_noise_leaves_the_global_generator_alone():
    np.random.seed(7)
    expected = np.random.random_sample()
    np.random.seed(7)
    degradations.gaussian_noise_official(np.zeros((4, 4), np.float32), 25)
    assert np.random.random_sample() == expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_training_noise_has_the_requested_sigma_and_is_not_clipped(dtype):
    image = np.full((64, 64, 3), 0.9, dtype)
    rng = np.random.default_rng(0)
    noisy = degradations.gaussian_noise(image, 50, rng)
    assert noisy.dtype == dtype
    assert np.std(noisy - image) == pytest.approx(50 / 255, rel=0.02)
    assert np.mean(noisy - image) == pytest.approx(0, abs=0.01)
    assert noisy.max() > 1
    assert (degradations.gaussian_noise(image, 50, rng) != noisy).any()  # the generator advanced
    np.testing.assert_array_equal(degradations.gaussian_noise(image, 50, np.random.default_rng(0)), noisy)


@pytest.mark.parametrize(
    ("image", "sigma", "message"),
    [
        (np.zeros((4, 4), np.uint8), 25, "got uint8"),
        (np.zeros((4, 4), np.float16), 25, "got float16"),
        (np.zeros((4, 4)), -1, "got -1"),
        (np.zeros((4, 4)), math.nan, "got nan"),
    ],
)
def test_images_unfit_for_noise_are_refused(image, sigma, message):
    with pytest.raises(InputError, match=message):
        degradations.gaussian_noise_official(image, sigma)
    with pytest.raises(InputError, match=message):
        degradations.gaussian_noise(image, sigma, np.random.default_rng(0))


def test_official_noise_needs_an_image():
    with pytest.raises(InputError, match=r"got \(4, 4, 2\)"):
        degradations.gaussian_noise_official(np.zeros((4, 4, 2)), 25)


@pytest.mark.parametrize("shape", [(24, 41), (24, 41, 3)])
def test_jpeg_loses_less_at_a_higher_quality(shape):
    image = random_image(*shape)
    errors = []
    for quality in (10, 50, 95):
        decoded = degradations.jpeg(image, quality)
        assert decoded.shape == shape
        assert decoded.dtype == np.uint8
        errors.append(np.abs(decoded.astype(int) - image).mean())
    assert errors[0] > errors[1] > errors[2] > 0


def test_jpeg_keeps_channels_in_order():
    image = np.broadcast_to(np.array([200, 100, 30], np.uint8), (16, 16, 3))
    np.testing.assert_allclose(degradations.jpeg(image, 95).astype(int), image, atol=3)


def test_jpeg_halves_the_resolution_of_chroma_only():
    checkers = np.indices((32, 32)).sum(axis=0) % 2 == 0
    # Red and green of equal JPEG luma (76.2): the pattern is in chroma alone, and one pixel wide.
    colour = np.where(checkers[..., None], np.array([255, 0, 0]), np.array([0, 130, 0])).astype(np.uint8)
    assert np.ptp(degradations.jpeg(colour, 100)[8:24, 8:24].astype(int), axis=(0, 1)).max() < 16
    luma = np.where(checkers, 60, 200).astype(np.uint8)
    np.testing.assert_allclose(degradations.jpeg(luma, 100).astype(int), luma, atol=3)


@pytest.mark.parametrize(
    ("image", "quality", "message"),
    [
        (np.zeros((8, 8)), 50, "got float64"),
        (np.zeros((8, 8, 4), np.uint8), 50, r"got \(8, 8, 4\)"),
        (np.zeros((0, 8), np.uint8), 50, r"got \(0, 8\)"),
        (np.zeros((8, 8), np.uint8), 0, "1..100, got 0"),
        (np.zeros((8, 8), np.uint8), 101, "1..100, got 101"),
        (np.zeros((8, 8), np.uint8), 50.5, "1..100, got 50.5"),
    ],
)
def test_images_unfit_for_jpeg_are_refused(image, quality, message):
    with pytest.raises(InputError, match=message):
        degradations.jpeg(image, quality)
