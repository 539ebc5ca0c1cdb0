import numpy as np
import pytest

from swinir_jax.inference.padding import pad_image, padded_side


@pytest.mark.parametrize(("side", "minimal", "official"), [(16, 16, 24), (17, 24, 24), (23, 24, 24), (1, 8, 8)])
def test_official_padding_goes_to_the_next_multiple_even_from_a_multiple(side, minimal, official):
    assert (padded_side(side, 8, "minimal"), padded_side(side, 8, "official")) == (minimal, official)


def test_only_the_official_way_repeats_the_edge():
    image = np.array([[[1.0], [2.0], [3.0]]])
    assert pad_image(image, 1, 8, "minimal")[0, :, 0].tolist() == [1, 2, 3, 2, 1, 2, 3, 2]
    assert pad_image(image, 1, 8, "official")[0, :, 0].tolist() == [1, 2, 3, 3, 2, 1, 1, 2]
