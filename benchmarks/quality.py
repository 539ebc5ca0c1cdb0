"""Measures the baselines and the bundled models, and writes what the package and the README say of them.

    python benchmarks/quality.py --sets TESTSETS      (`make benchmark-table`)

TESTSETS holds `Set5/HR`, `Set5/LR_bicubic/X2`..., `Set12`, `McMaster` and `classic5`. Written are
`benchmarks/results/quality.json`, `swinir_jax/pretrained/scores.json` and the README's table.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from swinir_jax.cli.main import main as swinir_jax
from swinir_jax.evaluation.protocol import BASELINES
from swinir_jax.evaluation.published import published
from swinir_jax.evaluation.report import format_score

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "quality.json"
SCORES = ROOT / "swinir_jax" / "pretrained" / "scores.json"
README = ROOT / "README.md"
MARKS = ("<!-- quality table: written by `make benchmark-table` -->\n", "<!-- end of quality table -->\n")

# Set, its ground truth and LQ folders, and the metrics that the literature reports for it.
_SR = ("psnr_y", "ssim_y")
SETS: Mapping[str, tuple[str, str | None, tuple[str, ...]]] = {
    "Set5": ("Set5/HR", "Set5/LR_bicubic/X{level}", _SR),
    "Set12": ("Set12", None, ("psnr", "ssim")),
    "McMaster": ("McMaster", None, ("psnr", "ssim")),
    "classic5": ("classic5", None, ("psnr", "ssim", "psnr_b")),
}

# Model, task, set, level, and whether the LQ files are the given ones or made from the ground truth.
ROWS: tuple[tuple[str, str, str, int, bool], ...] = (
    *(("bicubic", "classical_sr", "Set5", scale, False) for scale in (2, 3, 4)),
    *(("bicubic", "classical_sr", "Set5", scale, True) for scale in (2, 3, 4)),
    *(("input", "gray_dn", "Set12", sigma, False) for sigma in (15, 25, 50)),
    *(("input", "color_dn", "McMaster", sigma, False) for sigma in (15, 25, 50)),
    *(("input", "jpeg_car", "classic5", quality, False) for quality in (10, 20, 30, 40)),
    ("lightweight_x2", "lightweight_sr", "Set5", 2, True),
)
LEVEL_OPTIONS = {"dn": "--noise", "sr": "--scale", "car": "--jpeg"}


def measure(sets: Path, row: tuple[str, str, str, int, bool]) -> dict[str, Any]:
    """One row, by the command that a user would type."""
    model, task, name, level, given = row
    hq, lq, metrics = SETS[name]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scores.json"
        options = ["--model", model, "--hq", str(sets / hq), "--json", str(file), "--quiet"]
        if given and lq:
            options += ["--lq", str(sets / lq.format(level=level))]
        code = swinir_jax(["evaluate", "--task", task, LEVEL_OPTIONS[task.rsplit("_", 1)[-1]], str(level), *options])
        if code:
            raise SystemExit(code)
        content = json.loads(file.read_text())
    scores = {metric: content["average"][metric] for metric in metrics}
    seconds = sum(image["seconds"] for image in content["images"])
    return {
        "model": model,
        "task": task,
        "set": name,
        "level": level,
        "given_lq": given,
        "scores": scores,
        "seconds": seconds,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The README's table."""
    lines = ["| model | task | set | measured | published |", "|---|---|---|---|---|"]
    for row in rows:
        paper = published(row["task"], row["model"], row["set"], row["level"])
        model = row["model"] + (" (of the given LR files)" if row["model"] == "bicubic" and row["given_lq"] else "")
        cells = [
            " / ".join(format_score(metric, scores.get(metric)) for metric in row["scores"]) if scores else "-"
            for scores in (row["scores"], paper)
        ]
        lines.append(f"| {model} | {row['task']} {row['level']} | {row['set']} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines) + "\n"


def bundled_scores(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What `swinir-jax models` says: each bundled model beside the baseline of the same set and level."""

    def key(row: dict[str, Any]) -> tuple[str, int, bool]:
        return row["set"], row["level"], row["given_lq"]

    baselines = {key(row): row["scores"] for row in rows if row["model"] in BASELINES}
    return {
        row["model"]: {**{k: row[k] for k in ("task", "set", "level", "scores")}, "baseline": baselines[key(row)]}
        for row in rows
        if row["model"] not in BASELINES
    }


def main() -> None:
    """Measures all rows and writes the three files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=Path, required=True, help="folder of the test sets")
    args = parser.parse_args()
    rows = []
    for row in ROWS:
        rows.append(measure(args.sets, row))
        print(rows[-1], flush=True)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(rows, indent=2) + "\n")
    SCORES.write_text(json.dumps(bundled_scores(rows), indent=2) + "\n")
    text = README.read_text()
    before, _, rest = text.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    README.write_text(before + MARKS[0] + table(rows) + MARKS[1] + after)


if __name__ == "__main__":
    main()
