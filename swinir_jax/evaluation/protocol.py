"""Evaluation protocol of the official test script: degradation, network and metrics, image by image."""

import contextlib
import dataclasses
import functools
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from swinir_jax.data.colours import matlab_gray
from swinir_jax.data.degradations import imresize, to_uint8
from swinir_jax.data.image_source import StoredImage
from swinir_jax.data.pairs import sizes_fit
from swinir_jax.errors import InputError
from swinir_jax.images import read_picture
from swinir_jax.metrics import psnr, ssim
from swinir_jax.tasks import METRICS, TASKS, Task

logger = logging.getLogger(__name__)

RestoreImage = Callable[[np.ndarray], np.ndarray]  # float32 [h, w, C] to [h * scale, w * scale, C], not clipped
File = Path | StoredImage
Pair = tuple[File | None, File | None]  # HQ and LQ; one of them may be None

BASELINES = ("bicubic", "input")
_CORNER = 64  # side of the region that a check measures, in pixels


@dataclasses.dataclass(frozen=True)
class Measurement:
    """Scores of one image.

    Attributes:
      name: stem of the file name.
      scores: scores by metric; NaN where a metric is undefined.
      seconds: running time of the network.
      remarks: reasons why scores do not enter averages, by metric.
    """

    name: str
    scores: Mapping[str, float]
    seconds: float
    remarks: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Images:
    """Input, result and ground truth of one evaluation, uint8.

    Attributes:
      lq: input of the network, clipped.
      restored: result of the network.
      hq: ground truth; None if there is none.
    """

    lq: np.ndarray
    restored: np.ndarray
    hq: np.ndarray | None

    @functools.cached_property
    def bicubic(self) -> np.ndarray:
        """Input enlarged to the size of the result by MATLAB's bicubic imresize, uint8."""
        return _as_uint8(imresize(np.divide(self.lq, 255, dtype=np.float32), size=self.restored.shape[:2]))


def baseline(name: str, scale: int) -> RestoreImage:
    """Returns a function that stands in for a network.

    Args:
      name: "bicubic" to enlarge by MATLAB's imresize, or "input" to return the degraded input.
      scale: HQ / LQ side ratio.

    Raises:
      InputError: if "bicubic" is named without super-resolution, or "input" with it.
    """
    if (name == "input") != (scale == 1):
        raise InputError(
            f"--model {name} does not fit the task: take bicubic for super-resolution, input for other tasks."
        )
    return (lambda lq: lq) if name == "input" else (lambda lq: imresize(lq.astype(np.float64), float(scale)))


def evaluate(
    task: Task | str, level: int, network: RestoreImage, pairs: Sequence[Pair], *, bicubic_of_y: bool = False
) -> Iterator[tuple[Measurement, Images]]:
    """Restores and measures images, one at a time.

    Args:
      task: a task, or the name of one in TASKS.
      level: scale, noise sigma on the 0..255 scale, or JPEG quality.
      network: function that restores float32 `[h, w, C]` in [0, 1].
      pairs: HQ and LQ files. A missing LQ image is made from HQ by the task's degradation. An LQ image with rounded-up
        sides loses the pixels beyond HQ.
      bicubic_of_y: measure Y as in the bicubic rows of the literature: the rounded Y alone is shrunk and enlarged. Y of
        a gray file has the range 0..255 then, and 16..235 otherwise.

    Yields:
      Measurement and images of each pair, in order.

    Raises:
      InputError: if a file cannot be read, the sizes of a pair do not fit the scale, or memory is short; the message
        names the file.
    """
    task = TASKS[task] if isinstance(task, str) else task
    for pair in pairs:
        with _naming(pair) as path:
            result = _evaluate_one(path.stem, task, level, network, pair, bicubic_of_y)
        yield result


def check_pair(task: Task, level: int, pair: Pair) -> None:
    """Checks that `evaluate` can read and measure a pair, by measuring a corner of HQ against itself.

    Raises:
      InputError: if a file cannot be read or measured; the message names the file.
    """
    with _naming(pair):
        hq, _ = _open(task, level, pair)
        if hq is not None:
            corner = task.colours(hq[:_CORNER, :_CORNER])
            for metric in task.metrics:
                METRICS[metric](corner, corner, task.border(level))


@contextlib.contextmanager
def _naming(pair: Pair) -> Iterator[File]:
    """Yields a file of the pair, and adds its name to InputErrors without it; lack of memory becomes an InputError."""
    path = pair[0] or pair[1]
    if path is None:
        raise InputError("A pair has neither ground truth nor LQ file.")
    try:
        yield path
    except MemoryError as error:
        raise InputError(f"{path}: not enough memory.") from error
    except InputError as error:
        if str(path) in str(error):
            raise
        raise InputError(f"{path}: {error}") from error


def _open(task: Task, level: int, pair: Pair) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Reads HQ, cropped to multiples of the scale, and LQ in the task's colours; None for a missing file."""
    (hq_file, lq_file), scale = pair, task.scale(level)
    hq = None if hq_file is None else _read(hq_file)
    lq = None if lq_file is None else task.colours(_read(lq_file))
    if hq is None:
        return None, lq
    h, w = hq.shape[0] // scale, hq.shape[1] // scale
    if not h or not w:
        raise InputError(f"{hq_file}: {hq.shape[1]}x{hq.shape[0]} pixels are fewer than the scale, {scale}.")
    if lq is not None:
        _check_sizes(hq, lq, scale, pair)
        lq = lq[:h, :w]
    return hq[: h * scale, : w * scale], lq


def _evaluate_one(
    name: str, task: Task, level: int, network: RestoreImage, pair: Pair, bicubic_of_y: bool
) -> tuple[Measurement, Images]:
    scale, crop = task.scale(level), task.border(level)
    stored, lq = _open(task, level, pair)
    hq = None if stored is None else task.colours(stored)
    if lq is not None:
        lq = lq / 255
    else:
        assert hq is not None
        lq = task.degrade(hq, level)
    image = (lq if lq.ndim == 3 else lq[..., None]).astype(np.float32)
    start = time.perf_counter()
    restored = network(image)
    seconds = time.perf_counter() - start
    restored = _as_uint8(restored).reshape(*restored.shape[:2], *lq.shape[2:])
    scores: dict[str, float] = {}
    if hq is not None:
        scores = {metric: METRICS[metric](restored, hq, crop) for metric in task.metrics}
    if stored is not None and bicubic_of_y:
        scores |= _bicubic_of_y(stored, scale)
    return Measurement(name, scores, seconds), Images(to_uint8(lq * 255), restored, hq)


def average(results: Sequence[Measurement]) -> dict[str, float]:
    """Averages each score over the images, as in the paper's tables; NaN where all have remarks, {} of no image."""

    def mean(metric: str) -> float:
        scores = [result.scores[metric] for result in results if metric not in result.remarks]
        return float(np.mean(scores)) if scores else math.nan

    return {metric: mean(metric) for metric in (results[0].scores if results else ())}


def _as_uint8(image: np.ndarray) -> np.ndarray:
    return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)


def _read(path: File) -> np.ndarray:
    if isinstance(path, StoredImage):
        pixels = path.read()
    else:
        picture = read_picture(path)
        pixels = picture.pixels
        if picture.is_translucent:
            logger.warning("%s: alpha is left out", path)
    if pixels.dtype != np.uint8:
        raise InputError(f"{path}: the protocol needs 8-bit images, got {pixels.dtype}.")
    return pixels


def _check_sizes(hq: np.ndarray, lq: np.ndarray, scale: int, pair: Pair) -> None:
    if not sizes_fit(hq.shape[:2], lq.shape[:2], scale):
        sizes = f"{lq.shape[1]}x{lq.shape[0]} enlarged by {scale} is not {hq.shape[1]}x{hq.shape[0]}"
        raise InputError(f"{pair[1]} does not fit {pair[0]}: {sizes}.")


def _bicubic_of_y(hq: np.ndarray, scale: int) -> dict[str, float]:
    y = matlab_gray(hq)
    shrunk = imresize(y.astype(np.float64), 1 / scale)
    enlarged = to_uint8(imresize(shrunk, float(scale)))
    return {"psnr_y": psnr(enlarged, y, scale), "ssim_y": ssim(enlarged, y, scale)}
