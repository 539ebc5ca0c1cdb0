"""The paper's tasks: what each restores and how each is measured, once and for all."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from swinir_jax.data.degradations import gaussian_noise_official, imresize, jpeg, to_uint8
from swinir_jax.metrics import psnr, psnr_b, rgb_to_y, ssim

Level = Literal["scale", "noise", "jpeg"]


def _as_rgb(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=-1)


def _full_range_luma(image: np.ndarray) -> np.ndarray:
    """As OpenCV reads a colour file in gray, which the official denoising test does."""
    return image if image.ndim == 2 else to_uint8(image @ np.array([0.299, 0.587, 0.114]))


def _matlab_luma(image: np.ndarray) -> np.ndarray:
    """MATLAB's rgb2ycbcr, rounded, which the official JPEG test does."""
    return image if image.ndim == 2 else to_uint8(rgb_to_y(image))


def _shrink(hq: np.ndarray, scale: int) -> np.ndarray:
    """MATLAB's bicubic imresize on uint8: equal to the published LR files bit for bit."""
    return imresize(hq, 1 / scale) / 255


def _add_noise(hq: np.ndarray, sigma: int) -> np.ndarray:
    return gaussian_noise_official(hq / 255, sigma)


def _compress(hq: np.ndarray, quality: int) -> np.ndarray:
    return jpeg(hq, quality) / 255


@dataclasses.dataclass(frozen=True)
class Task:
    """One task of the paper.

    Attributes:
      level: which number says how hard it is, by its command-line name.
      degrade: `(hq, level) -> lq`: uint8 HQ, whose sides are multiples of the scale, to float LQ in [0, 1] (noise may
        exceed it).
      colours: brings an uint8 file of gray or RGB to what the task measures: `[h, w]` or `[h, w, 3]`.
      channels: of the networks.
      crops_scale: whether as many pixels as the scale are cut from each side before measuring.
      metrics: what is reported; keys of METRICS. Empty where there is no ground truth.
      protocol: in words, for the log.
    """

    level: Level
    degrade: Callable[[np.ndarray, int], np.ndarray] | None
    colours: Callable[[np.ndarray], np.ndarray]
    channels: int
    crops_scale: bool
    metrics: tuple[str, ...]
    protocol: str


# Each takes restored and HQ as uint8, and the pixels to cut from each side.
METRICS: Mapping[str, Callable[[np.ndarray, np.ndarray, int], float]] = {
    "psnr": psnr,
    "ssim": ssim,
    "psnr_y": lambda restored, hq, crop: psnr(restored, hq, crop, y_channel=True),
    "ssim_y": lambda restored, hq, crop: ssim(restored, hq, crop, y_channel=True),
    "psnr_b": psnr_b,
    "psnr_b_y": lambda restored, hq, crop: psnr_b(restored, hq, crop, y_channel=True),
}

_COLOUR = ("psnr", "ssim", "psnr_y", "ssim_y")
_SR = Task("scale", _shrink, _as_rgb, 3, True, _COLOUR, "LQ by MATLAB's bicubic imresize (uint8) unless given")

TASKS: Mapping[str, Task] = {
    "classical_sr": _SR,
    "lightweight_sr": _SR,
    "real_sr": dataclasses.replace(_SR, degrade=None, metrics=(), protocol="no ground truth: restored only"),
    "gray_dn": Task(
        "noise",
        _add_noise,
        _full_range_luma,
        1,
        False,
        ("psnr", "ssim"),
        "Gaussian noise, seed 0 an image, not clipped",
    ),
    "color_dn": Task(
        "noise", _add_noise, _as_rgb, 3, False, _COLOUR, "Gaussian noise, seed 0 an image, drawn in BGR, not clipped"
    ),
    "jpeg_car": Task(
        "jpeg",
        _compress,
        _matlab_luma,
        1,
        False,
        ("psnr", "ssim", "psnr_b"),
        "libjpeg; a colour file's MATLAB Y, rounded",
    ),
    "color_jpeg_car": Task(
        "jpeg", _compress, _as_rgb, 3, False, (*_COLOUR, "psnr_b", "psnr_b_y"), "libjpeg with 4:2:0 chroma"
    ),
}
