"""JPEG artefact removal in gray images, quality 40: the middle network on patches of 126 pixels.

    python train.py jpeg_car_q40 --workdir runs/jpeg_car_q40 --data.hq folder:DFWB \
      --validation.hq classic5

Score: PSNR 34.52, SSIM 0.9082, PSNR-B 33.66 on classic5 (table 4).
DFWB is DIV2K, Flickr2K, WED and the training part of BSD500.
Cost: 1,600,000 steps of batch 8; the paper reports no time.
"""

from swinir_jax.configs.recipes import jpeg

EXPERIMENT = jpeg("jpeg_car", 40)
