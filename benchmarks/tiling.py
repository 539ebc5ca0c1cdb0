"""Measures how far results in tiles are from the whole image's, for the table of docs/tiling.md.

    python benchmarks/tiling.py

Restores docs/astronaut.png by the default model.
"""

import argparse
from typing import get_args

import numpy as np
from PIL import Image
from tables import ROOT, markdown, replace_table

from swinir_jax import Restorer, load_pretrained
from swinir_jax.checkpoints.zoo import DEFAULT_MODEL
from swinir_jax.inference.tiling import Blend
from swinir_jax.metrics import psnr

TILE = 128
CASES: tuple[tuple[int, Blend], ...] = (
    (0, "average"),
    *((overlap, blend) for overlap in (16, 32, 64) for blend in get_args(Blend)),
)


def main() -> None:
    """Measures all cases and writes the table."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()  # refuses options
    image = np.asarray(Image.open(ROOT / "docs" / "astronaut.png").convert("RGB"))
    model, params = load_pretrained(DEFAULT_MODEL)
    whole = Restorer(model, params, tile=0)(image)
    rows = []
    for overlap, blend in CASES:
        tiled = Restorer(model, params, tile=TILE, overlap=overlap, blend=blend)(image)
        worst = np.abs(tiled.astype(int) - whole).max()
        rows.append((str(overlap), blend if overlap else "none", f"{psnr(tiled, whole):.1f} dB", f"{worst} of 255"))
        print(*rows[-1], sep="  ", flush=True)
    caption = f"docs/astronaut.png ({image.shape[1]}x{image.shape[0]}), {DEFAULT_MODEL}, tiles of {TILE}, 8 bits:\n\n"
    head = ("overlap", "blend", "PSNR to the whole image's result", "largest difference")
    replace_table(ROOT / "docs" / "tiling.md", "tiling table", caption + markdown(head, rows))


if __name__ == "__main__":
    main()
