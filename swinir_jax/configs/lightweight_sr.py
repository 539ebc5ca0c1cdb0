"""Lightweight super-resolution: the small network on DIV2K (paper, table 3).

    python train.py lightweight_sr_x2 --workdir runs/lightweight_sr_x2 --data.hq folder:DIV2K_train_HR \
      --validation.hq Set5/HR

The settings are those of the original training code (KAIR). The larger scales start from the weights of x2, with half
the learning rate and half the steps. The paper reports no training time.
"""

from swinir_jax.config import SIZES, SwinIRConfig
from swinir_jax.data.config import DataConfig, Degradation
from swinir_jax.training.experiment import Experiment, LossConfig, OptimizerConfig, ValidationConfig

EXPERIMENTS = {
    f"lightweight_sr_x{scale}": Experiment(
        task="lightweight_sr",
        network=SwinIRConfig(**SIZES["S"], upscale=scale, upsampler="pixelshuffledirect", img_size=64),
        init_from="" if scale == 2 else "002_lightweightSR_DIV2K_s64w8_SwinIR-S_x2",
        data=DataConfig(patch_size=64, degradation=Degradation(kind="bicubic", low=scale, high=scale)),
        loss=LossConfig(name="l1"),
        optimizer=OptimizerConfig(
            learning_rate=2e-4 if scale == 2 else 1e-4,
            milestones=(0.5, 0.8, 0.9, 0.95),
        ),
        steps=500_000 if scale == 2 else 250_000,
        batch_size=64,
        validation=ValidationConfig(level=scale),
    )
    for scale in (2, 3, 4)
}
