"""Denoising of colour images, sigma 15: the middle network on patches of 128 pixels.

    python train.py color_dn_noise15 --workdir runs/color_dn_noise15 --data.hq folder:DFWB \
      --validation.hq McMaster

Score: PSNR 35.61 on McMaster (table 6). DFWB is DIV2K, Flickr2K, WED and the training part of BSD500.
Cost: 1,600,000 steps of batch 8; the paper reports no time.
"""

from swinir_jax.configs.recipes import denoising

EXPERIMENT = denoising("color_dn", 15)
