"""Steps of blind degradation: each draws its strength from a range and is applied to a photograph.

A step is called as `step(image, target, rng)`: `image` is `[h, w, 3]` float32 in [0, 1], `target` the (height, width)
of LQ, `rng` a NumPy generator, which advances. It returns an image of float32 in [0, 1].
"""

import dataclasses
import math
from typing import Protocol, TypeVar

import cv2
import numpy as np

from swinir_jax.data import kernels
from swinir_jax.data.degradations import imresize, jpeg
from swinir_jax.metrics import FULL_RANGE_LUMA

Range = tuple[float, float]
"""Least and largest value, drawn uniformly."""

_Option = TypeVar("_Option")
_LUMA = np.array(FULL_RANGE_LUMA, np.float32)
_INTERPOLATIONS = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
}
INTERPOLATIONS = ("bilinear", "bicubic", "area")  # those that the original chains draw from


class Step(Protocol):
    """Something that degrades a photograph."""

    def __call__(self, image: np.ndarray, target: tuple[int, int], rng: np.random.Generator) -> np.ndarray: ...


def convolve(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Convolves each channel of `[h, w, C]` float32; the border is mirrored without repeating the edge."""
    return cv2.filter2D(image, -1, np.ascontiguousarray(kernel[::-1, ::-1]), borderType=cv2.BORDER_REFLECT_101)


def resize(image: np.ndarray, size: tuple[int, int], interpolation: str) -> np.ndarray:
    """Resizes `[h, w, 3]` float32 to (height, width) as OpenCV does, clipped to [0, 1]."""
    height, width = max(size[0], 1), max(size[1], 1)
    return np.clip(cv2.resize(image, (width, height), interpolation=_INTERPOLATIONS[interpolation]), 0, 1)


def sharpen(image: np.ndarray, weight: float = 0.5, side: int = 51, threshold: float = 10) -> np.ndarray:
    """Sharpens by an unsharp mask, as Real-ESRGAN sharpens its truth.

    Args:
      image: `[h, w, 3]` float32 in [0, 1].
      weight: share of the difference to the blurred image that is added.
      side: side of the Gaussian in pixels; its sigma is that of OpenCV.
      threshold: difference on the 0..255 scale below which nothing is added.

    Returns:
      The sharpened image, of the same shape and dtype, in [0, 1].
    """
    residual = image - cv2.GaussianBlur(image, (side, side), 0)
    mask = (np.abs(residual) * 255 > threshold).astype(np.float32)
    mask = cv2.GaussianBlur(mask, (side, side), 0)
    sharpened = np.clip(image + np.float32(weight) * residual, 0, 1)
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
        kind = _draw_one(self.kinds, rng)
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class GaussianNoise:
    """Adds Gaussian noise: gray, independent in each channel, or correlated between channels.

    Attributes:
      sigma: standard deviation on the 0..255 scale; the largest one bounds the correlated noise.
      gray: probability of gray noise.
      correlated: probability of correlated noise.
      multiplied: whether the noise is multiplied by the image (speckle).
      whole: whether sigma is a whole number.
    """

    sigma: Range
    gray: float = 0.4
    correlated: float = 0.0
    multiplied: bool = False
    whole: bool = False

    def __call__(self, image: np.ndarray, target: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        low, high = self.sigma
        sigma = int(rng.integers(int(low), int(high) + 1)) if self.whole else rng.uniform(low, high)
        kind, (h, w, c) = rng.random(), image.shape
        if kind < self.correlated:
            mixing = np.linalg.svd(rng.random((3, 3)))[0]
            _, values, axes = np.linalg.svd(noise_covariance(high / 255, rng.random(3), mixing))
            factor = (np.sqrt(values)[:, None] * axes).astype(np.float32)
            noise = rng.standard_normal((h, w, c), np.float32) @ factor
        else:
            channels = 1 if kind < self.correlated + self.gray else c
            noise = rng.standard_normal((h, w, channels), np.float32) * np.float32(sigma / 255)
        return np.clip(image + (image * noise if self.multiplied else noise), 0, 1)


def noise_covariance(sigma: float, scales: np.ndarray, mixing: np.ndarray) -> np.ndarray:
    """Returns the covariance between channels of BSRGAN's correlated noise, `sigma ** 2 |U' D U|`.

    Args:
      sigma: largest standard deviation.
      scales: `[3]`, the diagonal of D.
      mixing: `[3, 3]`, U, orthogonal.
    """
    return np.abs(sigma**2 * (mixing.T * scales) @ mixing)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BsrganPoissonNoise:
    """Adds the Poisson noise of BSRGAN: photons counted with 10 ** `exponent` at white.

    Attributes:
      exponent: decimal logarithm of the count at white.
      gray: probability of one noise for all channels, of the luma.
    """

    exponent: Range = (2.0, 4.0)
    gray: float = 0.5

    def __call__(self, image: np.ndarray, target: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        image, count = _to_levels(image), 10 ** rng.uniform(*self.exponent)
        clean = _to_levels(image @ _LUMA[:, None]) if rng.random() < self.gray else image
        return np.clip(image + _shot_noise(clean, count, rng), 0, 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RealEsrganPoissonNoise:
    """Adds the Poisson noise of Real-ESRGAN: photons counted by the number of levels in the image.

    Attributes:
      strength: factor of the noise.
      gray: probability of one noise for all channels, of the luma.
    """

    strength: Range
    gray: float = 0.4

    def __call__(self, image: np.ndarray, target: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        clean = image @ _LUMA[:, None] if rng.random() < self.gray else image
        clean = _to_levels(clean)
        levels = np.count_nonzero(np.bincount(np.round(clean * 255).astype(np.uint8).ravel(), minlength=256))
        noise = _shot_noise(clean, 2 ** math.ceil(math.log2(max(levels, 2))), rng)
        return np.clip(image + np.float32(rng.uniform(*self.strength)) * noise, 0, 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Jpeg:
    """Compresses to JPEG.

    Attributes:
      quality: least and largest quality, as libjpeg has it.
    """

    quality: tuple[int, int] = (30, 95)

    def __call__(self, image: np.ndarray, target: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        samples = np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)
        quality = int(rng.integers(self.quality[0], self.quality[1] + 1))
        return jpeg(samples, quality).astype(np.float32) / 255


@dataclasses.dataclass(frozen=True)
class Maybe:
    """Applies a step with a probability."""

    probability: float
    step: Step

    def __call__(self, image: np.ndarray, target: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        return self.step(image, target, rng) if rng.random() < self.probability else image


@dataclasses.dataclass(frozen=True)
class OneOf:
    """Applies one of several steps, each with its probability."""

    steps: tuple[tuple[float, Step], ...]

    def __call__(self, image: np.ndarray, target: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        return _draw_one(self.steps, rng)(image, target, rng)


@dataclasses.dataclass(frozen=True)
class InOrder:
    """Applies steps one after another."""

    steps: tuple[Step, ...]

    def __call__(self, image: np.ndarray, target: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        for step in self.steps:
            image = step(image, target, rng)
        return image


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shuffled:
    """Applies steps in a random order.

    Attributes:
      steps: steps to apply.
      probability: probability of the random order, else that of `steps`.
      before: indices of two steps that change places where the first would follow the second.
    """

    steps: tuple[Step, ...]
    probability: float = 1.0
    before: tuple[int, int] | None = None

    def __call__(self, image: np.ndarray, target: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        order = [*range(len(self.steps))]
        if rng.random() < self.probability:
            order = rng.permutation(len(self.steps)).tolist()
        if self.before:
            first, second = map(order.index, self.before)
            if first > second:
                order[first], order[second] = order[second], order[first]
        for index in order:
            image = self.steps[index](image, target, rng)
        return image


def _draw_one(options: tuple[tuple[float, _Option], ...], rng: np.random.Generator) -> _Option:
    weights = [weight for weight, _ in options]
    return options[int(rng.choice(len(options), p=weights))][1]


def _draw_interpolation(rng: np.random.Generator) -> str:
    return INTERPOLATIONS[int(rng.integers(len(INTERPOLATIONS)))]


def _to_levels(image: np.ndarray) -> np.ndarray:
    """Rounds floats in [0, 1] to the 256 levels of 8 bits."""
    return np.round(np.clip(image, 0, 1) * 255).astype(np.float32) / 255


def _shot_noise(clean: np.ndarray, count: float, rng: np.random.Generator) -> np.ndarray:
    """Returns the Poisson noise of an image whose white counts so many photons."""
    return (rng.poisson(clean * count) / count).astype(np.float32) - clean
