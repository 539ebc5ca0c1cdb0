"""Classical super-resolution x8, the middle network on patches of 48 pixels.

    python train.py classical_sr_x8 --workdir runs/classical_sr_x8 --data.hq folder:DIV2K_train_HR \
      --validation.hq Set5/HR

Score: measure the official network of this scale with `swinir-jax evaluate`.
Cost: half the steps of x2, from its weights; the paper reports no time.
"""

from swinir_jax.configs.recipes import classical_sr

EXPERIMENT = classical_sr(8)
