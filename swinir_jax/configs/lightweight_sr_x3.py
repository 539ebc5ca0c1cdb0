"""Lightweight super-resolution x3, the small network on patches of 64 pixels.

    python train.py lightweight_sr_x3 --workdir runs/lightweight_sr_x3 --data.hq folder:DIV2K_train_HR \
      --validation.hq Set5/HR

Score: PSNR-Y 34.62, SSIM-Y 0.9289 on Set5 (table 3).
Cost: half the steps of x2, from its weights; the paper reports no time.
"""

from swinir_jax.configs.recipes import lightweight_sr

EXPERIMENT = lightweight_sr(3)
