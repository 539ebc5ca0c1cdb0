"""Draws how a network for photographs learns: pictures and curves of a run of L1 and an adversarial one.

    python benchmarks/stages.py lightweight_x4 RUN_L1 RUN_GAN --out docs/stages.jpg

Restores docs/astronaut.png, degraded by three draws of the chain `photo`, by the network that the first run began with
and by those of both runs. Below are what the runs logged. Needs `pip install '.[benchmark,train]'`.
"""

import argparse
import itertools
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from networks import PHOTO
from PIL import Image

from swinir_jax import Restorer, load_pretrained
from swinir_jax.data.blind.chains import CHAINS
from swinir_jax.data.degradations import imresize

DRAWS = 3
CROP = (slice(16, 144), slice(56, 184))  # the face


def logged(run: Path, name: str) -> dict[int, float]:
    """Returns a logged value by step."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line[name] for line in lines if name in line}


def pictures(models: dict[str, str]) -> list[tuple[str, np.ndarray]]:
    """Returns title and crop of each picture, row by row."""
    networks = {title: load_pretrained(name) for title, name in models.items()}
    scale = next(iter(networks.values()))[0].config.upscale
    with Image.open(PHOTO) as photo:
        hq = np.asarray(photo.convert("RGB"), np.float32) / 255
    shown = []
    for seed in range(DRAWS):
        _, lq = CHAINS[f"photo_x{scale}"](hq, np.random.default_rng(seed))
        shown.append(("bicubic", imresize(lq, scale)))
        shown += [(title, Restorer(*network).restore(lq)) for title, network in networks.items()]
        shown.append(("photograph", hq))
    return [(title, np.clip(image[CROP], 0, 1)) for title, image in shown]


def main() -> None:
    """Restores, reads the logs and writes the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("start", help="network that the first run began with")
    parser.add_argument("psnr", type=Path, help="run of L1")
    parser.add_argument("gan", type=Path, help="adversarial run")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    runs = {"L1": args.psnr, "adversarial": args.gan}
    shown = pictures({args.start: args.start} | {title: str(run) for title, run in runs.items()})

    columns = len(shown) // DRAWS
    figure = plt.figure(figsize=(1.9 * columns, 2 * DRAWS + 2.6), layout="constrained")
    above, below = figure.subfigures(2, height_ratios=(2 * DRAWS, 2.6))
    for axes, (title, image) in zip(above.subplots(DRAWS, columns).flat, shown, strict=True):
        axes.imshow(image)
        axes.set_title(title, fontsize=8)
        axes.axis("off")
    panels = below.subplots(1, 3)
    panels[0].plot(*zip(*sorted(logged(args.psnr, "train/loss").items()), strict=True))
    panels[0].set(xlabel="steps of L1", ylabel="loss")
    validated = {title: logged(run, "validation/psnr_y") for title, run in runs.items()}
    first = itertools.accumulate((max(steps) for steps in validated.values()), initial=0)
    for (title, scores), offset in zip(validated.items(), first, strict=False):
        panels[1].plot([offset + step for step in scores], [*scores.values()], "o-", label=title)
    panels[1].set(xlabel="steps of both", ylabel="PSNR-Y of the validation, dB")
    panels[1].legend(fontsize=7)
    for name in ("perceptual", "pixel"):
        values = logged(args.gan, f"train/{name}")
        panels[2].plot([*values], np.divide([*values.values()], next(iter(values.values()))), label=name)
    panels[2].set(xlabel="adversarial steps", ylabel="part of the loss, first = 1")
    panels[2].legend(fontsize=7)
    figure.savefig(args.out, dpi=90)


if __name__ == "__main__":
    main()
