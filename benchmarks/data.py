"""Measures how many patches a second the training pipeline delivers, by task and number of threads.

    python benchmarks/data.py FOLDER [--threads 1 2] [--seconds 5] [--cache-mb 2048] [--json FILE]

FOLDER holds images, or the output of `swinir-jax prepare-data`. An uncounted epoch first fills the cache; with
--cache-mb 0, every patch costs the decoding of an image. A training step that takes fewer patches a second never waits
for data.
"""

import argparse
import json
import time
from collections.abc import Mapping

from swinir_jax.data.config import DataConfig, Degradation
from swinir_jax.data.pipeline import TrainingBatches

BATCH = 32

# Title -> degradation, LQ patch, scale and channels, as in the paper's recipes.
CASES: Mapping[str, tuple[Degradation, int, int, int]] = {
    "bicubic x2, patch 48": (Degradation(kind="bicubic", low=2, high=2), 48, 2, 3),
    "bicubic x4, patch 48": (Degradation(kind="bicubic", low=4, high=4), 48, 4, 3),
    "gray noise, patch 128": (Degradation(kind="noise", low=25, high=25), 128, 1, 1),
    "colour noise, patch 128": (Degradation(kind="noise", low=25, high=25), 128, 1, 3),
    "gray JPEG, patch 126": (Degradation(kind="jpeg", low=10, high=40), 126, 1, 1),
    "colour JPEG, patch 126": (Degradation(kind="jpeg", low=10, high=40), 126, 1, 3),
}


def measure(case: str, folder: str, threads: int, seconds: float, cache_mb: int) -> float:
    """Measures patches a second."""
    degradation, patch_size, scale, channels = CASES[case]
    config = DataConfig(
        degradation=degradation,
        patch_size=patch_size,
        hq=f"folder:{folder}",
        skip_small=True,
        threads=threads,
        cache_mb=cache_mb,
    )
    batches = TrainingBatches(config, scale=scale, channels=channels, batch_size=BATCH, seed=0)
    for _ in range(batches.images // BATCH + 1 if cache_mb else 1):
        next(batches)
    count, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        next(batches)
        count += BATCH
    batches.close()
    return count / elapsed


def main() -> None:
    """Measures each case with each number of threads, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=5.0, help="seconds for each figure")
    parser.add_argument("--cache-mb", type=int, default=2048)
    parser.add_argument("--json", help="write the figures to this file")
    args = parser.parse_args()
    print("patches a second".ljust(28), *(f"{threads} threads".rjust(12) for threads in args.threads))
    found: dict[str, dict[int, float]] = {}
    for case in CASES:
        found[case] = {threads: measure(case, args.folder, threads, args.seconds, args.cache_mb)
                       for threads in args.threads}  # fmt: skip
        print(case.ljust(28), *(f"{rate:12.0f}" for rate in found[case].values()), flush=True)
    content = json.dumps({"batch": BATCH, "cache_mb": args.cache_mb, "patches_per_second": found}, indent=2)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            file.write(content + "\n")
    else:
        print(content)


if __name__ == "__main__":
    main()
