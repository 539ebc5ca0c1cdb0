"""PSNR, SSIM and PSNR-B as the paper reports them: 8-bit images in, float64 arithmetic."""

import math

import numpy as np

from swinir_jax.colour import check_values, rgb_to_y
from swinir_jax.errors import InputError

PEAK = 255.0

SSIM_WINDOW_SIZE = 11
SSIM_SIGMA = 1.5
SSIM_K1, SSIM_K2 = 0.01, 0.03

_JPEG_BLOCK = 8
_PSNR_B_MIN_SIDE = 2 * _JPEG_BLOCK


def psnr(restored: np.ndarray, hq: np.ndarray, crop: int = 0, y_channel: bool = False) -> float:
    """Peak signal-to-noise ratio with a peak of 255; colour channels share one mean squared error.

    Follows `calculate_psnr` of the official `utils/util_calculate_psnr_ssim.py`, which rounds Y to float32; here Y
    stays float64.

    Args:
      restored: `[h, w]`, `[h, w, 1]` or `[h, w, 3]` RGB; uint8, or float on the 0..255 scale.
      hq: the ground truth, of the same shape.
      crop: pixels cut from each side before measuring; super-resolution tables use the scale.
      y_channel: measure on `rgb_to_y`; a gray image is measured as it is.

    Returns:
      Decibels; `inf` for identical images.

    Raises:
      InputError: if shapes differ, a dtype or shape is another, a value is not finite, or the crop leaves nothing.
    """
    a, b = _planes(restored, hq, crop, y_channel)
    return _decibels(float(np.mean(np.square(a - b))))


def ssim(restored: np.ndarray, hq: np.ndarray, crop: int = 0, y_channel: bool = False) -> float:
    """Structural similarity: 11x11 Gaussian window of sigma 1.5, whole windows only; the mean over channels.

    Follows `calculate_ssim` of the official `utils/util_calculate_psnr_ssim.py`.

    Args:
      restored: `[h, w]`, `[h, w, 1]` or `[h, w, 3]` RGB; uint8, or float on the 0..255 scale.
      hq: the ground truth, of the same shape.
      crop: pixels cut from each side before measuring.
      y_channel: measure on `rgb_to_y`; a gray image is measured as it is.

    Returns:
      At most 1, which identical images reach.

    Raises:
      InputError: if an image is unfit for `psnr`, or a side is under 11 pixels after the crop.
    """
    a, b = _planes(restored, hq, crop, y_channel)
    _require_side(a, SSIM_WINDOW_SIZE, "SSIM")
    return float(np.mean([_ssim_of_plane(x, y) for x, y in zip(a, b, strict=True)]))


def psnr_b(restored: np.ndarray, hq: np.ndarray, crop: int = 0, y_channel: bool = False) -> float:
    """PSNR-B: PSNR whose error also counts the blocking of the restored image on the 8x8 grid of JPEG.

    Follows `calculate_psnrb` of the official `utils/util_calculate_psnr_ssim.py`; the mean over channels of each one's
    decibels. Not symmetric: only `restored` is searched for blocks, from its upper left corner after the crop.

    Args:
      restored: `[h, w]`, `[h, w, 1]` or `[h, w, 3]` RGB; uint8, or float on the 0..255 scale.
      hq: the ground truth, of the same shape.
      crop: pixels cut from each side before measuring.
      y_channel: measure on `rgb_to_y`; a gray image is measured as it is.

    Returns:
      Decibels, at most the PSNR of a one-channel image. Identical images give `inf` unless they show blocking, which
      counts as an error all the same.

    Raises:
      InputError: if an image is unfit for `psnr`, or a side is under 16 pixels after the crop.
    """
    a, b = _planes(restored, hq, crop, y_channel)
    _require_side(a, _PSNR_B_MIN_SIDE, "PSNR-B")
    errors = [np.mean(np.square(x - y)) + _blocking_effect(x) for x, y in zip(a, b, strict=True)]
    return float(np.mean([_decibels(float(error)) for error in errors]))


def gaussian_window() -> np.ndarray:
    """The factor of SSIM's separable window: `[11]` float64, symmetric, of sum 1."""
    offsets = np.arange(SSIM_WINDOW_SIZE) - SSIM_WINDOW_SIZE // 2
    weights = np.exp(-np.square(offsets) / (2 * SSIM_SIGMA**2))
    return weights / weights.sum()


def _checked(image: np.ndarray, name: str) -> np.ndarray:
    image = np.asarray(image)
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3)):
        raise InputError(f"{name} must have shape [h, w], [h, w, 1] or [h, w, 3], got {image.shape}.")
    check_values(image, name)
    return image


def _planes(restored: np.ndarray, hq: np.ndarray, crop: int, y_channel: bool) -> tuple[np.ndarray, np.ndarray]:
    """Checks a pair, cuts its border, and gives both as `[channels, h, w]` float64."""
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
    variances = _filter_valid(x**2 + y**2, window) - mean_squares  # SSIM needs only the sum of the two
    similarity = (2 * mean_product + c1) * (2 * covariance + c2) / ((mean_squares + c1) * (variances + c2))
    return float(similarity.mean())


def _filter_valid(plane: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Correlates `[h, w]` with the outer product of a symmetric, odd window: `[h - n + 1, w - n + 1]`."""
    for _ in range(2):  # filters the rows and transposes, twice
        plane = _filter_rows(plane, window).T
    return plane


def _filter_rows(plane: np.ndarray, window: np.ndarray) -> np.ndarray:
    n = len(window)
    middle, height = n // 2, plane.shape[0] - n + 1
    filtered = window[middle] * plane[middle : middle + height]
    pair = np.empty_like(filtered)
    for i in range(middle):  # the window is symmetric: equal weights share one multiplication
        np.add(plane[i : i + height], plane[n - 1 - i : n - 1 - i + height], out=pair)
        pair *= window[i]
        filtered += pair
    return filtered


def _blocking_effect(plane: np.ndarray) -> float:
    """The blocking effect factor: how much larger squared steps across block borders are than those inside blocks."""
    h, w = plane.shape
    across, down = np.square(np.diff(plane, axis=1)), np.square(np.diff(plane, axis=0))
    last = _JPEG_BLOCK - 1
    at_borders = across[:, last::_JPEG_BLOCK].sum() + down[last::_JPEG_BLOCK].sum()
    inside = across.sum() + down.sum() - at_borders
    # One border too few where a side is no multiple of 8; the published figures are counted like this.
    borders = h * (w // _JPEG_BLOCK - 1) + w * (h // _JPEG_BLOCK - 1)
    steps = h * (w - 1) + w * (h - 1)
    excess = at_borders / borders - inside / (steps - borders)
    return max(0.0, float(excess)) * math.log2(_JPEG_BLOCK) / math.log2(min(h, w))
