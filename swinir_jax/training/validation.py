"""Measuring the EMA weights while training, by the protocol of the evaluation."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image

from swinir_jax.data.sources import open_pairs
from swinir_jax.evaluation.protocol import Images, Measurement, Pair, average, evaluate
from swinir_jax.inference.restorer import Restorer
from swinir_jax.models import SwinIR
from swinir_jax.tasks import TASKS
from swinir_jax.training.experiment import Experiment


@dataclasses.dataclass(frozen=True)
class Validation:
    """What the weights scored.

    Attributes:
      scores: means by metric.
      pictures: by the image's name, LQ (enlarged), restored and HQ side by side, `[h, 3 * w, 3]` uint8.
      seconds: that it took.
    """

    scores: Mapping[str, float]
    pictures: Mapping[str, np.ndarray]
    seconds: float

    @property
    def psnr(self) -> float:
        """By which the best weights are told: on Y where the task has it."""
        return self.scores["psnr_y" if "psnr_y" in self.scores else "psnr"]


def validation_pairs(experiment: Experiment) -> list[Pair]:
    """The images to measure, none if the experiment names none.

    Raises:
      InputError: if there are no images, one of them cannot be read, or pairs do not match.
    """
    config = experiment.validation
    if not config.hq:
        return []
    scale, data_dir = experiment.network.upscale, experiment.data.data_dir
    return [*open_pairs(config.hq, scale=scale, pairs=config.pairs, data_dir=data_dir, option="validation.hq")]


def validate(
    experiment: Experiment,
    model: SwinIR,
    params: Mapping[str, Any],
    pairs: list[Pair],
    stop: Callable[[], bool] = lambda: False,
) -> Validation | None:
    """Restores and measures all images.

    Args:
      experiment: its task, level and tiles.
      model: the network.
      params: its weights.
      pairs: from `validation_pairs`.
      stop: whether to break off; asked after each image.

    Returns:
      What was measured; None if it was broken off.

    Raises:
      InputError: if an image cannot be read, or the network's answer is not finite.
    """
    start = time.perf_counter()
    config = experiment.validation
    restorer = Restorer(model, params, tile=config.tile or "auto", pad=TASKS[experiment.task].pad)
    results: list[Measurement] = []
    pictures: dict[str, np.ndarray] = {}
    for result, images in evaluate(experiment.task, config.level, restorer.restore, pairs):
        results.append(result)
        if len(pictures) < config.pictures:
            name = result.name if result.name not in pictures else f"{result.name}_{len(results)}"  # of another folder
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
