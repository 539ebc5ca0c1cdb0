"""Draws the validation score of a training run.

    python benchmarks/curve.py WORKDIR... --out curve.png [--title TEXT]

The score is drawn against steps and against minutes of training (without validation and compiling), from
`metrics.jsonl` and `experiment.json` in the workdir. Needs `pip install '.[benchmark,train]'`.
"""

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from swinir_jax.tasks import TASKS
from swinir_jax.training.checkpoint import read_config


def main() -> None:
    """Reads the runs and writes the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workdir", type=Path, nargs="+", help="one run, or several that continue each other")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--title", default="")
    args = parser.parse_args()
    steps, minutes, validated, psnr, metric = [0.0], [0.0], [], [], ""
    for workdir in args.workdir:
        experiment = read_config(workdir)
        if experiment is None:
            raise SystemExit(f"{workdir} holds no run.")
        first = steps[-1]
        metric = "psnr_y" if "psnr_y" in TASKS[experiment.task].metrics and experiment.network.upscale > 1 else "psnr"
        lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
        # The median, because a run may have been slowed down for a while.
        rate = np.median([line["train/images_per_second"] for line in lines if "train/images_per_second" in line])
        for line in lines:
            if "train/images_per_second" in line:
                images = (first + line["step"] - steps[-1]) * experiment.batch_size
                steps.append(first + line["step"])
                minutes.append(minutes[-1] + images / rate / 60)
            if score := line.get(f"validation/{metric}"):
                validated.append(first + line["step"])
                psnr.append(score)

    figure, axes = plt.subplots(figsize=(6, 4))
    axes.plot(validated, psnr, "o-")
    axes.set(xlabel="steps", ylabel=f"{metric.upper().replace('_', '-')}, dB", title=args.title)
    axes.set_xlim(0, steps[-1])
    axes.grid(alpha=0.3)
    above = axes.secondary_xaxis(
        "top",
        functions=(
            lambda x: np.interp(x, steps, minutes),
            lambda x: np.interp(x, minutes, steps),
        ),
    )
    above.set_xlabel("minutes")
    above.set_xticks([tick for tick in above.get_xticks() if tick <= minutes[-1]])  # ticks beyond would lie on the end
    figure.tight_layout()
    figure.savefig(args.out, dpi=110)
    minutes_trained = np.interp(validated[-1], steps, minutes)
    print(f"{validated[-1]} steps, {minutes_trained:.0f} minutes, {metric} {psnr[-1]:.2f} dB")


if __name__ == "__main__":
    main()
