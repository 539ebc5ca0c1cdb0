"""Small networks for a range of levels, by this project; the paper has no such networks.

    python train.py color_denoise_light --workdir runs/denoise --data.hq folder:DIV2K_train_HR --validation.hq McMaster
    python train.py jpeg_light --workdir runs/jpeg --init-from runs/denoise --data.hq folder:DIV2K_train_HR \
      --validation.hq LIVE1

Validation uses sigma 25 and quality 40. Unlike the paper's networks for JPEG, `jpeg_light` has values in 0..1, so that
it can start from `color_denoise_light`; `convert_weights.py --to-img-range 255` converts it for the official code.
"""

from swinir_jax.config import SIZES, SwinIRConfig
from swinir_jax.data.config import DataConfig, Degradation
from swinir_jax.training.experiment import Experiment, LossConfig, OptimizerConfig, ValidationConfig


def _light(task: str, window_size: int, patch_size: int, degradation: Degradation, level: int) -> Experiment:
    return Experiment(
        task=task,
        network=SwinIRConfig(**SIZES["S"], img_size=patch_size, window_size=window_size),
        data=DataConfig(patch_size=patch_size, degradation=degradation),
        loss=LossConfig(name="charbonnier"),
        optimizer=OptimizerConfig(learning_rate=2e-4, milestones=(0.5, 0.75, 0.875, 0.9375)),
        steps=500_000,
        batch_size=32,
        validation=ValidationConfig(level=level),
    )


EXPERIMENTS = {
    "color_denoise_light": _light("color_dn", 8, 64, Degradation(kind="noise", low=5, high=50), 25),
    "jpeg_light": _light("color_jpeg_car", 7, 63, Degradation(kind="jpeg", low=10, high=90), 40),
}
