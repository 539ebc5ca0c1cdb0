"""Times PNG encoders on photographs: zlib's usual strategy, and the one that results are written with.

python benchmarks/png.py --hq TESTSETS/McMaster
python benchmarks/png.py --hq restored --size 0
"""

import argparse
import time
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image

from swinir_jax.data.folders import find_images
from swinir_jax.images import Picture
from swinir_jax.images.encoding import encode_png


def main() -> None:
    """Prints milliseconds and kilobytes of each picture, and their means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hq", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--size", type=int, default=640, help="width to resize to, 4:3; 0: as they are (default: 640)")
    args = parser.parse_args()
    rows = []
    for file, _ in find_images(args.hq).pairs:
        image = Image.open(file).convert("RGB")
        if args.size:
            image = image.resize((args.size, args.size * 3 // 4), Image.Resampling.LANCZOS)
        pixels = np.asarray(image)
        start = time.perf_counter()
        usual = len(imagecodecs.png_encode(pixels))
        between = time.perf_counter()
        ours = len(encode_png(Picture(pixels), 0))
        end = time.perf_counter()
        rows.append((1e3 * (between - start), usual / 1e3, 1e3 * (end - between), ours / 1e3))
        print(describe(file.name, rows[-1]))
    print(describe("mean", tuple(np.mean(rows, axis=0))))


def describe(name: str, row: tuple[float, ...]) -> str:
    """Formats times and sizes by the usual strategy and by ours."""
    return "{}: {:.0f} ms, {:.0f} kB -> {:.0f} ms, {:.0f} kB".format(name, *row)


if __name__ == "__main__":
    main()
