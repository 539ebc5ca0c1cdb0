"""One image after the other through degradation, network and metrics, as the official test script does."""

import dataclasses
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

Network = Callable[[np.ndarray], np.ndarray]  # float32 [h, w, C] -> [h * scale, w * scale, C], not clipped
File = Path | StoredImage
Pair = tuple[File | None, File | None]  # HQ and LQ; one of them may be missing

BASELINES = ("bicubic", "input")


@dataclasses.dataclass(frozen=True)
class Measurement:
    """What one image scored.

    Attributes:
      name: stem of the file.
      scores: by metric.
      seconds: that the network took.
    """

    name: str
    scores: Mapping[str, float]
    seconds: float


@dataclasses.dataclass(frozen=True)
class Images:
    """What one image became; uint8.

    Attributes:
      lq: what the network saw, clipped.
      restored: its answer.
      hq: the ground truth, or None.
    """

    lq: np.ndarray
    restored: np.ndarray
    hq: np.ndarray | None


def baseline(name: str, scale: int) -> Network:
    """A network that is none.

    Args:
      name: "bicubic" enlarges by MATLAB's imresize; "input" gives back the degraded input.
      scale: HQ / LQ side ratio.

    Raises:
      InputError: if the baseline is one for another kind of task.
    """
    if (name == "input") != (scale == 1):
        raise InputError(f"--model {name} is no baseline here: super-resolution takes bicubic, the others input.")
    return (lambda lq: lq) if name == "input" else (lambda lq: imresize(lq.astype(np.float64), float(scale)))


def evaluate(
    task_name: str, level: int, network: Network, pairs: Sequence[Pair], *, bicubic_of_y: bool = False
) -> Iterator[tuple[Measurement, Images]]:
    """Restores and measures images, one at a time.

    Args:
      task_name: a key of TASKS.
      level: scale, noise sigma on the 0..255 scale, or JPEG quality.
      network: restores float32 `[h, w, C]` in [0, 1].
      pairs: HQ and LQ files; a missing LQ is made from the HQ by the task's degradation. Of an LQ whose sides were
        rounded up, the pixels that reach beyond HQ are cut off.
      bicubic_of_y: measure Y as the literature does for its bicubic rows: Y, rounded, is shrunk and enlarged by itself;
        of a gray file its own values, while a network's Y is that of three equal channels, 219/255 of the range.

    Yields:
      One measurement an image, in order, and the images for who wants to keep them.

    Raises:
      InputError: if a file cannot be read, or the sizes of a pair do not fit the scale; the message names it.
    """
    for hq_path, lq_path in pairs:
        path = hq_path or lq_path
        if path is None:
            raise InputError("A pair has neither ground truth nor LQ file.")
        try:
            result = _evaluate_one(path.stem, TASKS[task_name], level, network, hq_path, lq_path, bicubic_of_y)
        except InputError as error:
            raise error if str(path) in str(error) else InputError(f"{path}: {error}") from error
        yield result


def _evaluate_one(
    name: str, task: Task, level: int, network: Network, hq_path: File | None, lq_path: File | None, bicubic_of_y: bool
) -> tuple[Measurement, Images]:
    scale = level if task.level == "scale" else 1
    crop = scale if task.crops_scale else 0
    stored = None if hq_path is None else _read(hq_path)
    whole = None if stored is None else task.colours(stored)
    hq = None if whole is None else _crop(whole, scale)
    if lq_path is not None:
        lq = task.colours(_read(lq_path)) / 255
        if whole is not None and hq is not None:
            _check_pair(whole, lq, scale, hq_path, lq_path)
            lq = lq[: hq.shape[0] // scale, : hq.shape[1] // scale]
    elif hq is not None and task.degrade is not None:
        lq = task.degrade(hq, level)
    else:
        raise InputError("an image needs an LQ file, or a ground truth to make it from.")
    image = (lq if lq.ndim == 3 else lq[..., None]).astype(np.float32)
    start = time.perf_counter()
    restored = network(image)
    seconds = time.perf_counter() - start
    restored = np.round(np.clip(restored, 0, 1) * 255).astype(np.uint8).reshape(*restored.shape[:2], *lq.shape[2:])
    scores: dict[str, float] = {}
    if hq is not None:
        scores = {name: METRICS[name](restored, hq, crop) for name in task.metrics}
    if stored is not None and bicubic_of_y:
        scores |= _bicubic_of_y(_crop(stored, scale), scale)
    return Measurement(name, scores, seconds), Images(to_uint8(lq * 255), restored, hq)


def average(results: Sequence[Measurement]) -> dict[str, float]:
    """Mean of each score over the images, as the paper reports it."""
    return {name: float(np.mean([r.scores[name] for r in results])) for name in results[0].scores}


def _read(path: File) -> np.ndarray:
    pixels = path.read() if isinstance(path, StoredImage) else read_picture(path).pixels
    if pixels.dtype != np.uint8:
        raise InputError(f"{path}: the protocol is for 8-bit images.")
    return pixels


def _crop(image: np.ndarray, scale: int) -> np.ndarray:
    h, w = image.shape[:2]
    return image[: h // scale * scale, : w // scale * scale]


def _check_pair(hq: np.ndarray, lq: np.ndarray, scale: int, hq_path: File | None, lq_path: File) -> None:
    if not sizes_fit(hq.shape[:2], lq.shape[:2], scale):
        sizes = f"{lq.shape[1]}x{lq.shape[0]} enlarged by {scale} is not {hq.shape[1]}x{hq.shape[0]}"
        raise InputError(f"{lq_path} does not fit {hq_path}: {sizes}.")


def _bicubic_of_y(file: np.ndarray, scale: int) -> dict[str, float]:
    y = matlab_gray(file)
    shrunk = imresize(y.astype(np.float64), 1 / scale)
    enlarged = to_uint8(imresize(shrunk, float(scale)))
    return {"psnr_y": psnr(enlarged, y, scale), "ssim_y": ssim(enlarged, y, scale)}
