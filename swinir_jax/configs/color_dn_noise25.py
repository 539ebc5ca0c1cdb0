"""Denoising of colour images, sigma 25: the middle network on patches of 128 pixels.

    python train.py color_dn_noise25 --workdir runs/color_dn_noise25 --data.hq folder:DFWB \
      --validation.hq McMaster

Score: PSNR 33.20 on McMaster (table 6). DFWB is DIV2K, Flickr2K, WED and the training part of BSD500.
Cost: half the steps of sigma 15, from its weights; the paper reports no time.
"""

from swinir_jax.configs.recipes import denoising

EXPERIMENT = denoising("color_dn", 25)
