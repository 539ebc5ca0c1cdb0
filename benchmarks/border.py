"""Measures what a margin around the image does to the border, the scores and the time, for docs/tiling.md.

    python benchmarks/border.py --sets TESTSETS [--model NAME ...]

TESTSETS holds `Set5/HR` and `Set5/LR_bicubic`. Networks for photographs are scored on Set5 by the chain `photo`. Writes
`benchmarks/results/border.json` and the table; models that are not named keep their rows, and the times, measured by
`lightweight_x2`.
"""

import argparse
import itertools
import json
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
from tables import ROOT, markdown, replace_table

from swinir_jax import Restorer, load_pretrained
from swinir_jax.checkpoints.zoo import bundled_scores
from swinir_jax.data.folders import find_images
from swinir_jax.evaluation.protocol import average, evaluate
from swinir_jax.images import Picture, read_picture, write_picture
from swinir_jax.inference.chain import NetworkChain
from swinir_jax.inference.padding import MARGIN
from swinir_jax.tasks import PAD, TASKS, real_sr

RESULTS = ROOT / "benchmarks" / "results" / "border.json"
TIMED = "lightweight_x2"
MARGINS = (0, 2, 4, 8, 16)
COLOURS = np.array([*itertools.product((0, 255), repeat=3)], np.uint8)
SIDE = 96


def rim(restored: np.ndarray) -> int:
    """Returns the largest distance of a flat colour's result from the mean of the middle, in levels of 8 bits."""
    h, w, _ = restored.shape
    middle = restored[h // 3 : -h // 3, w // 3 : -w // 3].reshape(-1, restored.shape[-1])
    return int(np.abs(restored - np.round(middle.astype(np.float64).mean(axis=0))).max())


def rims(model_name: str) -> list[str]:
    """Measures the rim behind each margin on whole images, and behind the default margin in tiles and by rows."""
    model, params = load_pretrained(model_name)
    scale, side = model.config.upscale, SIDE + 2 * max(MARGINS)
    whole = Restorer(model, params, tile=0, pad="minimal")
    tiled = NetworkChain([(model, params)], tile=64, overlap=32)
    behind, modes = dict.fromkeys(MARGINS, 0), [0, 0]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "flat.png", Path(folder) / "restored.png"
        for colour in COLOURS:
            flat = np.broadcast_to(colour, (side, side, 3)).copy()
            restored = whole(flat)
            for margin in MARGINS:  # a mirrored flat image is a larger one
                inside = slice(margin * scale, len(restored) - margin * scale)
                behind[margin] = max(behind[margin], rim(restored[inside, inside]))
            write_picture(source, Picture(flat[:SIDE, :SIDE]))
            tiled.restore_file(source, target)
            by_rows = read_picture(target).pixels
            modes = [max(modes[0], rim(tiled(flat[:SIDE, :SIDE]))), max(modes[1], rim(by_rows))]
    return [str(behind[margin]) for margin in MARGINS] + [str(mode) for mode in modes]


def scores(name: str, sets: Path) -> list[str]:
    """Measures PSNR on Set5 with the official padding and with the margin."""
    measured = bundled_scores()[name][0]
    blind, level = measured["task"] == "real_sr", measured["level"]
    task = real_sr("photo") if blind else TASKS[measured["task"]]
    scale = level if task.level == "scale" else 1
    lq = sets / "Set5" / "LR_bicubic" / f"X{scale}" if scale > 1 and not blind else None
    pairs = find_images(sets / "Set5" / "HR", lq, scale=scale).pairs
    metric, found = task.metrics[0], {}
    for pad in (PAD, "reflect"):
        restorer = Restorer(*load_pretrained(name), tile=0, pad=pad, blend="average")
        found[pad] = average([result for result, _ in evaluate(task, level, restorer.restore, pairs)])[metric]
    return [f"{metric.upper().replace('_', '-')} {score:.3f}" for score in found.values()]


def seconds(name: str, side: int) -> dict[str, float]:
    """Measures CPU seconds over all cores for a square, the least of six turns, of which the first compiles."""
    image, least = np.zeros((side, side, 3), np.float32), {"minimal": np.inf, "reflect": np.inf}
    restorers = {pad: Restorer(*load_pretrained(name), tile=0, pad=pad) for pad in least}
    for _, (pad, restorer) in itertools.product(range(6), restorers.items()):
        start = time.process_time()
        restorer.restore(image)
        least[pad] = min(least[pad], time.process_time() - start)
    return least


def times() -> list[list[str]]:
    """Measures what the margin costs at three sizes."""
    rows = []
    for side in (64, 128, 256):
        least = seconds(TIMED, side)
        pixels = ((side + 2 * MARGIN) / side) ** 2
        rows.append([f"{side}x{side}", f"{pixels:.2f}", f"{least['reflect'] / least['minimal']:.2f}"])
    return rows


def main() -> None:
    """Measures networks and writes results and table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=Path, required=True, help="folder of the test sets")
    parser.add_argument("--model", nargs="+", choices=bundled_scores(), default=[*bundled_scores()])
    args = parser.parse_args()
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"models": {}}
    for name in args.model:
        found["models"][name] = [*rims(name), *scores(name, args.sets)]
        print(name, *found["models"][name], sep="  ", flush=True)
    if TIMED in args.model:
        found |= {"device": jax.devices()[0].device_kind, "times": times()}
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    rows = [[name, *found["models"][name]] for name in bundled_scores() if name in found["models"]]
    head = ["network", *(f"rim behind {margin}" for margin in MARGINS), f"{MARGIN}, in tiles", f"{MARGIN}, by rows"]
    text = "How far the border of flat saturated colours is off, of 255 levels, behind so many mirrored pixels.\n"
    text += "Networks for photographs are scored on Set5 by the chain `photo`:\n\n"
    text += markdown([*head, "Set5 in RGB, official", "Set5, reflect"], rows)
    if "times" in found:
        text += f"\n{TIMED} on {found['device']}:\n\n"
        text += markdown(["image", "times the pixels", "times the CPU seconds"], found["times"])
    replace_table(ROOT / "docs" / "tiling.md", "border table", text)


if __name__ == "__main__":
    main()
