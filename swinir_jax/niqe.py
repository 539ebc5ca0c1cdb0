"""NIQE, which judges photographs without their truth (Mittal, Soundararajan and Bovik 2013), after BasicSR's."""

import functools
from importlib import resources

import numpy as np
from scipy.ndimage import convolve
from scipy.special import gamma

from swinir_jax.colour import check_samples, rgb_to_y
from swinir_jax.errors import InputError

BLOCK = 96  # side of a block in pixels
RELIABLE_BLOCKS = 16  # with fewer blocks, the score says little
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))  # neighbours whose product with a pixel is measured
_CUBIC = np.array([-3, -9, 29, 111, 111, 29, -9, -3], np.float32) / np.float32(256)  # the cubic kernel at half size
_SHAPES = np.arange(0.2, 10.001, 0.001)  # of the generalised Gaussian distribution


def niqe(image: np.ndarray, crop: int = 0) -> tuple[float, int]:
    """Measures how far the statistics of a photograph are from those of undistorted ones.

    Follows `calculate_niqe` of BasicSR on the rounded Y channel, with the published model of 125 photographs, in
    float32 as there: rounding moves the score by up to 0.002. A flat block, without values above and below the local
    mean, is not usable. With fewer than `RELIABLE_BLOCKS` usable blocks, the score says little.

    Args:
      image: `[h, w]`, `[h, w, 1]` or `[h, w, 3]` RGB; uint8, or float on the 0..255 scale.
      crop: pixels cut from each side before measuring.

    Returns:
      A distance of at least 0, of which smaller is better, NaN with fewer than 2 usable blocks; and the number of
      usable blocks.

    Raises:
      InputError: if the dtype or the shape is another, or a value is not finite.
    """
    image = np.asarray(image)
    check_samples(image, "image")
    if crop < 0:
        raise InputError(f"Cannot cut {crop} pixels from each side of an image.")
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    luma = image if image.ndim == 2 else rgb_to_y(image)  # refuses other shapes
    luma = np.round((luma / 255).astype(np.float32) * np.float32(255))
    luma = luma[crop : max(crop, luma.shape[0] - crop), crop : max(crop, luma.shape[1] - crop)]
    if not blocks(luma.shape):
        return np.nan, 0
    h, w = (side // BLOCK * BLOCK for side in luma.shape)
    luma = luma[:h, :w]
    features = np.concatenate([_features(luma, BLOCK), _features(_halved(luma), BLOCK // 2)], axis=1)
    usable = features[~np.isnan(features).any(axis=1)]
    if len(usable) < 2:
        return np.nan, len(usable)
    mean = np.nanmean(features, axis=0)
    model_mean, model_covariance, _ = _model()
    difference = model_mean - mean
    covariance = (model_covariance + np.cov(usable, rowvar=False)) / 2
    return float(np.sqrt(difference @ np.linalg.pinv(covariance) @ difference)), len(usable)


def blocks(shape: tuple[int, ...]) -> int:
    """Returns the number of blocks that NIQE measures in an image of shape `[h, w, ...]`."""
    return (shape[0] // BLOCK) * (shape[1] // BLOCK)


@functools.cache
def _model() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns mean `[36]` and covariance `[36, 36]` of features, and the window `[7, 7]` (LICENSE-niqe)."""
    with resources.files("swinir_jax").joinpath("niqe_model.npz").open("rb") as file, np.load(file) as model:
        return model["mu_pris_param"][0], model["cov_pris_param"], model["gaussian_window"]


def _halved(luma: np.ndarray) -> np.ndarray:
    """Halves both sides as MATLAB's `imresize`, in float32.

    Terms are added in the order of PyTorch's matrix products, in which the published scores were computed: another
    order moves a fitted shape by a step of `_SHAPES` here and there, and the score of a small image by up to 0.002.
    """
    image = luma / np.float32(255)
    a, b, c, d, e, f, g, h = _taps(image)
    image = a + b + c + d + e + f + g + h
    a, b, c, d, e, f, g, h = _taps(image.T)
    even, odd = a + b + c + e + (d + f) + g + h, a + b + c + d + e + g + (f + h)
    even[1::2] = odd[1::2]
    return np.ascontiguousarray(even.T) * np.float32(255)


def _taps(image: np.ndarray) -> list[np.ndarray]:
    """Returns the eight terms of each row of the image with half of its rows."""
    padded = np.pad(image, ((3, 3), (0, 0)), mode="symmetric")
    return [weight * padded[i : i + len(image) : 2] for i, weight in enumerate(_CUBIC)]


def _features(luma: np.ndarray, side: int) -> np.ndarray:
    """Returns the features of each block, `[blocks, 18]`, from columns of blocks to the right."""
    window = _model()[2]
    mean = convolve(luma, window, mode="nearest")
    deviation = np.sqrt(np.abs(convolve(luma**2, window, mode="nearest") - mean**2))
    normalised = (luma - mean) / (deviation + 1)
    rows, columns = (length // side for length in luma.shape)
    tiles = normalised.reshape(rows, side, columns, side).transpose(2, 0, 1, 3).reshape(-1, side, side)
    return np.array([_features_of_block(block) for block in tiles])


def _features_of_block(block: np.ndarray) -> list[float]:
    shape, left, right = _asymmetric_gaussian(block)
    features = [shape, (left + right) / 2]
    for shift in _SHIFTS:
        shape, left, right = _asymmetric_gaussian(block * np.roll(block, shift, axis=(0, 1)))
        features += [shape, (right - left) * gamma(2 / shape) / gamma(1 / shape), left, right]
    return features


def _asymmetric_gaussian(values: np.ndarray) -> tuple[float, float, float]:
    """Fits an asymmetric generalised Gaussian distribution: shape, and scales to the left and the right."""
    left, right = (_root_mean_square(side) for side in (values[values < 0], values[values > 0]))
    with np.errstate(divide="ignore", invalid="ignore"):  # a flat block has NaN
        ratio = left / right
        moments = np.mean(np.abs(values)) ** 2 / np.mean(values**2)
        moments *= (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shape = _SHAPES[np.argmin((_ratios() - moments) ** 2)]
    scale = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
    return float(shape), float(left * scale), float(right * scale)


def _root_mean_square(values: np.ndarray) -> np.floating:
    return np.sqrt(np.mean(values**2)) if values.size else np.float32(np.nan)


@functools.cache
def _ratios() -> np.ndarray:
    """Returns the ratio of moments of the distribution for each of `_SHAPES`."""
    return gamma(2 / _SHAPES) ** 2 / (gamma(1 / _SHAPES) * gamma(3 / _SHAPES))
