"""JPEG artefact removal in gray images, quality 30: the middle network on patches of 126 pixels.

    python train.py jpeg_car_q30 --workdir runs/jpeg_car_q30 --data.hq folder:DFWB \
      --validation.hq classic5

Score: PSNR 33.73, SSIM 0.8961, PSNR-B 33.03 on classic5 (table 4).
DFWB is DIV2K, Flickr2K, WED and the training part of BSD500.
Cost: half the steps of quality 40, from its weights; the paper reports no time.
"""

from swinir_jax.configs.recipes import jpeg

EXPERIMENT = jpeg("jpeg_car", 30)
