"""The paper's tasks: what each restores and how each is measured, once and for all."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from swinir_jax.data.colours import as_rgb, matlab_gray, opencv_gray
from swinir_jax.data.degradations import gaussian_noise_official, imresize, jpeg
from swinir_jax.metrics import psnr, psnr_b, ssim

Level = Literal["scale", "noise", "jpeg"]


def _shrink(hq: np.ndarray, scale: int) -> np.ndarray:
    """MATLAB's bicubic imresize on uint8: equal to the published LR files bit for bit."""
    return imresize(hq, 1 / scale) / 255


def _add_noise(hq: np.ndarray, sigma: int) -> np.ndarray:
    return gaussian_noise_official(hq / 255, sigma)


def _compress(hq: np.ndarray, quality: int) -> np.ndarray:
    return jpeg(hq, quality) / 255


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """One task of the paper.

    Attributes:
      level: which number says how hard it is, by its command-line name.
      degrade: `(hq, level) -> lq`: uint8 HQ, whose sides are multiples of the scale, to float LQ in [0, 1] (noise may
        exceed it); None where there is no ground truth.
      colours: brings an uint8 file of gray or RGB to what the task measures: `[h, w]` or `[h, w, 3]`.
      channels: of the networks.
      metrics: what is reported; keys of METRICS. Empty where there is no ground truth.
      protocol: the degradation in words, for the log.
      crops_scale: whether as many pixels as the scale are cut from each side before measuring.
      pad: how an image is padded to multiples of the window.
    """

    level: Level
    degrade: Callable[[np.ndarray, int], np.ndarray] | None
    colours: Callable[[np.ndarray], np.ndarray]
    channels: int
    metrics: tuple[str, ...]
    protocol: str
    crops_scale: bool = False
    pad: Literal["official", "minimal"] = "official"


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
_SR = Task(
    level="scale",
    degrade=_shrink,
    colours=as_rgb,
    channels=3,
    crops_scale=True,
    metrics=_COLOUR,
    protocol="MATLAB's bicubic imresize (uint8)",
)
_COLOR_DN = Task(
    level="noise",
    degrade=_add_noise,
    colours=as_rgb,
    channels=3,
    metrics=_COLOUR,
    protocol="Gaussian noise, seed 0 an image, colour drawn in BGR, not clipped",
)
_COLOR_JPEG = Task(
    level="jpeg",
    degrade=_compress,
    colours=as_rgb,
    channels=3,
    metrics=(*_COLOUR, "psnr_b", "psnr_b_y"),
    protocol="libjpeg, colour with 4:2:0 chroma",
)

TASKS: Mapping[str, Task] = {
    "classical_sr": _SR,
    "lightweight_sr": _SR,
    "real_sr": dataclasses.replace(_SR, degrade=None, metrics=(), protocol="none: there is no ground truth"),
    "gray_dn": dataclasses.replace(_COLOR_DN, colours=opencv_gray, channels=1, metrics=("psnr", "ssim")),
    "color_dn": _COLOR_DN,
    "jpeg_car": dataclasses.replace(_COLOR_JPEG, colours=matlab_gray, channels=1, metrics=("psnr", "ssim", "psnr_b")),
    "color_jpeg_car": _COLOR_JPEG,
}
