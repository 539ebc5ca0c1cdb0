"""Times a folder of small photographs from PNG to PNG: one by one, and with files read and written beside the network.

    python benchmarks/folders.py --hq TESTSETS/McMaster
    python benchmarks/folders.py --hq TESTSETS/McMaster --network-ms 7

`--network-ms` puts a wait in the network's place, as long as an accelerator takes for a picture: what remains is the
work of the host's cores, on a machine with or without an accelerator.
"""

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from swinir_jax import load_pretrained
from swinir_jax.data.folders import find_images
from swinir_jax.inference.chain import NetworkChain
from swinir_jax.inference.files import FileRestoration
from swinir_jax.inference.overlap import overlapped

SIZE = (320, 240)  # width and height of the photographs


class StandIn(NetworkChain):
    """A restorer whose network only waits, and has the same answer to all pictures."""

    seconds = 0.0
    answer = np.zeros(0)  # [h, w, 3] float32

    def _restore(self, image: np.ndarray) -> np.ndarray:
        time.sleep(self.seconds)
        return self.answer


def main() -> None:
    """Prints pictures a second."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hq", type=Path, required=True, help="folder of photographs, of which the pictures are made")
    parser.add_argument("--model", default="lightweight_x2", help="network (default: lightweight_x2)")
    parser.add_argument("--network-ms", type=float, help="time of a wait in place of the network, in milliseconds")
    parser.add_argument("--count", type=int, default=200, help="number of pictures (default: 200)")
    parser.add_argument("--beside", type=int, nargs="+", default=[1, 2, 4, 8], help="files read and written")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, in which all take turns (default: 3)")
    args = parser.parse_args()
    photographs = [photograph for photograph, _ in find_images(args.hq).pairs]
    restorer = (NetworkChain if args.network_ms is None else StandIn)([load_pretrained(args.model)])
    restorer.restorers[0].prepare(SIZE[::-1])
    StandIn.seconds = (args.network_ms or 0) / 1000
    StandIn.answer = np.asarray(small(photographs[0], restorer.scale), np.float32) / 255
    with tempfile.TemporaryDirectory() as folder:
        files = make_pictures(photographs, Path(folder), args.count)
        ways = {"one by one": one_by_one} | {f"{n} beside": in_turn_beside(n) for n in args.beside}
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(args.rounds):
            for name, way in ways.items():
                start = time.perf_counter()
                way([FileRestoration(file, file.with_suffix(".out.png"), restorer) for file in files])
                rates[name].append(len(files) / (time.perf_counter() - start))
    for name, values in rates.items():
        print(f"{name}: {statistics.median(values):.1f} pictures/s ({min(values):.1f} to {max(values):.1f})")


def small(photograph: Path, scale: int) -> Image.Image:
    """Returns a photograph of `scale` times `SIZE`."""
    width, height = SIZE
    return Image.open(photograph).convert("RGB").resize((width * scale, height * scale), Image.Resampling.LANCZOS)


def make_pictures(photographs: list[Path], folder: Path, count: int) -> list[Path]:
    """Writes small pictures, made of the photographs in turn."""
    files = [folder / f"{i}.png" for i in range(count)]
    for file, photograph in zip(files, itertools.cycle(photographs), strict=False):
        small(photograph, 1).save(file)
    return files


def one_by_one(restorations: Iterable[FileRestoration]) -> None:
    """Takes each picture through all stages."""
    for restoration in restorations:
        restoration.run()


def in_turn_beside(count: int) -> Callable[[list[FileRestoration]], None]:
    """Returns the way of `swinir-jax restore`, with a number of files read and written at a time."""

    def run(restorations: list[FileRestoration]) -> None:
        stages = FileRestoration.read, FileRestoration.restore, FileRestoration.write
        for _, outcome in overlapped(restorations, *stages, beside=count):
            outcome()

    return run


if __name__ == "__main__":
    main()
