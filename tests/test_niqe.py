import json

import numpy as np
import pytest
from goldens import GOLDENS
from PIL import Image

from swinir_jax import InputError
from swinir_jax.niqe import niqe, niqe_and_blocks

SCORES = json.loads((GOLDENS / "real_world" / "niqe.json").read_text())


@pytest.mark.parametrize("name", SCORES)
def test_scores_are_those_of_the_original(name, shared):
    (file,) = (file for file in (shared / "data" / "testsets").rglob(name) if "LR" not in str(file))
    image = np.asarray(Image.open(file).convert("RGB"))
    np.testing.assert_allclose([niqe(image), niqe(image, crop=4)], SCORES[name], atol=1e-4)


def test_noise_and_blur_raise_the_score_and_gray_is_its_luma():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:288, :288] / 40
    clean = 128 + 60 * np.sin(x * y) + rng.normal(0, 3, (288, 288)).cumsum(axis=0) / 8
    image = np.clip(clean, 0, 255).round().astype(np.uint8)
    assert niqe(image) == niqe(image[..., None])
    assert niqe(np.clip(image + rng.normal(0, 40, image.shape), 0, 255)) > niqe(image)


def test_images_without_two_blocks_are_refused():
    with pytest.raises(InputError, match="two blocks of 96x96"):
        niqe(np.zeros((100, 190), np.uint8))
    niqe(np.random.default_rng(0).integers(0, 256, (96, 192), np.uint8))


@pytest.mark.parametrize("value", [0, 100, 255])
def test_flat_images_are_refused_in_words(value):
    with pytest.raises(InputError, match=r"at least two blocks .* that are not flat; .*\(288, 192, 3\) has 0"):
        niqe(np.full((288, 192, 3), value, np.uint8))


def test_flat_blocks_are_not_counted():
    image = np.full((288, 288), 100, np.uint8)
    image[:96] = np.random.default_rng(0).integers(0, 256, (96, 288), np.uint8)
    score, usable = niqe_and_blocks(image)  # edges of the texture reach 3 pixels into the second row of blocks
    assert (np.isfinite(score), usable) == (True, 6)
    score, usable = niqe_and_blocks(image[96 + 3 :])
    assert (np.isnan(score), usable) == (True, 0)


@pytest.mark.parametrize(
    "image", [np.full((192, 192), np.nan), np.zeros((192, 192, 2)), np.zeros(9), np.zeros((9, 9), int)]
)
def test_arrays_that_are_no_images_are_refused(image):
    with pytest.raises(InputError):
        niqe_and_blocks(image)


def test_a_negative_border_is_refused():
    with pytest.raises(InputError, match="Cannot cut -5 pixels"):
        niqe_and_blocks(np.zeros((192, 192)), crop=-5)
