"""Lightweight super-resolution x4, the small network on patches of 64 pixels.

    python train.py lightweight_sr_x4 --workdir runs/lightweight_sr_x4 --data.hq folder:DIV2K_train_HR \
      --validation.hq Set5/HR

Score: PSNR-Y 32.44, SSIM-Y 0.8976 on Set5 (table 3).
Cost: half the steps of x2, from its weights; the paper reports no time.
"""

from swinir_jax.configs.recipes import lightweight_sr

EXPERIMENT = lightweight_sr(4)
