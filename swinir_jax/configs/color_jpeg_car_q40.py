"""JPEG artefact removal in colour images, quality 40: the middle network on patches of 126 pixels.

    python train.py color_jpeg_car_q40 --workdir runs/color_jpeg_car_q40 --data.hq folder:DFWB \
      --validation.hq LIVE1

Score: the paper has none for colour; measure the official network with `swinir-jax evaluate`.
DFWB is DIV2K, Flickr2K, WED and the training part of BSD500.
Cost: 1,600,000 steps of batch 8; the paper reports no time.
"""

from swinir_jax.configs.recipes import jpeg

EXPERIMENT = jpeg("color_jpeg_car", 40)
