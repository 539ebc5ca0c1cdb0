"""Trains the networks for photographs within a time limit on one accelerator: L1, then adversarial.

    python benchmarks/train_photographs.py --photographs bsds500 --weights weights --out out --seconds 420

All scales are trained at the same time, because a small network leaves much of an accelerator idle. Short runs at the
start fill the compilation cache and measure the rate, from which follows the number of steps. `--out` gets the
networks of both stages as safetensors and the logs of all runs. `--weights` is the folder with the weights of the
perceptual loss's network (see docs/training.md).
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from swinir_jax.configs import load_experiment

REPOSITORY = Path(__file__).parents[1]
STAGES = ("psnr", "gan")
HQ_PATCHES = {"psnr": 192, "gan": 128}  # sides in pixels
SHARES = {"psnr": 0.45, "gan": 0.55}  # of the time for training
LEARNING_RATES = {"psnr": "4e-4", "gan": "1e-4"}


def main() -> None:
    """Makes the pools, rehearses, and trains both stages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photographs", type=Path, required=True, help="folder of training photographs")
    parser.add_argument("--weights", type=Path, required=True, help="folder of the feature network's weights")
    parser.add_argument("--out", type=Path, required=True, help="new folder for networks and logs")
    parser.add_argument("--seconds", type=float, default=420, help="time for everything (default: 420)")
    parser.add_argument("--scales", type=int, nargs="+", default=[4, 2], help="scales to train (default: 4 2)")
    parser.add_argument("--batch", type=int, default=32, help="patches in a step (default: 32)")
    parser.add_argument("--times", type=int, default=12, help="degradations of each photograph (default: 12)")
    parser.add_argument("--dtype", default="bfloat16", help="dtype of the arithmetic (default: bfloat16)")
    parser.add_argument("--rehearsal-steps", type=int, default=60, help="steps of each short run (default: 60)")
    parser.add_argument("options", nargs="*", help="further options of all training runs, after --")
    args = parser.parse_args()
    end = time.monotonic() + args.seconds
    args.out.mkdir(parents=True)
    _wait([_pool(args, scale) for scale in args.scales])
    jobs = [(stage, scale) for stage in STAGES for scale in args.scales]
    _wait([_train(args, *job, steps=args.rehearsal_steps, name="rehearsal") for job in jobs])
    _say("rehearsals are done")
    seconds = end - time.monotonic() - 20 * len(STAGES)  # each stage starts, compiles from the cache and saves
    for stage in STAGES:
        limit = seconds * SHARES[stage]
        runs = []
        for scale in args.scales:
            steps = max(1, round(_rate(args, stage, scale) * limit / args.batch))
            _say(f"{stage} x{scale}: {steps} steps in {limit:.0f} s")
            runs.append(_train(args, stage, scale, steps=steps, name="run"))
        _wait(runs, limit + 60)
        for scale in args.scales:
            _export(args, stage, scale)


def _pool(args: argparse.Namespace, scale: int) -> subprocess.Popen:
    command = ["prepare-data", str(args.photographs), "--degrade", f"photo_x{scale}", "--times", str(args.times)]
    processes = max(1, (os.cpu_count() or 1) // len(args.scales))
    command += ["--out", str(args.out / f"pool_x{scale}"), "--processes", str(processes)]
    return _start(["-m", "swinir_jax.cli.main", *command], args.out / f"pool_x{scale}.log")


def _train(args: argparse.Namespace, stage: str, scale: int, *, steps: int, name: str) -> subprocess.Popen:
    folder = _folder(args, stage, scale, name)
    options = {
        "--workdir": folder,
        "--data.hq": f"folder:{args.out / f'pool_x{scale}'}",
        "--data.patch-size": HQ_PATCHES[stage] // scale,
        "--data.threads": max(2, (os.cpu_count() or 1) // 2),
        "--data.cache-mb": 16384,
        "--batch-size": args.batch,
        "--dtype": args.dtype,
        "--steps": steps,
        "--log-every": max(1, steps // 20) if name == "run" else max(1, steps // 3),
        "--checkpoint.every": max(1, -(-steps // 4)),
        "--checkpoint.keep-last": 4 if name == "run" else 1,
        "--optimizer.learning-rate": LEARNING_RATES[stage],
    }
    if stage == "gan":
        first = _folder(args, "psnr", scale, "run")
        options["--init-from"] = first if first.exists() else load_experiment(f"real_light_x{scale}_psnr").init_from
        options["--loss.weights-dir"] = args.weights
    command = [f"real_light_x{scale}_{stage}", *(str(text) for pair in options.items() for text in pair)]
    return _start(["train.py", *command, *args.options], folder.with_suffix(".log"))


def _folder(args: argparse.Namespace, stage: str, scale: int, name: str) -> Path:
    return (args.out / f"{name}_x{scale}_{stage}").absolute()


def _rate(args: argparse.Namespace, stage: str, scale: int) -> float:
    """Returns images a second, from the last log entry of the rehearsal."""
    entries = (_folder(args, stage, scale, "rehearsal") / "metrics.jsonl").read_text().splitlines()
    return next(rate for line in reversed(entries) if (rate := json.loads(line).get("train/images_per_second")))


def _export(args: argparse.Namespace, stage: str, scale: int) -> None:
    """Writes the EMA weights of the last step, and the log."""
    folder = _folder(args, stage, scale, "run")
    name = f"real_light_x{scale}_{stage}"
    log = args.out / f"{name}_convert.log"
    command = ["-m", "swinir_jax.cli.main", "convert", str(folder), "--out", str(args.out / f"{name}.safetensors")]
    _wait([_start(command, log, {"JAX_PLATFORMS": "cpu"})])
    shutil.copy(folder / "metrics.jsonl", args.out / f"{name}.jsonl")


def _start(arguments: Sequence[str], log: Path, environment: dict[str, str] | None = None) -> subprocess.Popen:
    _say(" ".join(arguments))
    variables = {
        "JAX_COMPILATION_CACHE_DIR": str((log.parent / "compiled").absolute()),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "1",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # several processes share the accelerator
        "PYTHONUNBUFFERED": "1",
    }
    with log.open("w") as output:
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=REPOSITORY,
            env={**os.environ, **variables, **(environment or {})},
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def _wait(processes: list[subprocess.Popen], limit: float | None = None) -> None:
    """Waits for all processes; those still running after `limit` seconds are asked to save and end."""
    end = None if limit is None else time.monotonic() + limit
    for process in processes:
        try:
            process.wait(None if end is None else max(0.1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
            process.wait()
    failed = [" ".join(map(str, process.args)) for process in processes if process.returncode]
    if failed:
        raise SystemExit(f"failed: {'; '.join(failed)}")


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    main()
