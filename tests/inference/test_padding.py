import numpy as np
import pytest

from swinir_jax.inference.padding import cut, mirrored, pad_image, padded_side


@pytest.mark.parametrize(("side", "minimal", "official"), [(16, 16, 24), (17, 24, 24), (23, 24, 24), (1, 8, 8)])
def test_official_padding_goes_to_the_next_multiple_even_from_a_multiple(side, minimal, official):
    assert (padded_side(side, 8, "minimal"), padded_side(side, 8, "official")) == (minimal, official)


def test_only_the_official_way_repeats_the_edge():
    image = np.array([[[1.0], [2.0], [3.0]]])
    assert pad_image(image, 1, 8, "minimal")[0, :, 0].tolist() == [1, 2, 3, 2, 1, 2, 3, 2]
    assert pad_image(image, 1, 8, "official")[0, :, 0].tolist() == [1, 2, 3, 3, 2, 1, 1, 2]


@pytest.mark.parametrize("side", [1, 2, 3, 7, 40])
def test_mirrored_is_numpys_padding(side):
    pixels = np.arange(side)
    for pad, before, mode in (("reflect", 8, "reflect"), ("minimal", 0, "reflect"), ("official", 0, "symmetric")):
        expected = np.pad(pixels, (before, 60 - side - before), mode=mode)
        np.testing.assert_array_equal(mirrored(side, 60, pad), expected)


@pytest.mark.parametrize("window", [7, 8])
@pytest.mark.parametrize("side", [1, 16, 17])
def test_a_margin_of_eight_at_both_ends(side, window):
    length = padded_side(side, window, "reflect")
    assert length % window == 0
    assert side + 16 <= length < side + 16 + window
    image = np.random.default_rng(0).random((side, 5, 3))
    padded = pad_image(image, length, padded_side(5, window, "reflect"), "reflect")
    np.testing.assert_array_equal(cut(padded, (side, 5), 1, "reflect"), image)
