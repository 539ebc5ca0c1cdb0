"""Steps that blur, sharpen and resize."""

import dataclasses
import math

import cv2
import numpy as np

from swinir_jax.data.blind import kernels
from swinir_jax.data.blind.combine import draw_one
from swinir_jax.data.blind.step import Range
from swinir_jax.data.degradations import imresize

INTERPOLATIONS = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC, "area": cv2.INTER_AREA}


def convolve(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Convolves each channel of `[h, w, C]` float32; the border is mirrored without repeating the edge."""
    turned = np.ascontiguousarray(kernel[::-1, ::-1])
    if factors := _separated(turned):
        return cv2.sepFilter2D(image, -1, *factors, borderType=cv2.BORDER_REFLECT_101)
    return cv2.filter2D(image, -1, turned, borderType=cv2.BORDER_REFLECT_101)


def _separated(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns a row and a column whose outer product is the kernel, as for round Gaussians; None if there are none."""
    y, x = np.unravel_index(np.argmax(np.abs(kernel)), kernel.shape)
    row, column = kernel[y], kernel[:, x] / kernel[y, x]
    return (row, column) if np.allclose(np.outer(column, row), kernel, rtol=0, atol=1e-9) else None


def resize(image: np.ndarray, size: tuple[int, int], interpolation: str) -> np.ndarray:
    """Resizes `[h, w, 3]` float32 to (height, width) as OpenCV does, clipped to [0, 1]."""
    height, width = max(size[0], 1), max(size[1], 1)
    return np.clip(cv2.resize(image, (width, height), interpolation=INTERPOLATIONS[interpolation]), 0, 1)


def sharpen(image: np.ndarray) -> np.ndarray:
    """Sharpens by an unsharp mask, as Real-ESRGAN sharpens its truth.

    Half of the difference to the blurred image is added, where it is above 10 on the 0..255 scale.

    Args:
      image: `[h, w, 3]` float32 in [0, 1].

    Returns:
      The sharpened image, of the same shape and dtype, in [0, 1].
    """
    side = (51, 51)  # of the Gaussian, whose sigma OpenCV derives
    residual = image - cv2.GaussianBlur(image, side, 0)
    mask = cv2.GaussianBlur((np.abs(residual) * 255 > 10).astype(np.float32), side, 0)
    sharpened = np.clip(image + np.float32(0.5) * residual, 0, 1)
    return mask * sharpened + (1 - mask) * image


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gaussian:
    """Gaussian kernels; also generalised ones and those with a flat top.

    Attributes:
      sigma: standard deviation in pixels, drawn for each axis unless `variance` is given.
      variance: variance in squared pixels, drawn in place of `sigma`.
      isotropic: whether both axes share one draw.
      power: powers of the squared distance: half of the draws lie below 1, half above.
      flat: whether the kernel has a flat top.
    """

    sigma: Range = (0.0, 0.0)
    variance: Range | None = None
    isotropic: bool = False
    power: Range = (1.0, 1.0)
    flat: bool = False

    def draw(self, side: int, rng: np.random.Generator) -> np.ndarray:
        """Returns a kernel of an odd side."""
        first, second = (rng.uniform(*(self.variance or self.sigma)) for _ in range(2))
        if self.isotropic:
            second = first
        if self.variance is None:
            first, second = first**2, second**2
        power = rng.uniform(self.power[0], 1) if rng.random() < 0.5 else rng.uniform(1, self.power[1])
        kernel = kernels.plateau if self.flat else kernels.gaussian
        return kernel(side, (first, second), rng.uniform(0, math.pi), power)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sinc:
    """Circular low-pass filters, which ring as resampling and sharpening do.

    Attributes:
      cutoff: cutoff in radians per pixel.
      wide_cutoff: cutoff for sides of 13 pixels and more.
    """

    cutoff: Range = (math.pi / 3, math.pi)
    wide_cutoff: Range = (math.pi / 3, math.pi)

    def draw(self, side: int, rng: np.random.Generator) -> np.ndarray:
        """Returns a kernel of an odd side."""
        return kernels.sinc(side, rng.uniform(*(self.cutoff if side < 13 else self.wide_cutoff)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Blur:
    """Blurs by a kernel of a random kind.

    Attributes:
      kinds: kinds of kernels, each with its probability.
      sides: least and largest side of the kernel, odd.
    """

    kinds: tuple[tuple[float, Gaussian | Sinc], ...]
    sides: tuple[int, int] = (7, 25)

    def __call__(self, image: np.ndarray, target: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        kind = draw_one(self.kinds, rng)
        side = 2 * int(rng.integers(self.sides[0] // 2, self.sides[1] // 2 + 1)) + 1
        return np.clip(convolve(image, kind.draw(side, rng)), 0, 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resize:
    """Resizes by a random factor, relative to the image or to LQ.

    Attributes:
      up: probability of enlarging.
      down: probability of shrinking; the rest keeps the size.
      factors: least factor of shrinking and largest of enlarging.
      of_target: whether the factor multiplies the size of LQ instead of the image's.
      reciprocal: whether the reciprocal of the factor is drawn uniformly.
    """

    up: float = 0.0
    down: float = 1.0
    factors: Range
    of_target: bool = False
    reciprocal: bool = False

    def __call__(self, image: np.ndarray, target: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        choice = rng.random()
        factor = 1.0
        if choice < self.up:
            factor = rng.uniform(1, self.factors[1])
        elif choice < self.up + self.down:
            low = self.factors[0]
            factor = 1 / rng.uniform(1, 1 / low) if self.reciprocal else rng.uniform(low, 1)
        height, width = target if self.of_target else image.shape[:2]
        return resize(image, (int(factor * height), int(factor * width)), _draw_interpolation(rng))


@dataclasses.dataclass(frozen=True)
class ResizeToTarget:
    """Resizes to the size of LQ."""

    def __call__(self, image: np.ndarray, target: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        return resize(image, target, _draw_interpolation(rng))


@dataclasses.dataclass(frozen=True)
class Halve:
    """Halves the size, by OpenCV's interpolation or by MATLAB's bicubic one, with equal probability."""

    def __call__(self, image: np.ndarray, target: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        if rng.random() < 0.5:
            return resize(image, (image.shape[0] // 2, image.shape[1] // 2), _draw_interpolation(rng))
        return np.clip(imresize(image, 1 / 2), 0, 1).astype(np.float32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShiftedDownscale:
    """Blurs by a Gaussian and keeps each `scale`-th pixel; the shifted kernel keeps LQ aligned with HQ.

    Attributes:
      scale: factor of shrinking.
      sigma: standard deviation of the Gaussian in pixels.
      side: side of the kernel in pixels.
    """

    scale: int
    sigma: Range
    side: int = 25

    def __call__(self, image: np.ndarray, target: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        blurred = convolve(image, kernels.shifted_gaussian(self.side, rng.uniform(*self.sigma), self.scale))
        return np.clip(blurred[:: self.scale, :: self.scale], 0, 1)


def _draw_interpolation(rng: np.random.Generator) -> str:
    return list(INTERPOLATIONS)[int(rng.integers(len(INTERPOLATIONS)))]
