"""JPEG artefact removal in colour images of quality 10 to 90 by one small network of this project.

    python train.py jpeg_light --workdir runs/jpeg_light --data.hq folder:DIV2K_train_HR \
      --validation.hq LIVE1

Score: the paper has no network of this kind; quality 40 is measured while training.
Unlike the paper's networks for JPEG it sees values of 0 to 1, as color_denoise_light does, from which it can start
(`--init-from`); `convert_weights.py --to-img-range 255` rewrites it for readers of official names.
"""

from swinir_jax.configs.recipes import light
from swinir_jax.data.config import Degradation

EXPERIMENT = light("color_jpeg_car", Degradation(kind="jpeg", low=10, high=90), 40, window_size=7)
