"""Blur kernels of photographs: Gaussians of several shapes, the shifted kernel of a plain downscale, sinc filters.

Kernels are `[side, side]` float64 with a sum of 1. Formulas follow KAIR's `utils/utils_blindsr.py` and BasicSR's
`data/degradations.py`.
"""

import math

import numpy as np
from scipy.special import j1

_LEAST_VARIANCE = 1e-6  # squared pixels; smaller ones give the same kernel, a single 1


def gaussian(side: int, variances: tuple[float, float], angle: float = 0.0, power: float = 1.0) -> np.ndarray:
    """Returns a Gaussian kernel, `exp(-d ** power / 2)` at the squared Mahalanobis distance d from the centre.

    Args:
      side: odd side of the kernel in pixels.
      variances: variance along the direction of `angle` and across, in squared pixels.
      angle: direction in radians, from the x axis to the y axis (downwards).
      power: 1 for the Gaussian; others give the generalised Gaussian (below 1 peaked, above 1 flat).
    """
    return _normalised(np.exp(-(_squared_distance(side, variances, angle) ** power) / 2))


def plateau(side: int, variances: tuple[float, float], angle: float = 0.0, power: float = 1.0) -> np.ndarray:
    """Returns a kernel with a flat top, `1 / (1 + d ** power)`; arguments as for `gaussian`."""
    return _normalised(1 / (1 + _squared_distance(side, variances, angle) ** power))


def shifted_gaussian(side: int, sigma: float, scale: int) -> np.ndarray:
    """Returns the Gaussian kernel for a plain downscale, which keeps each `scale`-th pixel from the first on.

    The kernel is moved by `(scale - 1) / 2` pixels by linear interpolation, so that LQ stays aligned with HQ.
    """
    kernel = gaussian(side, (sigma**2, sigma**2))
    pixels = np.arange(side)
    source = np.minimum(pixels + (scale - 1) / 2, side - 1)
    for axis in (0, 1):
        kernel = np.apply_along_axis(lambda line: np.interp(source, pixels, line), axis, kernel)
    return _normalised(kernel)


def sinc(side: int, cutoff: float) -> np.ndarray:
    """Returns the circular low-pass filter with a cutoff in radians per pixel, pi for the Nyquist frequency."""
    y, x = _grid(side)
    radius = np.hypot(x, y)
    middle = side // 2
    radius[middle, middle] = 1  # replaced below by the limit
    kernel = cutoff * j1(cutoff * radius) / (2 * math.pi * radius)
    kernel[middle, middle] = cutoff**2 / (4 * math.pi)
    return _normalised(kernel)


def _grid(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns y and x of each pixel from the centre."""
    line = np.arange(side) - (side - 1) / 2
    y, x = np.meshgrid(line, line, indexing="ij")
    return y, x


def _squared_distance(side: int, variances: tuple[float, float], angle: float) -> np.ndarray:
    y, x = _grid(side)
    along = math.cos(angle) * x + math.sin(angle) * y
    across = math.sin(angle) * x - math.cos(angle) * y
    return along**2 / max(variances[0], _LEAST_VARIANCE) + across**2 / max(variances[1], _LEAST_VARIANCE)


def _normalised(kernel: np.ndarray) -> np.ndarray:
    return kernel / kernel.sum()
