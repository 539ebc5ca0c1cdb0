"""Lightweight super-resolution x2, the small network on patches of 64 pixels.

    python train.py lightweight_sr_x2 --workdir runs/lightweight_sr_x2 --data.hq folder:DIV2K_train_HR \
      --validation.hq Set5/HR

Score: PSNR-Y 38.14, SSIM-Y 0.9611 on Set5 (table 3).
Cost: 500,000 steps of batch 64; the paper reports no time.
"""

from swinir_jax.configs.recipes import lightweight_sr

EXPERIMENT = lightweight_sr(2)
