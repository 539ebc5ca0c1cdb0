"""Counts the test pictures that `swinir_jax.inference.noise` calls noisy, as they are and with white noise added.

    python benchmarks/noise_levels.py --sets TESTSETS

TESTSETS holds `Set5`, `McMaster`, `Set12`, `classic5` and `RealSRSet`. Writes the table of docs/which_model.md.
"""

import argparse
from pathlib import Path

import numpy as np
from tables import ROOT, markdown, replace_table

from swinir_jax.data.folders import find_images
from swinir_jax.images import Picture, read_picture
from swinir_jax.inference.noise import NOISY_LEVEL, noise_level

SETS = {
    "Set5, HR and LR x2 to x8 (four too small)": "Set5",
    "McMaster": "McMaster",
    "Set12 (gray)": "Set12",
    "classic5 (gray)": "classic5",
    "eight pictures of RealSRSet": "RealSRSet",
}
SIGMAS = (0, 5, 10, 15, 25)  # in 0..255


def level(picture: Picture, sigma: float) -> float:
    """Returns the noise level of a picture of 8 bits with noise added, rounded to 8 bits."""
    noise = np.random.default_rng(0).normal(0, sigma, picture.pixels.shape)
    noisy = np.round(np.clip(picture.pixels + noise, 0, 255)).astype(np.uint8)
    return noise_level(Picture(noisy))


def main() -> None:
    """Measures all sets and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=Path, required=True, help="folder of the test sets")
    sets = parser.parse_args().sets
    rows = []
    for title, folder in SETS.items():
        pictures = [read_picture(file) for file, _ in find_images(sets / folder).pairs]
        counts = [sum(level(picture, sigma) > NOISY_LEVEL for picture in pictures) for sigma in SIGMAS]
        rows.append([title, *(f"{count} of {len(pictures)}" for count in counts)])
    head = ["noise of sigma", *(f"{sigma} added" if sigma else "none added" for sigma in SIGMAS)]
    replace_table(ROOT / "docs" / "which_model.md", "table of noisy pictures", markdown(head, rows))


if __name__ == "__main__":
    main()
