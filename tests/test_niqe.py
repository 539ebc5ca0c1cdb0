import json

import numpy as np
import pytest
from goldens import GOLDENS
from PIL import Image

from swinir_jax import InputError
from swinir_jax.niqe import niqe

SCORES = json.loads((GOLDENS / "real_world" / "niqe.json").read_text())


@pytest.mark.parametrize("name", SCORES)
def test_scores_are_those_of_the_original(name, shared):
    (file,) = (file for file in (shared / "data" / "testsets").rglob(name) if "LR" not in str(file))
    image = np.asarray(Image.open(file).convert("RGB"))
    np.testing.assert_allclose([niqe(image)[0], niqe(image, crop=4)[0]], SCORES[name], atol=1e-4)


def test_noise_and_blur_raise_the_score_and_gray_is_its_luma():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:288, :288] / 40
    clean = 128 + 60 * np.sin(x * y) + rng.normal(0, 3, (288, 288)).cumsum(axis=0) / 8
    image = np.clip(clean, 0, 255).round().astype(np.uint8)
    assert niqe(image) == niqe(image[..., None])
    assert niqe(np.clip(image + rng.normal(0, 40, image.shape), 0, 255))[0] > niqe(image)[0]


@pytest.mark.parametrize(
    "image",
    [np.zeros((100, 190), np.uint8), *(np.full((288, 192, 3), value, np.uint8) for value in (0, 100, 255))],
    ids=["small", "black", "gray", "white"],
)
def test_images_without_two_usable_blocks_have_no_score(image):
    score, usable = niqe(image)
    assert (np.isnan(score), usable) == (True, 0)


def test_two_blocks_are_enough():
    score, usable = niqe(np.random.default_rng(0).integers(0, 256, (96, 192), np.uint8))
    assert (np.isfinite(score), usable) == (True, 2)


def test_flat_blocks_are_not_counted():
    image = np.full((288, 288), 100, np.uint8)
    image[:96] = np.random.default_rng(0).integers(0, 256, (96, 288), np.uint8)
    score, usable = niqe(image)  # edges of the texture reach 3 pixels into the second row of blocks
    assert (np.isfinite(score), usable) == (True, 6)
    score, usable = niqe(image[96 + 3 :])
    assert (np.isnan(score), usable) == (True, 0)


@pytest.mark.parametrize(
    "image", [np.full((192, 192), np.nan), np.zeros((192, 192, 2)), np.zeros(9), np.zeros((9, 9), int)]
)
def test_arrays_that_are_no_images_are_refused(image):
    with pytest.raises(InputError):
        niqe(image)


def test_a_negative_border_is_refused():
    with pytest.raises(InputError, match="Cannot cut -5 pixels"):
        niqe(np.zeros((192, 192)), crop=-5)
