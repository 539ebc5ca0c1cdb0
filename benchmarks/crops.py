"""Draws what the bundled models do to a photograph, for docs/crops.jpg.

    python benchmarks/crops.py

Each row shows one model: the input, the answer and the truth. The photograph is docs/astronaut.png, degraded like the
test sets.
"""

import argparse

import numpy as np
from networks import PHOTO
from PIL import Image
from sheets import draw_sheet
from tables import ROOT

from swinir_jax import Restorer, load_pretrained
from swinir_jax.checkpoints.zoo import bundled_models
from swinir_jax.evaluation.protocol import evaluate
from swinir_jax.tasks import PAD, TASKS, real_sr

OUT = ROOT / "docs" / "crops.jpg"
CROP = (72, 8, 168, 104)  # left, top, right, bottom: the face
SIDE = 240  # pixels of a panel
LABEL = 18  # pixels of the line above a row

# Model, task, level, and what the left panel shows.
ROWS = (
    ("lightweight_x2", "lightweight_sr", 2, "half the size, bicubic"),
    ("lightweight_x4", "lightweight_sr", 4, "a quarter of the size, bicubic"),
    ("color_denoise_light", "color_dn", 25, "noise, sigma 25"),
    ("jpeg_light", "color_jpeg_car", 30, "JPEG, quality 30"),
    ("real_denoise", "real_sr", 1, "the chain photo"),
    ("real_x2", "real_sr", 2, "half the size, the chain photo"),
    ("real_x4", "real_sr", 4, "a quarter of the size, the chain photo"),
)


def panels(model: str, task: str, level: int) -> list[Image.Image]:
    """Returns crops of the network's input, the answer and the truth."""
    network, params = load_pretrained(model)
    protocol = real_sr("photo") if task == "real_sr" else TASKS[task]
    restorer = Restorer(network, params, pad=PAD)
    ((_, images),) = evaluate(protocol, level, restorer.restore, [(PHOTO, None)])
    full = [Image.fromarray(np.asarray(image)) for image in (images.lq, images.restored, images.hq)]
    size = full[-1].size
    crops = [image.resize(size, Image.Resampling.BICUBIC).crop(CROP) for image in full]
    return [crop.resize((SIDE, SIDE), Image.Resampling.LANCZOS) for crop in crops]


def main() -> None:
    """Draws all rows and writes the picture."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()  # refuses options
    rows = [row for row in ROWS if row[0] in bundled_models()]
    labelled = [
        [*zip((given, model, "truth"), panels(model, task, level), strict=True)] for model, task, level, given in rows
    ]
    draw_sheet(labelled, LABEL).save(OUT, quality=92)


if __name__ == "__main__":
    main()
