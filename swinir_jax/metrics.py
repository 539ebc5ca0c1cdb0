"""PSNR, SSIM and PSNR-B of 8-bit images as in the paper, in float64."""

import math

import numpy as np

from swinir_jax.colour import check_samples, rgb_to_y
from swinir_jax.errors import InputError

PEAK = 255.0

SSIM_WINDOW_SIZE = 11
SSIM_SIGMA = 1.5
SSIM_K1, SSIM_K2 = 0.01, 0.03

_JPEG_BLOCK = 8
_PSNR_B_MIN_SIDE = 2 * _JPEG_BLOCK


def psnr(restored: np.ndarray, hq: np.ndarray, crop: int = 0, y_channel: bool = False) -> float:
    """Computes the peak signal-to-noise ratio with a peak of 255 and one mean squared error over all channels.

    Follows `calculate_psnr` of the official `utils/util_calculate_psnr_ssim.py`, but keeps Y in float64, which the
    official code rounds to float32.

    Args:
      restored: `[h, w]`, `[h, w, 1]` or `[h, w, 3]` RGB; uint8, or float on the 0..255 scale.
      hq: ground truth of the same shape.
      crop: pixels to cut from each side before measuring; tables of super-resolution use the scale.
      y_channel: measure RGB images on `rgb_to_y`; gray images are measured unchanged.

    Returns:
      Decibels; `inf` for identical images.

    Raises:
      InputError: if shapes differ, a dtype or shape does not fit, a value is not finite, or the crop leaves no pixel.
    """
    a, b = _planes(restored, hq, crop, y_channel)
    return _decibels(float(np.mean(np.square(a - b))))


def ssim(restored: np.ndarray, hq: np.ndarray, crop: int = 0, y_channel: bool = False) -> float:
    """Computes the structural similarity, averaged over channels.

    The Gaussian windows are 11x11 with sigma 1.5, and lie inside the image.

    Follows `calculate_ssim` of the official `utils/util_calculate_psnr_ssim.py`.

    Args:
      restored: `[h, w]`, `[h, w, 1]` or `[h, w, 3]` RGB; uint8, or float on the 0..255 scale.
      hq: ground truth of the same shape.
      crop: pixels to cut from each side before measuring.
      y_channel: measure RGB images on `rgb_to_y`; gray images are measured unchanged.

    Returns:
      The similarity, at most 1; identical images have 1.

    Raises:
      InputError: as for `psnr`, or if a side has fewer than 11 pixels after the crop.
    """
    a, b = _planes(restored, hq, crop, y_channel)
    _require_side(a, SSIM_WINDOW_SIZE, "SSIM")
    return float(np.mean([_ssim_of_plane(x, y) for x, y in zip(a, b, strict=True)]))


def psnr_b(restored: np.ndarray, hq: np.ndarray, crop: int = 0, y_channel: bool = False) -> float:
    """Computes PSNR-B: the PSNR with the blocking of the restored image added to the error.

    Follows `calculate_psnrb` of the official `utils/util_calculate_psnr_ssim.py`: the decibels are averaged over
    channels, and blocking is measured on the 8x8 grid from the upper left corner of `restored` after the crop.

    Args:
      restored: `[h, w]`, `[h, w, 1]` or `[h, w, 3]` RGB; uint8, or float on the 0..255 scale.
      hq: ground truth of the same shape.
      crop: pixels to cut from each side before measuring.
      y_channel: measure RGB images on `rgb_to_y`; gray images are measured unchanged.

    Returns:
      Decibels; for one channel at most the PSNR. Identical images give `inf`, unless they show blocking, which is
      an error.

    Raises:
      InputError: as for `psnr`, or if a side has fewer than 16 pixels after the crop.
    """
    a, b = _planes(restored, hq, crop, y_channel)
    _require_side(a, _PSNR_B_MIN_SIDE, "PSNR-B")
    errors = [np.mean(np.square(x - y)) + _blocking_effect(x) for x, y in zip(a, b, strict=True)]
    return float(np.mean([_decibels(float(error)) for error in errors]))


def gaussian_window() -> np.ndarray:
    """Returns the one-dimensional factor of SSIM's window: `[11]` float64, symmetric, with sum 1."""
    offsets = np.arange(SSIM_WINDOW_SIZE) - SSIM_WINDOW_SIZE // 2
    weights = np.exp(-np.square(offsets) / (2 * SSIM_SIGMA**2))
    return weights / weights.sum()


def _checked(image: np.ndarray, name: str) -> np.ndarray:
    image = np.asarray(image)
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3)):
        raise InputError(f"{name} must have shape [h, w], [h, w, 1] or [h, w, 3], got {image.shape}.")
    check_samples(image, name)
    return image


def _planes(restored: np.ndarray, hq: np.ndarray, crop: int, y_channel: bool) -> tuple[np.ndarray, np.ndarray]:
    """Checks and crops a pair of images, and returns both as `[channels, h, w]` float64."""
    restored, hq = _checked(restored, "restored"), _checked(hq, "hq")
    if restored.shape != hq.shape:
        raise InputError(f"The images differ in shape: restored {restored.shape}, hq {hq.shape}.")
    h, w = restored.shape[:2]
    if crop < 0 or min(h, w) <= 2 * crop:
        raise InputError(f"Cannot cut {crop} pixels from each side of an image of {h}x{w}.")
    a, b = (_to_planes(image[crop : h - crop, crop : w - crop], y_channel) for image in (restored, hq))
    return a, b


def _to_planes(image: np.ndarray, y_channel: bool) -> np.ndarray:
    if y_channel and image.ndim == 3 and image.shape[2] == 3:
        image = rgb_to_y(image)
    image = np.atleast_3d(image).transpose(2, 0, 1)
    return np.ascontiguousarray(image, dtype=np.float64)


def _require_side(planes: np.ndarray, least: int, what: str) -> None:
    h, w = planes.shape[1:]
    if min(h, w) < least:
        raise InputError(f"{what} needs sides of at least {least} pixels, got {h}x{w} after the crop.")


def _decibels(squared_error: float) -> float:
    return math.inf if squared_error == 0 else 10 * math.log10(PEAK**2 / squared_error)


def _ssim_of_plane(x: np.ndarray, y: np.ndarray) -> float:
    c1, c2 = (SSIM_K1 * PEAK) ** 2, (SSIM_K2 * PEAK) ** 2
    window = gaussian_window()
    mean_x, mean_y = _filter_valid(x, window), _filter_valid(y, window)
    mean_product = mean_x * mean_y
    mean_squares = mean_x**2 + mean_y**2
    covariance = _filter_valid(x * y, window) - mean_product
    variances = _filter_valid(x**2 + y**2, window) - mean_squares  # sum of both variances
    similarity = (2 * mean_product + c1) * (2 * covariance + c2) / ((mean_squares + c1) * (variances + c2))
    return float(similarity.mean())


def _filter_valid(plane: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Correlates `[h, w]` with the outer product of an odd window: `[h - n + 1, w - n + 1]`."""
    from scipy import ndimage  # here, because `restore` imports this module, and SciPy takes time to import

    margin = len(window) // 2
    for axis in (0, 1):
        plane = ndimage.correlate1d(plane, window, axis)
    return plane[margin:-margin, margin:-margin]


def _blocking_effect(plane: np.ndarray) -> float:
    """Computes the blocking effect factor: the excess of squared steps across block borders over those inside."""
    h, w = plane.shape
    across, down = np.square(np.diff(plane, axis=1)), np.square(np.diff(plane, axis=0))
    last = _JPEG_BLOCK - 1
    at_borders = across[:, last::_JPEG_BLOCK].sum() + down[last::_JPEG_BLOCK].sum()
    inside = across.sum() + down.sum() - at_borders
    # As in the published figures, one border too few if a side is not a multiple of 8.
    borders = h * (w // _JPEG_BLOCK - 1) + w * (h // _JPEG_BLOCK - 1)
    steps = h * (w - 1) + w * (h - 1)
    excess = at_borders / borders - inside / (steps - borders)
    return max(0.0, float(excess)) * math.log2(_JPEG_BLOCK) / math.log2(min(h, w))
