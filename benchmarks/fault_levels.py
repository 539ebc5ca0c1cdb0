"""Measures bundled networks on photographs with one fault each, for the table of swinir_jax/pretrained/README.md.

    python benchmarks/fault_levels.py --hq TESTSETS/McMaster [--weights-dir DIR]

The middle of each photograph gets one fault of one strength, and is restored at the same size. Writes the averages of
PSNR (RGB, dB) and of the perceptual distance by EfficientNet-Lite0, whose weights DIR holds, to
`benchmarks/results/fault_levels.json` and the table.
"""

import argparse
import functools
import json
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import numpy as np
from photo_networks import middle
from tables import ROOT, markdown, replace_table
from which_model import noisy

from swinir_jax import Restorer, load_pretrained
from swinir_jax.data.blind.blur import convolve
from swinir_jax.data.blind.kernels import gaussian
from swinir_jax.data.degradations import jpeg, to_uint8
from swinir_jax.data.folders import find_images
from swinir_jax.evaluation.judging import load_distance
from swinir_jax.metrics import psnr

RESULTS = ROOT / "benchmarks" / "results" / "fault_levels.json"
PAGE = ROOT / "swinir_jax" / "pretrained" / "README.md"
# By the heading of the column: the network, and the strength, of which None is the default.
NETWORKS = {
    "real_denoise": ("real_denoise", None),
    "--strength 0": ("real_denoise", 0),
    "--strength 1": ("real_denoise", 1),
    "jpeg_light": ("jpeg_light", None),
    "color_denoise_light": ("color_denoise_light", None),
}
SIDE = 128  # pixels of a crop's side


def blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blurs a uint8 image by a Gaussian."""
    return to_uint8(255 * convolve(np.divide(image, 255, dtype=np.float32), gaussian(21, (sigma**2, sigma**2))))


FAULTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda image: image,
    **{f"noise, sigma {sigma}": functools.partial(noisy, sigma=sigma) for sigma in (5, 15, 30)},
    **{f"JPEG, quality {quality}": functools.partial(jpeg, quality=quality) for quality in (90, 60, 30, 10)},
    **{f"blur, sigma {sigma}": functools.partial(blurred, sigma=float(sigma)) for sigma in (1, 2)},
}


def table(rows: dict[str, dict[str, tuple[float, float]]]) -> str:
    """Formats PSNR and distance; an input without fault has none."""
    cells = [
        [fault, *(f"{row[name][0]:.2f} / {row[name][1]:.2f}" if name in row else "-" for name in ("input", *NETWORKS))]
        for fault, row in rows.items()
    ]
    return markdown(["fault", "input", *NETWORKS], cells)


def main() -> None:
    """Measures, and writes the results and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hq", type=Path, required=True, help="folder of clean photographs")
    parser.add_argument("--weights-dir", help="folder with the weights of EfficientNet-Lite0")
    args = parser.parse_args()
    distance = load_distance("efficientnet_lite0", args.weights_dir)
    photographs = [middle(file, SIDE) for file, _ in find_images(args.hq).pairs]
    restorers = {
        column: Restorer(*load_pretrained(name, strength=strength)) for column, (name, strength) in NETWORKS.items()
    }
    rows = {}
    for fault, damage in FAULTS.items():
        damaged = [damage(image) for image in photographs]
        answers = {name: [restore(image) for image in damaged] for name, restore in restorers.items()}
        if fault != "none":
            answers["input"] = damaged
        rows[fault] = {
            name: (
                fmean(psnr(a, b) for a, b in zip(images, photographs, strict=True)),
                fmean(distance(a, b) for a, b in zip(images, photographs, strict=True)),
            )
            for name, images in answers.items()
        }
        print(fault, rows[fault], flush=True)
    RESULTS.write_text(json.dumps(rows, indent=2) + "\n")
    replace_table(PAGE, "table of faults", table(rows))


if __name__ == "__main__":
    main()
