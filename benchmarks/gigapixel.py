"""Restores a generated image of 20,000 x 20,000 pixels in 2 GB, and prints the peak memory of the process.

    python benchmarks/gigapixel.py [--side 20000] [--memory 2GB] [--folder DIR] [--json FILE]

The network is tiny and has random weights, because reading, tiling and writing are measured, not the network. Rows of
the result, at the top and in the middle, are compared with the same tiles restored in memory. With the same --folder, a
second start continues where the first was stopped.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import tifffile

from swinir_jax import SwinIR, SwinIRConfig
from swinir_jax.checkpoints.pretrained import load_pretrained
from swinir_jax.checkpoints.store import save_model
from swinir_jax.images.row_reading import open_rows
from swinir_jax.images.rows import RowWindow
from swinir_jax.inference.restorer import Restorer

CONFIG = SwinIRConfig(upscale=2, upsampler="pixelshuffledirect", embed_dim=4, depths=(2,), num_heads=(1,))
OVERLAP = 32
STRIP = 100  # rows


def make_image(path: Path, side: int) -> None:
    """Writes waves and noise as an uncompressed RGB TIFF, in strips."""

    def strips() -> Iterator[np.ndarray]:
        rng = np.random.default_rng(0)
        x = np.arange(side, dtype=np.float32)[None, :, None]
        for top in range(0, side, STRIP):
            y = np.arange(top, min(top + STRIP, side), dtype=np.float32)[:, None, None]
            waves = 110 + 100 * np.sin(y / 97 + np.arange(3, dtype=np.float32)) * np.cos(x / 61)
            yield (waves + rng.integers(0, 40, (len(y), side, 1))).astype(np.uint8)

    temporary = path.with_suffix(".making")
    tifffile.imwrite(
        temporary, strips(), shape=(side, side, 3), dtype=np.uint8, photometric="rgb", rowsperstrip=STRIP, bigtiff=True
    )
    temporary.rename(path)


def make_model(folder: Path) -> None:
    """Saves a network with random weights."""
    shapes = jax.eval_shape(SwinIR(CONFIG).init, jax.random.key(0), np.zeros((1, 8, 8, 3), np.float32))["params"]
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: (0.1 * rng.standard_normal(leaf.shape)).astype(np.float32), shapes)
    save_model(folder, params, CONFIG)


def largest_difference(model: Path, source: Path, target: Path, tile: int, first: int) -> int:
    """Compares rows of the result with three rows of tiles, from the `first` on, restored in memory."""
    step, scale = tile - OVERLAP, CONFIG.upscale
    top, height = first * step, 2 * step + tile
    pixels = RowWindow(open_rows(source), top).read(top, top + height)
    restored = Restorer(*load_pretrained(model), tile=tile, overlap=OVERLAP, pad="minimal")(pixels)
    begin, end = (OVERLAP if first else 0) * scale, 3 * step * scale  # rows beyond overlap other tiles
    written = RowWindow(open_rows(target), top * scale + begin).read(top * scale + begin, top * scale + end)
    difference = np.round(restored[begin:end] * 255) - np.round(written * 255)
    return int(np.abs(difference).max())


def main() -> None:
    """Makes the image and the network if they are missing, runs the command and reports."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--memory", default="2GB")
    parser.add_argument("--folder", type=Path, help="place of image, network and result (default: temporary)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        source, model, target = (
            folder / f"image_{args.side}.tif",
            folder / "model",
            folder / f"restored_{args.side}.tif",
        )
        if not source.is_file():
            make_image(source, args.side)
        if not model.is_dir():
            make_model(model)
        command = ["restore", str(source), "--out", str(target), "--model", str(model)]
        # Without a margin, tiles begin at the same pixels in the whole image and in the rows that are compared.
        command += ["--overlap", str(OVERLAP), "--pad", "minimal", "--memory", args.memory]
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "swinir_jax.cli.main", *command], stderr=subprocess.PIPE, text=True
        )
        tile = 0
        for line in process.stderr:
            print(line, end="", flush=True)
            if found := re.search(r"by rows of tiles of (\d+)", line):
                tile = int(found[1])
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"the command ended with {os.waitstatus_to_exitcode(status)}")
        figures = {
            "side": args.side,
            "memory": args.memory,
            "tile": tile,
            "peak_mb": usage.ru_maxrss * 1024 // 10**6,
            "seconds": round(time.perf_counter() - start),
            "input_mb": source.stat().st_size // 10**6,
            "result_mb": (args.side * CONFIG.upscale) ** 2 * 3 // 10**6,
            "result_file_mb": target.stat().st_size // 10**6,
            "largest_difference": max(
                largest_difference(model, source, target, tile, first)
                for first in (0, args.side // (tile - OVERLAP) // 2)
            ),
        }
    content = json.dumps(figures, indent=2)
    print(content)
    if args.json:
        args.json.write_text(content + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
