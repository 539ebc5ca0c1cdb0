"""Denoising of colour images of sigma 5 to 50 by one small network of this project.

    python train.py color_denoise_light --workdir runs/color_denoise_light --data.hq folder:DIV2K_train_HR \
      --validation.hq McMaster

Score: the paper has no network of this kind; sigma 25 is measured while training.
"""

from swinir_jax.configs.recipes import light
from swinir_jax.data.config import Degradation

EXPERIMENT = light("color_dn", Degradation(kind="noise", low=5, high=50), 25, window_size=8)
