"""JPEG artefact removal: the middle network for one quality (paper, table 4, without scores for colour).

    python train.py jpeg_car_q40 --workdir runs/jpeg_car_q40 --data.hq folder:DFWB --validation.hq classic5

DFWB is DIV2K, Flickr2K, WED and the training part of BSD500; gray networks see the luma. The settings are those of the
original training code (KAIR): windows of 7, which differ from the blocks of 8, and values in 0..255. The lower
qualities start from the weights of quality 40, with half the learning rate and half the steps. The paper reports no
training time.
"""

from swinir_jax.config import SIZES, SwinIRConfig
from swinir_jax.data.config import DataConfig, Degradation
from swinir_jax.training.experiment import Experiment, LossConfig, OptimizerConfig, ValidationConfig

EXPERIMENTS = {
    f"{task}_q{quality}": Experiment(
        task=task,
        network=SwinIRConfig(**SIZES["M"], in_chans=channels, img_size=126, window_size=7, img_range=255.0),
        init_from="" if quality == 40 else first,
        data=DataConfig(patch_size=126, degradation=Degradation(kind="jpeg", low=quality, high=quality)),
        loss=LossConfig(name="charbonnier"),
        optimizer=OptimizerConfig(
            learning_rate=2e-4 if quality == 40 else 1e-4,
            milestones=(0.5, 0.75, 0.875, 0.9375),
        ),
        steps=1_600_000 if quality == 40 else 800_000,
        batch_size=8,
        validation=ValidationConfig(level=quality),
    )
    for task, channels, first in (
        ("jpeg_car", 1, "006_CAR_DFWB_s126w7_SwinIR-M_jpeg40"),
        ("color_jpeg_car", 3, "006_colorCAR_DFWB_s126w7_SwinIR-M_jpeg40"),
    )
    for quality in (10, 20, 30, 40)
}
