"""Classical super-resolution x2, the middle network on patches of 48 pixels.

    python train.py classical_sr_x2 --workdir runs/classical_sr_x2 --data.hq folder:DIV2K_train_HR \
      --validation.hq Set5/HR

Score: PSNR-Y 38.35, SSIM-Y 0.9620 on Set5 (table 2, trained on DIV2K).
Cost: the paper reports 1.8 days on 8 RTX 2080 Ti, batch 32, about 105 images a second.
"""

from swinir_jax.configs.recipes import classical_sr

EXPERIMENT = classical_sr(2)
