import numpy as np
import pytest

from swinir_jax import InputError
from swinir_jax.inference.colour import resize, through_network


def rgb(*shape):
    return np.random.default_rng(0).random((*shape, 3), dtype=np.float32)


def test_rgb_through_a_gray_network_that_does_nothing_is_unchanged():
    image = rgb(9, 7)
    np.testing.assert_allclose(through_network(image, lambda luma: luma, 1, 1), image, atol=1e-6)


def test_rgb_through_a_gray_network_moves_only_the_luma():
    image = rgb(9, 7)
    # Y = .299 R + .587 G + .114 B, so raising Y by .1 raises each colour by .1.
    np.testing.assert_allclose(through_network(image, lambda luma: luma + 0.1, 1, 1), image + 0.1, atol=1e-6)


def test_gray_through_an_rgb_network_sees_three_equal_channels():
    image = rgb(5, 6)[..., :1]
    seen = []
    restored = through_network(image, lambda x: seen.append(x) or x, 3, 1)
    np.testing.assert_array_equal(seen[0], image.repeat(3, axis=-1))
    np.testing.assert_allclose(restored, image, atol=1e-6)


def test_chroma_is_enlarged():
    image = np.broadcast_to(np.array([0.8, 0.3, 0.1], np.float32), (4, 5, 3))
    restored = through_network(image, lambda luma: resize(luma, 2), 1, 2)
    assert restored.shape == (8, 10, 3)
    np.testing.assert_allclose(restored, np.broadcast_to(image[0, 0], (8, 10, 3)), atol=1e-6)


def test_no_way_from_five_channels():
    with pytest.raises(InputError, match="3 channels, got an image of 5"):
        through_network(np.zeros((4, 4, 5), np.float32), lambda x: x, 3, 1)
