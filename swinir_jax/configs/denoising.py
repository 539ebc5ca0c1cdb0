"""Denoising: the middle network for one level of noise (paper, tables 5 and 6).

    python train.py color_dn_noise15 --workdir runs/color_dn_noise15 --data.hq folder:DFWB --validation.hq McMaster

DFWB is DIV2K, Flickr2K, WED and the training part of BSD500; gray networks see the luma. The settings are those of the
original training code (KAIR). Sigma 25 and 50 start from the weights of sigma 15, with half the learning rate and half
the steps. The paper reports no training time.
"""

from swinir_jax.config import SIZES, SwinIRConfig
from swinir_jax.data.config import DataConfig, Degradation
from swinir_jax.training.experiment import Experiment, LossConfig, OptimizerConfig, ValidationConfig

EXPERIMENTS = {
    f"{task}_noise{sigma}": Experiment(
        task=task,
        network=SwinIRConfig(**SIZES["M"], in_chans=channels, img_size=128),
        init_from="" if sigma == 15 else first,
        data=DataConfig(patch_size=128, degradation=Degradation(kind="noise", low=sigma, high=sigma)),
        loss=LossConfig(name="charbonnier"),
        optimizer=OptimizerConfig(
            learning_rate=2e-4 if sigma == 15 else 1e-4,
            milestones=(0.5, 0.75, 0.875, 0.9375),
        ),
        steps=1_600_000 if sigma == 15 else 800_000,
        batch_size=8,
        validation=ValidationConfig(level=sigma),
    )
    for task, channels, first in (
        ("gray_dn", 1, "004_grayDN_DFWB_s128w8_SwinIR-M_noise15"),
        ("color_dn", 3, "005_colorDN_DFWB_s128w8_SwinIR-M_noise15"),
    )
    for sigma in (15, 25, 50)
}
