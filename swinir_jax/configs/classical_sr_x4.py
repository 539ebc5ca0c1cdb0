"""Classical super-resolution x4, the middle network on patches of 48 pixels.

    python train.py classical_sr_x4 --workdir runs/classical_sr_x4 --data.hq folder:DIV2K_train_HR \
      --validation.hq Set5/HR

Score: PSNR-Y 32.72, SSIM-Y 0.9021 on Set5 (table 2, trained on DIV2K).
Cost: half the steps of x2, from its weights; the paper reports no time.
"""

from swinir_jax.configs.recipes import classical_sr

EXPERIMENT = classical_sr(4)
