"""Draws how a training run learned: python benchmarks/curve.py WORKDIR --out curve.png [--title TEXT].

The validation score against steps and against minutes of training (without validation and compiling), from the run's
`metrics.jsonl` and `experiment.json`.
"""

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from swinir_jax.training.checkpoint import read_config


def main() -> None:
    """Reads, draws, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workdir", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--title", default="")
    args = parser.parse_args()
    experiment = read_config(args.workdir)
    if experiment is None:
        raise SystemExit(f"{args.workdir} holds no run.")
    lines = [json.loads(line) for line in (args.workdir / "metrics.jsonl").read_text().splitlines()]
    speeds = [(line["step"], line["train/images_per_second"]) for line in lines if "train/loss" in line]
    steps, rates = (np.array(column, float) for column in zip(*speeds, strict=True))
    minutes = np.cumsum(np.diff(steps, prepend=0) * experiment.batch_size / rates) / 60
    metric = "psnr_y" if any("validation/psnr_y" in line for line in lines) else "psnr"
    scores = [(line["step"], line[f"validation/{metric}"]) for line in lines if f"validation/{metric}" in line]
    at, psnr = zip(*scores, strict=True)

    figure, axes = plt.subplots(figsize=(6, 4))
    axes.plot(at, psnr, "o-")
    axes.set(xlabel="steps", ylabel=f"{metric.upper().replace('_', '-')}, dB", title=args.title)
    axes.grid(alpha=0.3)
    above = axes.secondary_xaxis(
        "top",
        functions=(
            lambda x: np.interp(x, [0, *steps], [0, *minutes]),
            lambda x: np.interp(x, [0, *minutes], [0, *steps]),
        ),
    )
    above.set_xlabel("minutes")
    figure.tight_layout()
    figure.savefig(args.out, dpi=110)
    print(f"{at[-1]} steps, {np.interp(at[-1], steps, minutes):.0f} minutes, {metric} {psnr[-1]:.2f} dB")


if __name__ == "__main__":
    main()
