"""One image after the other through degradation, network and metrics, as the official test script does."""

import contextlib
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
_CORNER = 64  # pixels; a smaller image is measured whole


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
    for pair in pairs:
        with _naming(pair) as path:
            result = _evaluate_one(path.stem, TASKS[task_name], level, network, pair, bicubic_of_y)
        yield result


def check_pair(task_name: str, level: int, pair: Pair) -> None:
    """Reads a pair as `evaluate` does, and measures a corner of its HQ against itself.

    Raises:
      InputError: if `evaluate` could not measure the pair; the message names a file.
    """
    task = TASKS[task_name]
    with _naming(pair):
        hq, _ = _open(task, level, pair)
        if hq is not None:
            corner = task.colours(hq[:_CORNER, :_CORNER])
            for metric in task.metrics:
                METRICS[metric](corner, corner, _border(task, level))


@contextlib.contextmanager
def _naming(pair: Pair) -> Iterator[File]:
    """Yields one of the pair's files, which is named in errors that do not do so themselves."""
    path = pair[0] or pair[1]
    if path is None:
        raise InputError("A pair has neither ground truth nor LQ file.")
    try:
        yield path
    except InputError as error:
        raise error if str(path) in str(error) else InputError(f"{path}: {error}") from error


def _scale(task: Task, level: int) -> int:
    return level if task.level == "scale" else 1


def _border(task: Task, level: int) -> int:
    """Pixels that are cut from each side before measuring."""
    return _scale(task, level) if task.crops_scale else 0


def _open(task: Task, level: int, pair: Pair) -> tuple[np.ndarray | None, np.ndarray | None]:
    """HQ as stored, cut to a multiple of the scale, and LQ in the task's colours; None where there is no file."""
    (hq_file, lq_file), scale = pair, _scale(task, level)
    hq = None if hq_file is None else _read(hq_file)
    lq = None if lq_file is None else task.colours(_read(lq_file))
    if hq is None:
        return None, lq
    h, w = hq.shape[0] // scale, hq.shape[1] // scale
    if lq is not None:
        _check_sizes(hq, lq, scale, pair)
        lq = lq[:h, :w]
    return hq[: h * scale, : w * scale], lq


def _evaluate_one(
    name: str, task: Task, level: int, network: Network, pair: Pair, bicubic_of_y: bool
) -> tuple[Measurement, Images]:
    scale, crop = _scale(task, level), _border(task, level)
    stored, lq = _open(task, level, pair)
    hq = None if stored is None else task.colours(stored)
    if lq is not None:
        lq = lq / 255
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
        scores |= _bicubic_of_y(stored, scale)
    return Measurement(name, scores, seconds), Images(to_uint8(lq * 255), restored, hq)


def average(results: Sequence[Measurement]) -> dict[str, float]:
    """Mean of each score over the images, as the paper reports it."""
    return {name: float(np.mean([r.scores[name] for r in results])) for name in results[0].scores}


def _read(path: File) -> np.ndarray:
    pixels = path.read() if isinstance(path, StoredImage) else read_picture(path).pixels
    if pixels.dtype != np.uint8:
        raise InputError(f"{path}: the protocol is for 8-bit images.")
    return pixels


def _check_sizes(hq: np.ndarray, lq: np.ndarray, scale: int, pair: Pair) -> None:
    if not sizes_fit(hq.shape[:2], lq.shape[:2], scale):
        sizes = f"{lq.shape[1]}x{lq.shape[0]} enlarged by {scale} is not {hq.shape[1]}x{hq.shape[0]}"
        raise InputError(f"{pair[1]} does not fit {pair[0]}: {sizes}.")


def _bicubic_of_y(file: np.ndarray, scale: int) -> dict[str, float]:
    y = matlab_gray(file)
    shrunk = imresize(y.astype(np.float64), 1 / scale)
    enlarged = to_uint8(imresize(shrunk, float(scale)))
    return {"psnr_y": psnr(enlarged, y, scale), "ssim_y": ssim(enlarged, y, scale)}
