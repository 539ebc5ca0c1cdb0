"""Real-world super-resolution: L1 on blindly degraded photographs, then adversarial training (paper, section 4.3).

    python train.py real_sr_x4_psnr --workdir runs/psnr --validation.hq Set5/HR \
      --data.hq folder:DIV2K_train_HR,folder:Flickr2K,folder:OST
    python train.py real_sr_x4_gan --workdir runs/gan --init-from runs/psnr --validation.hq Set5/HR \
      --data.hq folder:DIV2K_train_HR,folder:Flickr2K,folder:OST

The settings are those of the original training code (KAIR): BSRGAN's degradation, the middle network (M) or the large
one (L). `real_light` is this project's, for small machines: the small network, started from the lightweight one, on
milder degradations of small patches, against a narrower discriminator; at x1 it is the small network for noise. The
paper reports no figures of these runs.
"""

import dataclasses

from swinir_jax.config import SIZES, SwinIRConfig
from swinir_jax.data.config import DataConfig, Degradation
from swinir_jax.training.experiment import (
    DiscriminatorOptimizerConfig,
    Experiment,
    GanConfig,
    LossConfig,
    OptimizerConfig,
    ValidationConfig,
)

_PSNR = {
    f"real_sr_{name}x{scale}": Experiment(
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
}
_LIGHT_PSNR = {
    f"real_light_x{scale}": Experiment(
        task="real_sr",
        network=SwinIRConfig(**SIZES["S"], upscale=scale, upsampler=upsampler, img_size=patch_size),
        init_from=start,
        data=DataConfig(
            patch_size=patch_size, degradation=Degradation(kind="blind", low=scale, high=scale, chain="photo")
        ),
        loss=LossConfig(name="l1"),
        optimizer=OptimizerConfig(learning_rate=2e-4, schedule="cosine", warmup_steps=200),
        steps=10_000,
        batch_size=4,
        validation=ValidationConfig(level=scale, every=1000),
    )
    for scale, patch_size, upsampler, start in (
        (1, 64, "", "color_denoise_light"),
        (2, 48, "pixelshuffledirect", "lightweight_x2"),
        (4, 32, "pixelshuffledirect", "lightweight_x4"),
    )
}
# 400k, 500k, 550k and 575k of 600k steps
_GAN_MILESTONES = (2 / 3, 5 / 6, 11 / 12, 23 / 24)

EXPERIMENTS = (
    {f"{name}_psnr": experiment for name, experiment in (_PSNR | _LIGHT_PSNR).items()}
    | {
        f"{name}_gan": dataclasses.replace(
            experiment,
            loss=LossConfig(name="l1", perceptual="vgg19", perceptual_weight=1.0),
            gan=GanConfig(
                loss="gan",
                weight=0.1,
                features=64,
                optimizer=DiscriminatorOptimizerConfig(learning_rate=1e-4, milestones=_GAN_MILESTONES),
            ),
            optimizer=OptimizerConfig(learning_rate=1e-4, milestones=_GAN_MILESTONES),
            steps=600_000,
        )
        for name, experiment in _PSNR.items()
    }
    | {
        f"{name}_gan": dataclasses.replace(
            experiment,
            init_from="",  # the run of the first stage, which only the user can name
            # Real-ESRGAN's weight, 1, left a grid in flat areas and cost 1.4 dB in 250 steps: small networks answer
            # grain, which nobody can know, by the pattern whose features come nearest on average.
            loss=LossConfig(name="l1", perceptual="vgg16_hed", perceptual_weight=0.02),
            gan=GanConfig(
                loss="gan",
                weight=0.1,
                features=32,
                warmup_steps=200,
                feature_matching=1.0,
                artifacts=1.0,
                optimizer=DiscriminatorOptimizerConfig(learning_rate=1e-4, schedule="constant"),
            ),
            optimizer=OptimizerConfig(learning_rate=1e-4, schedule="constant"),
            steps=6_000,
        )
        for name, experiment in _LIGHT_PSNR.items()
    }
)
