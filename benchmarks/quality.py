"""Measures the baselines and the bundled models, and writes their scores into the package and the tables.

    python benchmarks/quality.py --sets TESTSETS [--model NAME ...]     (`make benchmark-table`)

TESTSETS holds `Set5/HR`, `Set5/LR_bicubic/X2`..., `Set12`, `McMaster` and `classic5`. Writes
`benchmarks/results/quality.json`, `swinir_jax/pretrained/scores.json` and the tables of `docs/benchmarks.md` and
`swinir_jax/pretrained/README.md`. Models and baselines that are not named keep their rows.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tables import ROOT, markdown, replace_table

from swinir_jax.checkpoints.zoo import bundled_models
from swinir_jax.cli.main import main as swinir_jax
from swinir_jax.evaluation.published import published
from swinir_jax.evaluation.report import format_score

RESULTS = ROOT / "benchmarks" / "results" / "quality.json"
SCORES = ROOT / "swinir_jax" / "pretrained" / "scores.json"

# Test set -> folders of ground truth and LQ, and the metrics that the literature reports.
_SR = ("psnr_y", "ssim_y")
SETS: Mapping[str, tuple[str, str | None, tuple[str, ...]]] = {
    "Set5": ("Set5/HR", "Set5/LR_bicubic/X{level}", _SR),
    "Set12": ("Set12", None, ("psnr", "ssim")),
    "McMaster": ("McMaster", None, ("psnr", "ssim")),
    "classic5": ("classic5", None, ("psnr", "ssim", "psnr_b")),
    "McMaster by `photo`": ("McMaster", None, _SR),
}
CHAINS = {"McMaster by `photo`": "photo"}  # of blind degradation

# Model, task, set, level, and whether the set's LQ files are used; else LQ is made from the ground truth.
Row = tuple[str, str, str, int, bool]
BASELINES: tuple[Row, ...] = (
    *(("bicubic", "classical_sr", "Set5", scale, False) for scale in (2, 3, 4)),
    *(("bicubic", "classical_sr", "Set5", scale, True) for scale in (2, 3, 4)),
    *(("input", "gray_dn", "Set12", sigma, False) for sigma in (15, 25, 50)),
    *(("input", "color_dn", "McMaster", sigma, False) for sigma in (15, 25, 50)),
    *(("input", "jpeg_car", "classic5", quality, False) for quality in (10, 20, 30, 40)),
    *(("input", "color_jpeg_car", "classic5", quality, False) for quality in (10, 20, 30, 40)),
    ("input", "real_sr", "McMaster by `photo`", 1, False),
    *(("bicubic", "real_sr", "McMaster by `photo`", scale, False) for scale in (2, 4)),
)
# The first row of a model is the one that `swinir-jax models` shows.
BUNDLED: tuple[Row, ...] = (
    ("lightweight_x2", "lightweight_sr", "Set5", 2, True),
    ("lightweight_x3", "lightweight_sr", "Set5", 3, True),
    ("lightweight_x4", "lightweight_sr", "Set5", 4, True),
    *(("color_denoise_light", "color_dn", "McMaster", sigma, False) for sigma in (25, 15, 50)),
    *(("jpeg_light", "color_jpeg_car", "classic5", quality, False) for quality in (10, 20, 30, 40)),
    ("real_denoise", "real_sr", "McMaster by `photo`", 1, False),
    ("real_x2", "real_sr", "McMaster by `photo`", 2, False),
    ("real_x2_free", "real_sr", "McMaster by `photo`", 2, False),
    ("real_x4", "real_sr", "McMaster by `photo`", 4, False),
)
LEVEL_OPTIONS = {"dn": "--noise", "sr": "--scale", "car": "--jpeg"}


def evaluate(sets: Path, row: Row, *options: str) -> dict[str, Any]:
    """Measures one row by the command that a user would type, with further options; returns what its --json writes."""
    model, task, name, level, given = row
    hq, lq, _ = SETS[name]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scores.json"
        arguments = ["--task", task, LEVEL_OPTIONS[task.rsplit("_", 1)[-1]], str(level), "--model", model]
        arguments += ["--hq", str(sets / hq), "--json", str(file), "--quiet", *options]
        if given and lq:
            arguments += ["--lq", str(sets / lq.format(level=level))]
        if name in CHAINS:
            arguments += ["--chain", CHAINS[name]]
        if code := swinir_jax(["evaluate", *arguments]):
            raise SystemExit(code)
        return json.loads(file.read_text())


def measure(sets: Path, row: Row) -> dict[str, Any]:
    """Measures one row."""
    model, task, name, level, given = row
    content, metrics = evaluate(sets, row), SETS[name][2]
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
    """Formats scores beside those of the baseline and of the paper."""
    lines = []
    for row in rows:
        paper = published(row["task"], row["model"], row["set"], row["level"])
        model = row["model"] + (" (of the given LR files)" if row["model"] == "bicubic" and row["given_lq"] else "")
        cells = [
            " / ".join(format_score(metric, scores.get(metric)) for metric in row["scores"]) if scores else "-"
            for scores in (row["scores"], row.get("baseline"), paper)
        ]
        lines.append([model, f"{row['task']} {row['level']}", row["set"], *cells])
    return markdown(("model", "task", "set", "measured", "baseline", "published"), lines)


def with_baseline(row: dict[str, Any], baselines: list[dict[str, Any]]) -> dict[str, Any]:
    """Adds to a bundled model's row the scores of the same images before restoration."""
    same = {"set": row["set"], "level": row["level"], "given_lq": row["given_lq"]}
    task = "classical_sr" if row["task"] == "lightweight_sr" else row["task"]  # the same protocol
    found = next(b for b in baselines if same.items() <= b.items() and b["task"] == task)
    return row | {"baseline": found["scores"]}


def main() -> None:
    """Measures all rows and writes the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=Path, required=True, help="folder of the test sets")
    wanted = (*BASELINES, *(row for row in BUNDLED if row[0] in bundled_models()))
    names = list(dict.fromkeys(row[0] for row in wanted))
    parser.add_argument("--model", nargs="+", choices=names, default=names)
    args = parser.parse_args()
    known = {
        tuple(row[key] for key in ("model", "task", "set", "level", "given_lq")): row
        for row in (json.loads(RESULTS.read_text()) if RESULTS.exists() else [])
    }
    for row in wanted:
        if row[0] in args.model:
            known[row] = measure(args.sets, row)
            print(known[row], flush=True)
    measured = [known[row] for row in wanted if row in known]
    names_of_baselines = {row[0] for row in BASELINES}
    baselines = [row for row in measured if row["model"] in names_of_baselines]
    bundled = [with_baseline(row, baselines) for row in measured if row["model"] not in names_of_baselines]
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps([*baselines, *bundled], indent=2) + "\n")
    keys = ("task", "set", "level", "scores", "baseline")
    scores = {
        model: [{key: row[key] for key in keys} for row in bundled if row["model"] == model]
        for model in dict.fromkeys(row["model"] for row in bundled)
    }
    SCORES.write_text(json.dumps(scores, indent=2) + "\n")
    replace_table(ROOT / "docs" / "benchmarks.md", "quality table", table([*baselines, *bundled]))
    replace_table(SCORES.with_name("README.md"), "quality table", table(bundled))


if __name__ == "__main__":
    main()
