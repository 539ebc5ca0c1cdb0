"""Real-world super-resolution, first stage: L1 on blindly degraded photographs (paper, section 4.3).

    python train.py real_sr_x4_psnr --workdir runs/real_sr_x4_psnr \
      --data.hq folder:DIV2K_train_HR,folder:Flickr2K,folder:OST --validation.hq Set5/HR

The settings are those of the original training code (KAIR): BSRGAN's degradation, the middle network (M) or the large
one (L). `real_light` is this project's, for small machines: the small network, started from the lightweight one, on
milder degradations of small patches. The paper reports no figures of this stage.
"""

from swinir_jax.config import SIZES, SwinIRConfig
from swinir_jax.data.config import DataConfig, Degradation
from swinir_jax.training.experiment import Experiment, LossConfig, OptimizerConfig, ValidationConfig

EXPERIMENTS = {
    f"real_sr_{name}x{scale}_psnr": Experiment(
        task="real_sr",
        network=SwinIRConfig(**SIZES[size], upscale=scale, upsampler="nearest+conv", img_size=64),
        data=DataConfig(patch_size=64, degradation=Degradation(kind="blind", low=scale, high=scale, chain="bsrgan")),
        loss=LossConfig(name="l1"),
        optimizer=OptimizerConfig(learning_rate=2e-4, milestones=(0.5, 0.8, 0.9, 0.95)),
        steps=1_000_000,
        batch_size=32,
        validation=ValidationConfig(level=scale),
    )
    for name, size in (("", "M"), ("large_", "L"))
    for scale in (2, 4)
} | {
    f"real_light_x{scale}_psnr": Experiment(
        task="real_sr",
        network=SwinIRConfig(**SIZES["S"], upscale=scale, upsampler="pixelshuffledirect", img_size=32),
        init_from=f"lightweight_x{scale}",
        data=DataConfig(patch_size=32, degradation=Degradation(kind="blind", low=scale, high=scale, chain="photo")),
        loss=LossConfig(name="l1"),
        optimizer=OptimizerConfig(learning_rate=2e-4, schedule="cosine", warmup_steps=200),
        steps=10_000,
        batch_size=4,
        validation=ValidationConfig(level=scale, every=1000),
    )
    for scale in (2, 4)
}
