import numpy as np
import pytest
from picture_files import H, W, make_picture, make_pixels

from swinir_jax.errors import InputError
from swinir_jax.images import extend_colours, flatten


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("colours", [0, 3])
@pytest.mark.parametrize("size", [(23, 34), (1, 7), (5, 1), (64, 64)])
def test_hidden_colours_come_from_visible_pixels(dtype, colours, size):
    h, w = size
    white = np.iinfo(dtype).max
    alpha = np.zeros(size, dtype)
    alpha[h // 4 : h // 2 + 1, w // 4 : w // 2 + 1] = white
    pixels = np.where(alpha > 0, white - 3, 0).astype(dtype)
    pixels = np.dstack([pixels] * 3) if colours else pixels
    filled = extend_colours(pixels, alpha)
    assert filled.dtype == dtype
    np.testing.assert_array_equal(filled, np.full_like(pixels, white - 3))  # no dark fringe anywhere


def test_visible_pixels_stay_and_hidden_pixels_resemble_neighbours():
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, :25], pixels[:, 35:] = (200, 10, 10), (10, 10, 200)
    alpha = np.full((40, 60), 255, np.uint8)
    alpha[:, 25:35] = 0
    alpha[3, 3], pixels[3, 3] = 1, (7, 8, 9)  # nearly transparent
    before = pixels.copy()
    filled = extend_colours(pixels, alpha)
    np.testing.assert_array_equal(pixels, before)
    np.testing.assert_array_equal(filled[alpha > 0], pixels[alpha > 0])
    assert (filled[:, 25, 0] > 190).all()
    assert (filled[:, 34, 2] > 190).all()


def test_nearly_transparent_pixels_weigh_little():
    pixels = np.array([[[250, 250, 250], [0, 0, 0], [99, 99, 99], [99, 99, 99]]], np.uint8)
    alpha = np.array([[255, 1, 0, 0]], np.uint8)
    np.testing.assert_array_equal(extend_colours(pixels, alpha)[0, 2:], np.full((2, 3), 249))


@pytest.mark.parametrize("value", [0, 255])
def test_colours_are_returned_if_all_or_no_pixels_are_hidden(value):
    pixels = make_pixels(3)
    assert extend_colours(pixels, np.full((H, W), value, np.uint8)) is pixels


def test_single_pixel():
    pixel = np.array([[[1, 2, 3]]], np.uint8)
    np.testing.assert_array_equal(extend_colours(pixel, np.array([[0]], np.uint8)), pixel)
    np.testing.assert_array_equal(extend_colours(pixel, np.array([[9]], np.uint8)), pixel)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    ("background", "colour"), [("white", (255,) * 3), ("#102030", (16, 32, 48)), ("black", (0,) * 3)]
)
@pytest.mark.parametrize("colours", [0, 3])
def test_flatten(dtype, background, colour, colours):
    white = np.iinfo(dtype).max
    picture = make_picture(colours, True, dtype, icc_profile=b"p" * 200)
    flat = flatten(picture, background)
    share = (picture.alpha / white)[..., None]
    pixels = picture.pixels.reshape(H, W, -1)
    expected = pixels * share + (1 - share) * np.array(colour) * (white // 255)
    if not colours and background != "#102030":
        assert flat.pixels.ndim == 2
        expected = expected[..., :1]
    np.testing.assert_allclose(flat.pixels.reshape(expected.shape), expected, atol=0.51)
    assert flat.pixels.dtype == dtype
    assert (flat.alpha, flat.icc_profile) == (None, picture.icc_profile)


def test_flatten_returns_opaque_pictures_and_refuses_unknown_colours():
    picture = make_picture(3, False)
    assert flatten(picture, "white") is picture
    with pytest.raises(InputError, match="'nonsense' is not a colour"):
        flatten(picture, "nonsense")
