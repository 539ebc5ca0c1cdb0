"""Judging of networks for ordinary photographs: NIQE, a perceptual distance, and bicubic interpolation beside them."""

import dataclasses
import functools
import math
import os
from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np

from swinir_jax.errors import listed
from swinir_jax.evaluation.protocol import Images, Measurement
from swinir_jax.features import FEATURE_NETWORKS, load_features, perceptual_distance
from swinir_jax.niqe import BLOCK, RELIABLE_BLOCKS, niqe
from swinir_jax.tasks import METRICS, Task

Distance = Callable[[np.ndarray, np.ndarray], float]  # of two images [h, w, 3] uint8
DEFAULT_DISTANCE = "efficientnet_lite0"  # not the network of a perceptual loss, which should not judge itself

_BESIDE = ("psnr_y", "ssim_y")  # metrics that bicubic interpolation is measured by, too
_UNRELIABLE = f"fewer than {RELIABLE_BLOCKS} blocks of {BLOCK}x{BLOCK} pixels that are not flat"
_UNDEFINED = f"undefined with fewer than 2 blocks of {BLOCK}x{BLOCK} pixels that are not flat"


def load_distance(name: str, weights_dir: str | os.PathLike[str] | None = None, *, progress: bool = False) -> Distance:
    """Returns the perceptual distance by a pretrained network, one of `swinir_jax.features.FEATURE_NETWORKS`.

    The distance of images that are too small for the network is NaN. `progress` draws a bar while downloading.

    Raises:
      InputError: if the weights are not found; the message says how to get them.
    """
    params = load_features(name, weights_dir, progress=progress)
    compiled = jax.jit(functools.partial(perceptual_distance, name))

    def distance(a: np.ndarray, b: np.ndarray) -> float:
        if min(a.shape[:2]) < FEATURE_NETWORKS[name].least_side:
            return math.nan
        a, b = (np.divide(image[None], 255, dtype=np.float32) for image in (a, b))
        return float(compiled(params, a, b))

    return distance


def judge(
    measurement: Measurement, images: Images, task: Task, level: int, distance: Distance | None = None
) -> Measurement:
    """Adds NIQE, the perceptual distance and the scores of bicubic interpolation to a measurement.

    Images without a ground truth get `niqe`, `niqe_bicubic` and `niqe_input`. Images with one keep their scores, and
    get `distance`, `niqe`, and the scores of the input enlarged by bicubic interpolation, such as `psnr_y_bicubic`.
    NIQE of a small or flat image gets a remark, which keeps the score out of averages.

    Args:
      measurement: scores of the result by the task's metrics.
      images: input, result and ground truth in RGB.
      task: task of super-resolution.
      level: scale; a border as wide is cut from everything but the input before measuring.
      distance: perceptual distance of two images; None to leave it out.
    """
    crop = task.border(level)
    scores, remarks = dict(measurement.scores), dict(measurement.remarks)

    def measure_niqe(metric: str, image: np.ndarray, crop: int) -> None:
        scores[metric], usable = niqe(image, crop)
        if math.isnan(scores[metric]):
            remarks[metric] = _UNDEFINED
        elif usable < RELIABLE_BLOCKS:
            remarks[metric] = _UNRELIABLE

    for suffix, image in (("", images.restored), ("_bicubic", images.bicubic)):
        if images.hq is not None and suffix:
            scores |= {metric + suffix: METRICS[metric](image, images.hq, crop) for metric in _BESIDE}
        if images.hq is not None and distance:
            metric = f"distance{suffix}"
            scores[metric] = distance(_cut(image, crop), _cut(images.hq, crop))
            if math.isnan(scores[metric]):
                remarks[metric] = "undefined for images as small"
        measure_niqe(f"niqe{suffix}", image, crop)
    if images.hq is None:
        measure_niqe("niqe_input", images.lq, 0)
    return dataclasses.replace(measurement, scores=scores, remarks=remarks)


def explain(results: Sequence[Measurement], averages: Mapping[str, float]) -> list[str]:
    """Says in one line for each reason which scores are left out of the averages."""
    names: dict[tuple[str, str], list[str]] = {}  # by metric and remark
    for result in results:
        for metric, remark in result.remarks.items():
            names.setdefault((metric, remark), []).append(result.name)
    metrics: dict[tuple[str, str], list[str]] = {}  # by images and remark
    for (metric, remark), found in names.items():
        images = f"{len(found)} of {len(results)} images ({listed(found)})"
        metrics.setdefault((images, remark), []).append(metric)
    lines = [
        f"* left out of the average: {', '.join(marked)} of {images}: {remark}"
        for (images, remark), marked in metrics.items()
    ]
    empty = [metric for metric in averages if all(metric in result.remarks for result in results)]
    return lines + [f"no average, as all images are left out: {', '.join(empty)}"] * bool(empty)


def _cut(image: np.ndarray, crop: int) -> np.ndarray:
    return image[crop : image.shape[0] - crop, crop : image.shape[1] - crop]
