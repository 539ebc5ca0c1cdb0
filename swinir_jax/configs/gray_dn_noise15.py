"""Denoising of gray images, sigma 15: the middle network on patches of 128 pixels.

    python train.py gray_dn_noise15 --workdir runs/gray_dn_noise15 --data.hq folder:DFWB \
      --validation.hq Set12

Score: PSNR 33.36 on Set12 (table 5). DFWB is DIV2K, Flickr2K, WED and the training part of BSD500.
Cost: 1,600,000 steps of batch 8; the paper reports no time.
"""

from swinir_jax.configs.recipes import denoising

EXPERIMENT = denoising("gray_dn", 15)
