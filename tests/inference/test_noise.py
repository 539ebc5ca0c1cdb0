import numpy as np
import pytest
from picture_files import make_pixels

from swinir_jax.images import Picture
from swinir_jax.inference.noise import NOISY_LEVEL, noise_level


def scene(h=200, w=240):
    """Returns a smooth picture with an edge and a patch of strong texture, in 0..255."""
    y, x, c = np.meshgrid(np.arange(h), np.arange(w), np.arange(3), indexing="ij")
    smooth = 128 + 50 * np.sin(y / 30 + c) * np.cos(x / 40) + 40 * (x > w / 2)
    return smooth + 60 * ((x + y) % 2) * (y > h / 2)


def noisy(sigma, pixels):
    values = pixels + np.random.default_rng(0).normal(0, sigma, pixels.shape)
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("sigma", [0, 4, 12, 25, 50])
def test_level_follows_the_noise_of_gray_pixels(sigma):
    level = noise_level(Picture(noisy(sigma, scene()[..., 0])))
    assert level == pytest.approx(0.83 * sigma, rel=0.1, abs=0.5)  # the calmest blocks lie below the average


def test_edges_and_texture_are_no_noise_but_noise_of_all_kinds_of_pictures_is():
    clean, grainy = noisy(0, scene()), noisy(15, scene())
    assert noise_level(Picture(clean)) < NOISY_LEVEL / 4
    level = noise_level(Picture(grainy))
    assert level > 1.5 * NOISY_LEVEL
    assert noise_level(Picture(grainy.astype(np.uint16) * 257)) == pytest.approx(level, rel=1e-4)
    assert noise_level(Picture(grainy, alpha=clean[..., 0])) == level


def test_pictures_that_do_not_tell_count_as_clean():
    assert noise_level(Picture(make_pixels(3, h=9, w=1))) == 0
    for end in (0, 255):  # where half of the noise is cut off
        assert noise_level(Picture(noisy(25, np.full((99, 99, 3), end)))) == 0


def test_of_a_large_picture_the_middle_is_measured():
    middle = noisy(25, np.full((2048, 64), 128))
    calm = np.full((600, 64), 128, np.uint8)
    assert noise_level(Picture(np.concatenate([calm, middle, calm]))) == noise_level(Picture(middle)) > 0
