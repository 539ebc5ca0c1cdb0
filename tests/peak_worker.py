"""A process whose peak memory is measured: `python peak_worker.py SCALES FOLDER`, started by `run_worker`.

Restores images of several heights by networks that enlarge by SCALES in turn, and prints the peaks in MB.
"""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import psutil

from swinir_jax import SwinIR, SwinIRConfig
from swinir_jax.images import Picture, read_picture, write_picture
from swinir_jax.inference.chain import NetworkChain

WIDTH = 256


def network(upscale: int) -> tuple:
    """A network whose answers are empty."""
    upsampler = "pixelshuffledirect" if upscale > 1 else ""
    model = SwinIR(SwinIRConfig(upscale=upscale, upsampler=upsampler, embed_dim=4, depths=(1,), num_heads=(1,)))
    shapes = jax.eval_shape(model.init, jax.random.key(0), np.zeros((1, 8, 8, 3), np.float32))["params"]
    return model, jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), shapes)


def peak() -> int:
    """The process's peak so far; not ru_maxrss, which begins at that of the process that started this one."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024 // 1_000_000


def run_worker(scales: str, folder: Path) -> dict[str, int]:
    """What a process with these networks printed."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, __file__, scales, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def main() -> None:
    scales, folder = [int(scale) for scale in sys.argv[1].split(",")], Path(sys.argv[2])
    for name, height in (("small", 64), ("one", 256), ("four", 1024)):
        pixels = np.random.default_rng(0).integers(0, 256, (height, WIDTH, 3), np.uint8)
        write_picture(folder / f"{name}.tif", Picture(pixels))

    def restorer(**options):
        return NetworkChain([network(scale) for scale in scales], math.prod(scales), tile=64, overlap=16, **options)

    restorer().restore_file(folder / "small.tif", folder / "small.png")
    peaks = {"before": peak()}
    limit = psutil.Process().memory_info().rss + 100_000_000
    limited = restorer(memory=limit)
    for name in ("one", "four"):
        limited.restore_file(folder / f"{name}.tif", folder / f"{name}_out.tif")
        peaks[name] = peak()
    limited(read_picture(folder / "four.tif").pixels)
    floats = 4 * 1024 * WIDTH * 3 * math.prod(scales) ** 2  # of the larger result
    print(json.dumps(peaks | {"in_memory": peak(), "limit": limit // 1_000_000, "floats": floats // 1_000_000}))


if __name__ == "__main__":
    main()
