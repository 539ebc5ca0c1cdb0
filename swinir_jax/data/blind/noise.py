"""Steps that add noise and compress."""

import dataclasses

import numpy as np

from swinir_jax.colour import FULL_RANGE_LUMA
from swinir_jax.data.blind.step import Range
from swinir_jax.data.degradations import jpeg

_LUMA = np.array(FULL_RANGE_LUMA, np.float32)


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
            noise = rng.standard_normal((h, w, channels), np.float32)
            noise *= np.float32(sigma / 255)
        noisy = image + (image * noise if self.multiplied else noise)
        return np.clip(noisy, 0, 1, out=noisy)


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
        levels = len(np.unique(np.round(clean * 255).astype(np.uint8)))
        noise = _shot_noise(clean, 2 ** max(1, levels - 1).bit_length(), rng)
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


def _to_levels(image: np.ndarray) -> np.ndarray:
    """Rounds floats in [0, 1] to the 256 levels of 8 bits."""
    return np.round(np.clip(image, 0, 1) * 255).astype(np.float32) / 255


def _shot_noise(clean: np.ndarray, count: float, rng: np.random.Generator) -> np.ndarray:
    """Returns the Poisson noise of an image whose white counts so many photons."""
    return (rng.poisson(clean * count) / count).astype(np.float32) - clean
