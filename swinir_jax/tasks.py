"""The tasks of SwinIR's paper and one of Swin2SR's: degradations and protocols."""

import dataclasses
import functools
import zlib
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from swinir_jax.data.blind import CHAIN_KINDS, DEFAULT_CHAIN, ChainKind, blind_chain
from swinir_jax.data.colours import as_rgb, matlab_gray, opencv_gray
from swinir_jax.data.degradations import gaussian_noise_official, imresize, jpeg, to_uint8
from swinir_jax.metrics import psnr, psnr_b, ssim

Level = Literal["scale", "noise", "jpeg"]

_CHALLENGE_QUALITY = 10  # of the JPEG images in the AIM 2022 challenge, for which Swin2SR was made


def _shrink(hq: np.ndarray, scale: int) -> np.ndarray:
    """Shrinks like MATLAB's bicubic imresize on uint8; the result equals the published LR files bit for bit."""
    return imresize(hq, 1 / scale) / 255


def _degrade_blindly(chain: ChainKind, hq: np.ndarray, scale: int) -> np.ndarray:
    """Degrades by a blind chain, with a seed taken from the content of the image; LQ has 8 bits, as a file would."""
    rng = np.random.default_rng(zlib.crc32(hq.tobytes()))
    _, lq = blind_chain(f"{chain}_x{scale}")(np.divide(hq, 255, dtype=np.float32), rng)
    return to_uint8(lq * 255) / 255


def _add_noise(hq: np.ndarray, sigma: int) -> np.ndarray:
    return gaussian_noise_official(hq / 255, sigma)


def _compress(hq: np.ndarray, quality: int) -> np.ndarray:
    return jpeg(hq, quality) / 255


def _shrink_and_compress(hq: np.ndarray, scale: int) -> np.ndarray:
    return jpeg(imresize(hq, 1 / scale), _CHALLENGE_QUALITY) / 255


PAD: Literal["official"] = "official"
"""Padding to multiples of the window, in all protocols."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """One task of the papers.

    Attributes:
      level: degradation level, by the name of the command-line option.
      degrade: `(hq, level) -> lq`, from uint8 HQ, whose sides are multiples of the scale, to float LQ in [0, 1], which
        noise may exceed.
      training: degradation that makes training data, as `Degradation.kind` names it; None for a task that is only
        measured.
      colours: function from a uint8 image in gray or RGB to the measured image, `[h, w]` or `[h, w, 3]`.
      channels: number of channels of the networks.
      metrics: reported metrics, keys of METRICS.
      protocol: description of the degradation for logs.
      has_truth: whether images to evaluate usually have a ground truth; degraded images are taken alone otherwise.
    """

    level: Level
    degrade: Callable[[np.ndarray, int], np.ndarray]
    training: Literal["bicubic", "blind", "noise", "jpeg"] | None
    colours: Callable[[np.ndarray], np.ndarray]
    channels: int
    metrics: tuple[str, ...]
    protocol: str
    has_truth: bool = True

    def scale(self, level: int) -> int:
        """Returns the enlargement: the level of super-resolution, 1 of denoising and JPEG."""
        return level if self.level == "scale" else 1

    def border(self, level: int) -> int:
        """Returns the pixels to cut from each side before measuring: the scale, or none of denoising and JPEG."""
        return level if self.level == "scale" else 0


# Name -> function of restored and HQ image, uint8, and of the width of the cropped border.
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
    training="bicubic",
    colours=as_rgb,
    channels=3,
    metrics=_COLOUR,
    protocol="MATLAB's bicubic imresize (uint8)",
)
_COLOR_DN = Task(
    level="noise",
    degrade=_add_noise,
    training="noise",
    colours=as_rgb,
    channels=3,
    metrics=_COLOUR,
    protocol="Gaussian noise, seed 0 for each image, colours drawn in BGR, not clipped",
)
_COLOR_JPEG = Task(
    level="jpeg",
    degrade=_compress,
    training="jpeg",
    colours=as_rgb,
    channels=3,
    metrics=(*_COLOUR, "psnr_b", "psnr_b_y"),
    protocol="libjpeg, colour with 4:2:0 chroma",
)


def real_sr(chain: ChainKind = DEFAULT_CHAIN) -> Task:
    """Returns the task of enlarging ordinary photographs, with the chain that degrades a ground truth."""
    return dataclasses.replace(
        _SR,
        degrade=functools.partial(_degrade_blindly, chain),
        training="blind",
        protocol=f"{CHAIN_KINDS[chain]}, seed of each image: CRC-32 of its pixels",
        has_truth=False,
    )


TASKS: Mapping[str, Task] = {
    "classical_sr": _SR,
    "lightweight_sr": _SR,
    "compressed_sr": dataclasses.replace(
        _SR,
        degrade=_shrink_and_compress,
        training=None,
        protocol=f"{_SR.protocol}, then libjpeg of quality {_CHALLENGE_QUALITY}, colour with 4:2:0 chroma",
    ),
    "real_sr": real_sr(),
    "gray_dn": dataclasses.replace(_COLOR_DN, colours=opencv_gray, channels=1, metrics=("psnr", "ssim")),
    "color_dn": _COLOR_DN,
    "jpeg_car": dataclasses.replace(_COLOR_JPEG, colours=matlab_gray, channels=1, metrics=("psnr", "ssim", "psnr_b")),
    "color_jpeg_car": _COLOR_JPEG,
}
