"""Validation of the EMA weights during training, by the evaluation protocol."""

import dataclasses
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from swinir_jax.data.sources import open_pairs
from swinir_jax.errors import InputError, NotFiniteError, first_few
from swinir_jax.evaluation.protocol import File, Images, Measurement, Pair, average, check_pair, evaluate
from swinir_jax.inference.restorer import Restorer
from swinir_jax.models import SwinIR
from swinir_jax.tasks import PAD, TASKS, Task, real_sr
from swinir_jax.training.divergence import DivergenceError
from swinir_jax.training.experiment import Experiment

_THREADS = 4  # threads that check images, each with one decoded image in memory


@dataclasses.dataclass(frozen=True)
class Validation:
    """Result of a validation.

    Attributes:
      scores: mean scores by metric.
      pictures: enlarged LQ, restored image and HQ side by side, `[h, 3 * w, 3]` uint8, by image name.
      seconds: duration of the validation.
    """

    scores: Mapping[str, float]
    pictures: Mapping[str, np.ndarray]
    seconds: float

    @property
    def psnr(self) -> float:
        """PSNR that ranks the weights, on Y if the task measures Y."""
        return self.scores["psnr_y" if "psnr_y" in self.scores else "psnr"]


def validation_pairs(experiment: Experiment) -> list[Pair]:
    """Returns the images to measure, after reading each once to find errors before the training.

    Returns:
      HQ and LQ of each image; an empty list if `--validation.hq` is empty.

    Raises:
      InputError: if there are no images, pairs do not match, or some images cannot be read or measured; the message
        names the first few images.
    """
    config = experiment.validation
    if not config.hq:
        return []
    scale, data_dir = experiment.network.upscale, experiment.data.data_dir
    pairs: list[Pair] = [
        *open_pairs(config.hq, scale=scale, pairs=config.pairs, data_dir=data_dir, option="--validation.hq")
    ]

    task = _task(experiment)

    def problem(pair: Pair) -> str | None:
        try:
            check_pair(task, config.level, pair)
        except InputError as error:
            return str(error).rstrip(".")
        return None

    with ThreadPoolExecutor(_THREADS) as threads:
        problems = [found for found in threads.map(problem, pairs) if found]
    if problems:
        count = f"{len(problems)} of {len(pairs)} images cannot be measured"
        raise InputError(f"--validation.hq {config.hq}: {count}: {first_few(problems)}.")
    return pairs


def _task(experiment: Experiment) -> Task:
    """Returns the task to measure; photographs are degraded by the chain of the training."""
    degradation = experiment.data.degradation
    return real_sr(degradation.chain) if degradation.kind == "blind" else TASKS[experiment.task]


def describe_setting(experiment: Experiment, pairs: Sequence[Pair]) -> str:
    """Describes the validation in a text that is equal for comparable scores; empty without images.

    The text identifies the images by names and file sizes, because their folder may move.
    """
    if not pairs:
        return ""
    digest = zlib.crc32(repr([_identity(file) for pair in pairs for file in pair if file is not None]).encode())
    config = experiment.validation
    tiles = f"tiles of {config.tile}" if config.tile else "whole"
    return f"{len(pairs)} images ({digest:08x}) at level {config.level}, {tiles}"


def _identity(file: File) -> tuple[str, object]:
    return (file.name, file.stat().st_size) if isinstance(file, Path) else (file.stem, file.sizes)


def validate(
    experiment: Experiment,
    model: SwinIR,
    params: Mapping[str, Any],
    pairs: list[Pair],
    stop: Callable[[], bool] = lambda: False,
) -> Validation | None:
    """Restores and measures all images.

    Args:
      experiment: task, level and tiles.
      model: network.
      params: parameters of the network.
      pairs: images from `validation_pairs`.
      stop: function called after each image; the validation stops if it returns True.

    Returns:
      The result; None if the validation was stopped.

    Raises:
      InputError: if an image cannot be read.
      DivergenceError: if a restored image is not finite.
    """
    start = time.perf_counter()
    config = experiment.validation
    restorer = Restorer(model, params, tile=config.tile or "auto", pad=PAD)

    def restore(lq: np.ndarray) -> np.ndarray:
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # NotFiniteError reports overflows
                return restorer.restore(lq)
        except NotFiniteError as error:
            raise DivergenceError("Images restored in validation are not finite") from error

    results: list[Measurement] = []
    pictures: dict[str, np.ndarray] = {}
    for result, images in evaluate(_task(experiment), config.level, restore, pairs):
        results.append(result)
        if len(pictures) < config.pictures:
            name = result.name if result.name not in pictures else f"{result.name}_{len(results)}"
            pictures[name] = _side_by_side(images)
        if stop():
            return None
    return Validation(average(results), pictures, time.perf_counter() - start)


def _side_by_side(images: Images) -> np.ndarray:
    panels = [
        Image.fromarray(image).convert("RGB") for image in (images.lq, images.restored, images.hq) if image is not None
    ]
    size = panels[-1].size
    return np.concatenate([np.asarray(panel.resize(size, Image.Resampling.NEAREST)) for panel in panels], axis=1)
