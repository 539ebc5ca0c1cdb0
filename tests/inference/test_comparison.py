import imagecodecs
import numpy as np

from swinir_jax.images import Picture
from swinir_jax.inference.comparison import side_by_side


def test_a_gray_profile_becomes_one_of_rgb():
    profile = imagecodecs.cms_profile("gray", whitepoint=[0.3127, 0.329, 1], gamma=1.8)
    gray = Picture(np.full((20, 30), 100, np.uint8), icc_profile=profile)
    picture = side_by_side(gray, gray)
    assert picture.pixels.shape == (20, 64, 3)
    assert picture.icc_profile[16:20] == b"RGB "
