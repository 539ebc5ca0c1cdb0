"""Classical super-resolution: the middle network on DIV2K (paper, table 2).

    python train.py classical_sr_x2 --workdir runs/classical_sr_x2 --data.hq folder:DIV2K_train_HR \
      --validation.hq Set5/HR

The settings are those of the original training code (KAIR). The larger scales start from the weights of x2, with half
the learning rate and half the steps. For DF2K instead of DIV2K add `--data.patch-size 64 --network.img-size 64`.
The paper reports 1.8 days on 8 RTX 2080 Ti for x2, about 105 images a second.
"""

from swinir_jax.config import SIZES, SwinIRConfig
from swinir_jax.data.config import DataConfig, Degradation
from swinir_jax.training.experiment import Experiment, LossConfig, OptimizerConfig, ValidationConfig

EXPERIMENTS = {
    f"classical_sr_x{scale}": Experiment(
        task="classical_sr",
        network=SwinIRConfig(**SIZES["M"], upscale=scale, upsampler="pixelshuffle", img_size=48),
        init_from="" if scale == 2 else "001_classicalSR_DIV2K_s48w8_SwinIR-M_x2",
        data=DataConfig(patch_size=48, degradation=Degradation(kind="bicubic", low=scale, high=scale)),
        loss=LossConfig(name="l1"),
        optimizer=OptimizerConfig(
            learning_rate=2e-4 if scale == 2 else 1e-4,
            milestones=(0.5, 0.8, 0.9, 0.95),
        ),
        steps=500_000 if scale == 2 else 250_000,
        batch_size=32,
        validation=ValidationConfig(level=scale),
    )
    for scale in (2, 3, 4, 8)
}
