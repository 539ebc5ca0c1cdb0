"""The original training code's settings (KAIR), which the experiments here share.

The first of each family starts from random weights. The others (larger scales, more noise, lower qualities) start from
the official weights of the first, with half the rate and half the schedule; `--init-from` names other weights.
"""

import dataclasses

from swinir_jax.checkpoints.zoo import OFFICIAL
from swinir_jax.config import SwinIRConfig
from swinir_jax.data.config import DataConfig, Degradation
from swinir_jax.training.experiment import Experiment, LossConfig, OptimizerConfig, ValidationConfig

_DENOISING_STEPS = 1_600_000
_DENOISING_MILESTONES = (0.5, 0.75, 0.875, 0.9375)  # 800k, 1.2M, 1.4M and 1.5M


def classical_sr(scale: int) -> Experiment:
    """The middle network on DIV2K."""
    return _super_resolution("classical_sr", "001_classicalSR_DIV2K_s48w8_SwinIR-M_x{}", scale, batch_size=32)


def lightweight_sr(scale: int) -> Experiment:
    """The small network on DIV2K."""
    return _super_resolution("lightweight_sr", "002_lightweightSR_DIV2K_s64w8_SwinIR-S_x{}", scale, batch_size=64)


def denoising(task: str, sigma: int) -> Experiment:
    """The middle network on one level of noise; `task` is gray_dn or color_dn."""
    stem = {
        "gray_dn": "004_grayDN_DFWB_s128w8_SwinIR-M_noise{}",
        "color_dn": "005_colorDN_DFWB_s128w8_SwinIR-M_noise{}",
    }
    first = stem[task].format(15)
    experiment = _same_size(task, OFFICIAL[first].config, Degradation(kind="noise", low=sigma, high=sigma), sigma)
    return experiment if sigma == 15 else _after(first, experiment)


def jpeg(task: str, quality: int) -> Experiment:
    """The middle network on one JPEG quality; `task` is jpeg_car or color_jpeg_car."""
    stem = {
        "jpeg_car": "006_CAR_DFWB_s126w7_SwinIR-M_jpeg{}",
        "color_jpeg_car": "006_colorCAR_DFWB_s126w7_SwinIR-M_jpeg{}",
    }
    first = stem[task].format(40)
    experiment = _same_size(task, OFFICIAL[first].config, Degradation(kind="jpeg", low=quality, high=quality), quality)
    return experiment if quality == 40 else _after(first, experiment)


def light(task: str, degradation: Degradation, level: int, *, window_size: int) -> Experiment:
    """The lightweight network without upsampler, on a range of levels; of this project, the paper has none.

    Args:
      task: color_dn or color_jpeg_car.
      degradation: the range.
      level: that is measured while training.
      window_size: eight of them are a patch's side, or nine of size 7.
    """
    small = OFFICIAL["002_lightweightSR_DIV2K_s64w8_SwinIR-S_x2"].config
    side = 64 // window_size * window_size
    network = dataclasses.replace(small, upscale=1, upsampler="", window_size=window_size, img_size=side)
    steps = lightweight_sr(2).steps
    return dataclasses.replace(_same_size(task, network, degradation, level), batch_size=32, steps=steps)


def _super_resolution(task: str, stem: str, scale: int, *, batch_size: int) -> Experiment:
    first = stem.format(2)
    network = OFFICIAL[stem.format(scale)].config
    experiment = Experiment(
        task=task,
        network=network,
        data=DataConfig(
            degradation=Degradation(kind="bicubic", low=scale, high=scale), patch_size=network.img_sides[0]
        ),
        validation=ValidationConfig(level=scale),
        batch_size=batch_size,
    )
    return experiment if scale == 2 else _after(first, experiment)


def _same_size(task: str, network: SwinIRConfig, degradation: Degradation, level: int) -> Experiment:
    return Experiment(
        task=task,
        network=network,
        data=DataConfig(degradation=degradation, patch_size=network.img_sides[0]),
        validation=ValidationConfig(level=level),
        optimizer=OptimizerConfig(milestones=_DENOISING_MILESTONES),
        loss=LossConfig(name="charbonnier"),
        batch_size=8,
        steps=_DENOISING_STEPS,
    )


def _after(first: str, experiment: Experiment) -> Experiment:
    """Half the rate and half the schedule, from the weights of the family's first."""
    optimizer = dataclasses.replace(experiment.optimizer, learning_rate=experiment.optimizer.learning_rate / 2)
    return dataclasses.replace(experiment, init_from=first, optimizer=optimizer, steps=experiment.steps // 2)
