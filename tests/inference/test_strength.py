"""The two ends of the bundled networks for photographs."""

import numpy as np
import pytest
from PIL import Image
from training_runs import assert_same_bits

from swinir_jax import Restorer, load_pretrained
from swinir_jax.data.degradations import imresize


@pytest.fixture(scope="module")
def photo(request) -> np.ndarray:
    """A photograph of a face."""
    with Image.open(request.config.rootpath / "docs" / "astronaut.png") as image:
        return np.asarray(image) / np.float32(255)


@pytest.mark.parametrize("name", ["real_denoise", "real_x2", "real_x4"])
def test_the_strong_end_removes_more_noise_and_changes_more_of_a_clean_photograph(photo, name):
    scale = load_pretrained(name)[0].config.upscale
    middle = slice(128 - 20 * scale, 128 + 20 * scale)
    hq = photo[middle, middle]
    clean = np.clip(imresize(hq, 1 / scale), 0, 1)
    noisy = clean + np.random.default_rng(0).normal(0, 30 / 255, clean.shape).astype(np.float32)

    def errors(strength):
        restorer = Restorer(*load_pretrained(name, strength=strength))
        return [np.mean((restorer(lq) - hq) ** 2) for lq in (clean, noisy)]

    (faithful_clean, faithful_noisy), (strong_clean, strong_noisy) = errors(0), errors(1)
    assert faithful_clean < strong_clean
    assert strong_noisy < 0.95 * faithful_noisy


@pytest.mark.parametrize(("name", "strength"), [("real_denoise", 0.85), ("real_x2", 1), ("real_x4", 1)])
def test_the_default_strength(name, strength):
    assert_same_bits(load_pretrained(name)[1], load_pretrained(name, strength=strength)[1])
