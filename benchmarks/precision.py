"""Measures what bfloat16 costs in quality, for each bundled model, for the table of docs/precision.md.

    python benchmarks/precision.py --sets TESTSETS [--model NAME ...]

TESTSETS is as for `quality.py`; a model is measured on the first set and level that `quality.py` has for it. Writes
`benchmarks/results/precision.json` and the table; models that are not named keep their rows.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from quality import BUNDLED, SETS, Row, evaluate
from tables import ROOT, markdown, replace_table

from swinir_jax.checkpoints.zoo import bundled_models
from swinir_jax.images import read_picture
from swinir_jax.metrics import psnr

RESULTS = ROOT / "benchmarks" / "results" / "precision.json"
DTYPES = ("float32", "bfloat16")


def compare(sets: Path, row: Row) -> dict[str, Any]:
    """Measures one row in both dtypes, in dB, by the first metric that is reported for the set."""
    model, task, name, level, _ = row
    metric = SETS[name][2][0]
    with tempfile.TemporaryDirectory() as folder:
        outs = [Path(folder) / dtype for dtype in DTYPES]
        found = [
            evaluate(sets, row, "--dtype", dtype, "--save", str(out)) for dtype, out in zip(DTYPES, outs, strict=True)
        ]
        pictures = [[read_picture(path).pixels for path in sorted(out.glob("*.png"))] for out in outs]
    images = [[image[metric] for image in content["images"]] for content in found]
    return {
        "model": model,
        "task": task,
        "set": name,
        "level": level,
        "metric": metric,
        "device": found[0]["protocol"]["device"],
        **{dtype: content["average"][metric] for dtype, content in zip(DTYPES, found, strict=True)},
        "worst_image": max(exact - rough for exact, rough in zip(*images, strict=True)),
        "psnr_between": statistics.mean(psnr(rough, exact) for exact, rough in zip(*pictures, strict=True)),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Formats the page's table."""
    cells = [
        (
            row["model"],
            f"{row['task']} {row['level']}",
            f"{row['set']}, {row['metric'].replace('_', '-').upper()}",
            *(f"{row[dtype]:.3f}" for dtype in DTYPES),
            f"{row['float32'] - row['bfloat16']:.3f}",
            f"{row['worst_image']:.3f}",
            f"{row['psnr_between']:.1f}",
            row["device"],
        )
        for row in rows
    ]
    head = ("model", "task", "measured on", *DTYPES, "cost", "worst image", "bfloat16 to float32", "device")
    return markdown(head, cells)


def main() -> None:
    """Measures the models and writes results and table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=Path, required=True, help="folder of the test sets")
    parser.add_argument("--model", nargs="+", choices=bundled_models(), default=[*bundled_models()])
    args = parser.parse_args()
    first: dict[str, Row] = {}
    for row in BUNDLED:
        if row[0] in bundled_models():
            first.setdefault(row[0], row)
    wanted = list(first.values())
    if missing := bundled_models().keys() - {row[0] for row in wanted}:
        raise SystemExit(f"quality.py has no row for {', '.join(sorted(missing))}.")
    known = {
        (row["model"], row["task"], row["set"], row["level"]): row
        for row in (json.loads(RESULTS.read_text()) if RESULTS.exists() else [])
    }
    for row in wanted:
        if row[0] in args.model:
            known[row[:4]] = compare(args.sets, row)
            print(known[row[:4]], flush=True)
    rows = [known[row[:4]] for row in wanted if row[:4] in known]
    RESULTS.write_text(json.dumps(rows, indent=2) + "\n")
    replace_table(ROOT / "docs" / "precision.md", "precision table", table(rows))


if __name__ == "__main__":
    main()
