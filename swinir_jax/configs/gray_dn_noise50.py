"""Denoising of gray images, sigma 50: the middle network on patches of 128 pixels.

    python train.py gray_dn_noise50 --workdir runs/gray_dn_noise50 --data.hq folder:DFWB \
      --validation.hq Set12

Score: PSNR 27.91 on Set12 (table 5). DFWB is DIV2K, Flickr2K, WED and the training part of BSD500.
Cost: half the steps of sigma 15, from its weights; the paper reports no time.
"""

from swinir_jax.configs.recipes import denoising

EXPERIMENT = denoising("gray_dn", 50)
