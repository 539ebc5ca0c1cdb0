"""JPEG artefact removal in gray images, quality 20: the middle network on patches of 126 pixels.

    python train.py jpeg_car_q20 --workdir runs/jpeg_car_q20 --data.hq folder:DFWB \
      --validation.hq classic5

Score: PSNR 32.52, SSIM 0.8748, PSNR-B 31.99 on classic5 (table 4).
DFWB is DIV2K, Flickr2K, WED and the training part of BSD500.
Cost: half the steps of quality 40, from its weights; the paper reports no time.
"""

from swinir_jax.configs.recipes import jpeg

EXPERIMENT = jpeg("jpeg_car", 20)
