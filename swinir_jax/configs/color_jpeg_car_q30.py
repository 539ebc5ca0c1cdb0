"""JPEG artefact removal in colour images, quality 30: the middle network on patches of 126 pixels.

    python train.py color_jpeg_car_q30 --workdir runs/color_jpeg_car_q30 --data.hq folder:DFWB \
      --validation.hq LIVE1

Score: the paper has none for colour; measure the official network with `swinir-jax evaluate`.
DFWB is DIV2K, Flickr2K, WED and the training part of BSD500.
Cost: half the steps of quality 40, from its weights; the paper reports no time.
"""

from swinir_jax.configs.recipes import jpeg

EXPERIMENT = jpeg("color_jpeg_car", 30)
