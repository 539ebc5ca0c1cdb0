"""Draws how a network for photographs learns: crops, scores and losses of a run of L1 and an adversarial one.

    python benchmarks/stages.py RUN_PSNR RUN_GAN --picture butterfly --picture bird --out docs/stages.png

Takes the pictures and `metrics.jsonl` that the runs wrote at each validation. Needs `pip install '.[benchmark,train]'`.
"""

import argparse
import itertools
import json
from pathlib import Path

import matplotlib.pyplot as plt
from PIL import Image

SIDE = 96  # pixels of a crop


def logged(run: Path, name: str) -> dict[int, float]:
    """Returns a logged value by step."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line[name] for line in lines if name in line}


def crops(file: Path) -> list[Image.Image]:
    """Returns the middle of LQ (enlarged), result and HQ from a picture of a validation."""
    with Image.open(file) as sheet:
        width = sheet.width // 3
        left, top = (width - SIDE) // 2, (sheet.height - SIDE) // 2
        return [sheet.convert("RGB").crop((x + left, top, x + left + SIDE, top + SIDE)) for x in (0, width, 2 * width)]


def main() -> None:
    """Reads the runs and writes the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs=2, metavar="RUN", help="the run of L1, and the adversarial one")
    parser.add_argument(
        "--picture", action="append", required=True, metavar="NAME", help="name of a validation picture"
    )
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    stages = dict(zip(("L1", "adversarial"), args.runs, strict=True))
    rows = []
    for picture in args.picture:
        row: list[tuple[str, Image.Image]] = []
        for stage, run in stages.items():
            for file in sorted((run / "pictures" / picture).glob("*.png")):
                lq, restored, hq = crops(file)
                row.append((f"{stage}, {int(file.stem)} steps", restored))
        rows.append([("LQ", lq), *row, ("HQ", hq)])

    columns = len(rows[0])
    figure = plt.figure(figsize=(1.5 * columns, 1.7 * len(rows) + 2.6), layout="constrained")
    above, below = figure.subfigures(2, height_ratios=(1.7 * len(rows), 2.6))
    for axes, (title, image) in zip(above.subplots(len(rows), columns).flat, itertools.chain(*rows), strict=True):
        axes.imshow(image)
        axes.set_title(title, fontsize=8)
        axes.axis("off")
    first = 0
    score, loss = below.subplots(1, 2)
    for stage, run in stages.items():
        for axes, name in ((score, "validation/psnr_y"), (loss, "train/perceptual")):
            points = logged(run, name)
            if points:
                axes.plot([first + step for step in points], [*points.values()], ".-", label=stage)
        first += max(logged(run, "train/loss"))
    score.set(xlabel="steps", ylabel="PSNR-Y of the validation, dB")
    loss.set(xlabel="steps", ylabel="perceptual loss")
    score.legend()
    figure.savefig(args.out, dpi=100)


if __name__ == "__main__":
    main()
