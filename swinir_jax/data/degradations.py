"""Degradations of clean images: MATLAB's bicubic resizing, Gaussian noise and JPEG compression."""

import functools
import io
import math

import numpy as np
from PIL import Image

from swinir_jax.errors import InputError, is_int

_CUBIC_SUPPORT = 4.0  # width of the cubic kernel, in pixels of the coarser image
_OFFICIAL_NOISE_SEED = 0


def imresize(image: np.ndarray, scale: float | None = None, *, size: tuple[int, int] | None = None) -> np.ndarray:
    """Resizes an image like MATLAB's `imresize`: bicubic (a = -0.5), antialiased when shrinking, with mirrored edges.

    The axis with the smaller scale is resized first; rows are, if the scales are equal. As in MATLAB, uint8 images are
    rounded after each axis and float images never are, which changes a tenth of the values.

    Args:
      image: `[h, w]` or `[h, w, C]`; uint8, or float on any scale.
      scale: output side / input side; the output has `ceil(side * scale)` pixels.
      size: `(h, w)` of the output, an alternative to `scale`; sets the scale of each axis.

    Returns:
      The resized image with the same number of axes; uint8 for uint8, otherwise float64 including cubic overshoot.

    Raises:
      InputError: if the dtype or the shape does not fit, or `scale` and `size` are not one positive value.
    """
    image = np.asarray(image)
    _check_dtype(image)
    if image.ndim not in (2, 3) or image.size == 0:
        raise InputError(f"The image must have shape [h, w] or [h, w, C], got {image.shape}.")
    new_shape, scales = _output_geometry(image.shape[:2], scale, size)
    finish = to_uint8 if image.dtype == np.uint8 else np.asarray
    for axis in sorted((0, 1), key=lambda axis: scales[axis]):
        image = finish(_resize_axis(image.astype(np.float64), axis, new_shape[axis], scales[axis]))
    return image


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Clips and rounds float values on the 0..255 scale to uint8 as MATLAB does, halves upwards."""
    return np.floor(np.clip(image, 0, 255) + 0.5).astype(np.uint8)


def gaussian_noise_official(image: np.ndarray, sigma: float) -> np.ndarray:
    """Adds the Gaussian noise of the official test protocol, which is the same for all images of one shape.

    Follows the official `main_test_swinir.py`: NumPy's legacy generator is seeded with 0 for each image and draws
    float64 noise in OpenCV's BGR order; the sum is not clipped. Image and result are RGB here.

    Args:
      image: `[h, w]`, `[h, w, 1]` or `[h, w, 3]` RGB; float in [0, 1].
      sigma: standard deviation on the 0..255 scale.

    Returns:
      The noisy image, float64, of the same shape; values may lie outside [0, 1].

    Raises:
      InputError: if the dtype or the shape does not fit, or sigma is negative.
    """
    image = np.asarray(image)
    _check_for_noise(image, sigma)
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3)):
        raise InputError(f"The image must have shape [h, w], [h, w, 1] or [h, w, 3], got {image.shape}.")
    noise = np.random.RandomState(_OFFICIAL_NOISE_SEED).normal(0, sigma / 255, image.shape)
    return image + (noise[..., ::-1] if image.ndim == 3 else noise)


def gaussian_noise(image: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Adds Gaussian noise for training, without clipping.

    Args:
      image: float32 or float64 in [0, 1], of any shape.
      sigma: standard deviation on the 0..255 scale.
      rng: NumPy generator, which advances.

    Returns:
      The noisy image, of the same shape and dtype; values may lie outside [0, 1].

    Raises:
      InputError: if the dtype does not fit, or sigma is negative.
    """
    image = np.asarray(image)
    _check_for_noise(image, sigma)
    noise = rng.standard_normal(image.shape, dtype=image.dtype)
    return image + noise * image.dtype.type(sigma / 255)


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """Compresses an image to JPEG in memory and decodes the result.

    Colour images have 4:2:0 chroma subsampling, the default of OpenCV's encoder, as in training and tests of the
    official models.

    Args:
      image: `[h, w]` gray or `[h, w, 3]` RGB, uint8.
      quality: libjpeg's quality, 1..100.

    Returns:
      The decoded image, uint8 of the same shape.

    Raises:
      InputError: if the dtype, the shape or the quality does not fit.
    """
    image = np.asarray(image)
    if image.dtype != np.uint8:
        raise InputError(f"JPEG needs a uint8 image, got {image.dtype}.")
    if image.size == 0 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
        raise InputError(f"JPEG needs an image of shape [h, w] or [h, w, 3], got {image.shape}.")
    if quality not in range(1, 101):
        raise InputError(f"JPEG quality must be a whole number in 1..100, got {quality}.")
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "jpeg", quality=int(quality), subsampling="4:2:0")
    with Image.open(buffer) as decoded:
        return np.array(decoded)


def _check_dtype(image: np.ndarray) -> None:
    if image.dtype != np.uint8 and not np.issubdtype(image.dtype, np.floating):
        raise InputError(f"The image must be uint8 or float, got {image.dtype}.")


def _check_for_noise(image: np.ndarray, sigma: float) -> None:
    if image.dtype not in (np.float32, np.float64):
        raise InputError(f"Noise needs a float32 or float64 image in [0, 1], got {image.dtype}.")
    if not 0 <= sigma < math.inf:
        raise InputError(f"Sigma must be a number of at least 0, got {sigma}.")


def _output_geometry(
    shape: tuple[int, ...], scale: float | None, size: tuple[int, int] | None
) -> tuple[tuple[int, int], tuple[float, float]]:
    """Returns the height and width of the output, and the scale of each."""
    h, w = shape
    if scale is not None and size is None:
        if not 0 < scale < math.inf:
            raise InputError(f"The scale must be a positive number, got {scale}.")
        return (math.ceil(h * scale), math.ceil(w * scale)), (scale, scale)
    if size is not None and scale is None:
        if len(size) != 2 or not all(map(is_int, size)) or min(size) < 1:
            raise InputError(f"The size must be two whole numbers of at least 1, got {size}.")
        return size, (size[0] / h, size[1] / w)
    raise InputError(f"Resizing needs either a scale or a size, got {scale=} and {size=}.")


def _resize_axis(image: np.ndarray, axis: int, length: int, scale: float) -> np.ndarray:
    indices, weights = _taps(image.shape[axis], length, scale)
    source = np.ascontiguousarray(np.moveaxis(image, axis, 0))
    resized = np.zeros((length, *source.shape[1:]))
    column = (-1,) + (1,) * (source.ndim - 1)
    # A matrix product would be mostly zeros, and BLAS sums in an order that depends on the machine.
    for index, weight in zip(indices, weights, strict=True):
        resized += source[index] * weight.reshape(column)
    return np.ascontiguousarray(np.moveaxis(resized, 0, axis))


@functools.lru_cache(maxsize=256)
def _taps(length: int, new_length: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns the source indices and weights of every output pixel, both `[taps, new_length]`."""
    shrink = min(scale, 1.0)  # the kernel is 1 / shrink times as wide, for antialiasing
    support = _CUBIC_SUPPORT / shrink
    centers = (np.arange(new_length) + 0.5) / scale - 0.5
    first = np.floor(centers - support / 2)
    positions = first + np.arange(math.ceil(support) + 2)[:, None]
    weights = _cubic(shrink * (centers - positions))
    weights /= weights.sum(axis=0)
    mirrored = np.concatenate([np.arange(length), np.arange(length)[::-1]])
    indices = mirrored[positions.astype(np.int64) % (2 * length)]
    used = weights.any(axis=1)
    return indices[used], weights[used]


def _cubic(x: np.ndarray) -> np.ndarray:
    """Evaluates Keys' cubic convolution kernel with a = -0.5."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x**2 + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0))
