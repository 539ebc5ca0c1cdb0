"""Trains networks to bundle on one accelerator within minutes, for photographs and JPEG.

    python benchmarks/train_photographs.py --photographs bsds500 --weights weights --out out --rehearse
    python benchmarks/train_photographs.py --photographs bsds500 --weights weights --out out --seconds 420

The rehearsal makes the pools of degraded photographs and takes a few steps of each run, which fills the compilation
cache: compiling is most of the work of a short run. Then all runs share the accelerator; those for photographs learn by
L1 first, then adversarially. They train at a constant rate until their time is over, because the number of steps would
have to be known before; what counts is the average of the weights. `--out` gets the networks as safetensors, those of
the adversarial runs at several steps, and the log of each run. `--weights` is the folder with the weights of the
perceptual loss's network (see docs/training.md).
"""

import argparse
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
ENDS = 5  # checkpoints of an adversarial run that become networks


@dataclasses.dataclass(frozen=True)
class Run:
    """A training run beside others.

    Attributes:
      name: name of the folder and of the network.
      recipe: name in `swinir_jax.configs`.
      start: bundled network to start from.
      scale: scale of the pool; 0 for the photographs themselves.
      patch_size: side of the LQ patch in pixels.
      rate: learning rate.
      begins: share of the time after which the run begins.
      ends: share of the time after which the run ends.
      after: name of the run that ends first, and whose weights take the place of `start`; empty for none.
      options: further options of the recipe.
    """

    name: str
    recipe: str
    start: str
    scale: int
    patch_size: int
    rate: str
    begins: float = 0.0
    ends: float = 1.0
    after: str = ""
    options: tuple[str, ...] = ()

    @property
    def adversarial(self) -> bool:
        """Tells whether there is a discriminator."""
        return self.recipe.endswith("_gan")


MUON = ("--optimizer.name", "muon")
NEAREST = ("--network.upsampler", "nearest+conv")  # cannot draw a grid, which adversarial training brings out in others
# A wide discriminator, which learns to tell pairs apart in float32 at 1e-4, and not in bfloat16 at a higher rate.
WIDE = (*NEAREST, "--gan.features", "64", "--gan.warmup-steps", "400", "--dtype", "float32")
GENTLE = ("--gan.weight", "0.02", "--gan.feature-matching", "0.2")  # the recipe's cost 1.2 dB in 250 steps
JPEG = (*MUON, "--loss.name", "l2", "--batch-size", "16")  # weighs low qualities more; six blocks of chroma in a row


def _psnr(scale: int) -> Run:
    """Returns the run for a smooth end, by L1."""
    start, options = f"real_x{scale}", (*NEAREST, *MUON)
    return Run(f"{start}_psnr", f"real_light_x{scale}_psnr", start, scale, 48, "5e-4", ends=0.35, options=options)


def _gan(scale: int, name: str, *options: str) -> Run:
    """Returns a run for a sharp end, from the smooth one."""
    start = f"real_x{scale}"
    recipe, options = f"real_light_x{scale}_gan", (*WIDE, *GENTLE, *options)
    return Run(f"{start}_{name}", recipe, start, scale, 32, "1e-4", 0.35, after=f"{start}_psnr", options=options)


RUNS = (
    *(_psnr(scale) for scale in (2, 4)),
    *(_gan(scale, "gan") for scale in (2, 4)),
    *(_gan(scale, "gan_perceptual", "--loss.perceptual-weight", "0.1") for scale in (2, 4)),
    Run("jpeg_psnr", "jpeg_light", "jpeg_light", 0, 98, "5e-4", options=JPEG),
)


def main() -> None:
    """Rehearses or trains."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photographs", type=Path, required=True, help="folder of training photographs")
    parser.add_argument("--weights", type=Path, required=True, help="folder of the feature network's weights")
    parser.add_argument("--out", type=Path, required=True, help="folder for networks and logs")
    parser.add_argument("--rehearse", action="store_true", help="make the pools and compile the programs, no more")
    parser.add_argument("--seconds", type=float, default=420, help="time for training (default: 420)")
    parser.add_argument("--runs", nargs="+", metavar="NAME", default=[run.name for run in RUNS], help="default: all")
    parser.add_argument("--batch", type=int, default=32, help="patches in a step (default: 32)")
    parser.add_argument("--times", type=int, default=8, help="degradations of each photograph (default: 8)")
    parser.add_argument("--dtype", default="bfloat16", help="dtype of the arithmetic (default: bfloat16)")
    parser.add_argument("--steps", type=int, default=100_000, help="most steps of a run (default: 100000)")
    parser.add_argument("options", nargs="*", help="further options of all training runs, after --")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    runs = [run for run in RUNS if run.name in args.runs]
    if args.rehearse:
        failed = wait([make_pool(args, scale) for scale in sorted({run.scale for run in runs} - {0})])
        failed |= wait([train(args, run, "rehearsal", steps=10) for run in runs])
    else:
        failed = share(args, runs)
        failed |= wait([convert for run in runs for convert in export(args, run)])
    raise SystemExit(failed)


def share(args: argparse.Namespace, runs: Sequence[Run]) -> bool:
    """Runs each training in its part of the time; tells whether one failed."""
    names = {run.name for run in runs}
    start, passed, running, done = time.monotonic(), 0.0, dict[str, subprocess.Popen](), set[str]()
    while len(done) < len(runs) and (passed < 1 or running.keys() - done):
        passed = (time.monotonic() - start) / args.seconds
        for run in runs:
            process = running.get(run.name)
            if process is None and run.begins <= passed < run.ends and run.after not in names - done:
                running[run.name] = train(args, run, "run", steps=args.steps)
            elif process is not None and run.name not in done and process.poll() is not None:
                done.add(run.name)
                say(f"{run.name} ended with {process.returncode}")
            elif process is not None and process.poll() is None and passed >= run.ends:
                process.send_signal(signal.SIGTERM)  # saves and ends; later signals change nothing
        time.sleep(0.5)
    return wait(list(running.values()))


def make_pool(args: argparse.Namespace, scale: int) -> subprocess.Popen:
    """Starts to degrade the photographs for one scale."""
    out = args.out / f"pool_x{scale}"
    command = ["prepare-data", str(args.photographs), "--degrade", f"photo_x{scale}", "--times", str(args.times)]
    command += ["--out", str(out), "--processes", str(max(1, (os.cpu_count() or 1) // 2))]
    return start_python(["-m", "swinir_jax.cli.main", *command], args.out / f"pool_x{scale}.log", on_cpu=True)


def train(args: argparse.Namespace, run: Run, kind: str, steps: int) -> subprocess.Popen:
    """Starts a run, or the rehearsal, whose program is the same."""
    data = args.out / f"pool_x{run.scale}" if run.scale else args.photographs
    earlier = folder(args, run.after, "run")
    options = {
        "--workdir": folder(args, run.name, kind),
        "--init-from": earlier if run.after and earlier.exists() and kind == "run" else run.start,
        "--data.hq": f"folder:{data}",
        "--data.patch-size": run.patch_size,
        "--data.threads": 3,
        "--data.cache-mb": 16384,
        "--batch-size": args.batch,
        "--dtype": args.dtype,
        "--steps": steps,
        "--log-every": 5 if kind == "rehearsal" else 50,
        "--checkpoint.every": 250 if run.adversarial else 100_000,
        "--checkpoint.keep-last": 20,
        "--optimizer.learning-rate": run.rate,
        "--optimizer.schedule": "constant",
        "--optimizer.warmup-steps": 100,
        "--network.drop-path-rate": 0,
    }
    if run.adversarial:
        options["--loss.weights-dir"] = args.weights
    words = [str(word) for option in options.items() for word in option]
    return start_python(
        ["train.py", run.recipe, *words, *run.options, *args.options], args.out / f"{run.name}_{kind}.log"
    )


def export(args: argparse.Namespace, run: Run) -> list[subprocess.Popen]:
    """Starts to write the averaged weights of the last checkpoint, or of several ones; copies the log."""
    source = folder(args, run.name, "run")
    steps = sorted(int(path.name) for path in source.glob("checkpoints/*") if path.name.isdigit())
    if not steps:
        say(f"FAILED: {run.name} left no checkpoint")
        return []
    shutil.copy(source / "metrics.jsonl", args.out / f"{run.name}.jsonl")
    wanted = sorted(
        {steps[round(i * (len(steps) - 1) / (ENDS - 1))] for i in range(ENDS)} if run.adversarial else steps[-1:]
    )
    processes = []
    for step in wanted:
        single = args.out / f"{run.name}_{step}"  # a run with one checkpoint
        shutil.copytree(source / "checkpoints" / str(step), single / "checkpoints" / str(step))
        shutil.copy(source / "experiment.json", single)
        command = ["-m", "swinir_jax.cli.main", "convert", str(single), "--small", "--out", f"{single}.safetensors"]
        command += ["--float16"] if run.adversarial else []  # an end of a model, which no run starts from
        processes.append(start_python(command, args.out / f"{single.name}.log", on_cpu=True))
    return processes


def folder(args: argparse.Namespace, name: str, kind: str) -> Path:
    """Returns the folder of a run."""
    return (args.out / f"{name}_{kind}").absolute()


def start_python(arguments: Sequence[str], log: Path, on_cpu: bool = False) -> subprocess.Popen:
    """Starts Python in the repository, with one compilation cache for all."""
    say(" ".join(arguments))
    variables = {
        "JAX_COMPILATION_CACHE_DIR": str((log.parent / "compiled").absolute()),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "1",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # several processes share the accelerator
        "PYTHONUNBUFFERED": "1",
    } | ({"JAX_PLATFORMS": "cpu"} if on_cpu else {})
    with log.open("w") as output:
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=REPOSITORY,
            env={**os.environ, **variables},
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def wait(processes: Sequence[subprocess.Popen]) -> bool:
    """Waits for all processes, names those that failed, and tells whether there are any."""
    for process in processes:
        process.wait()
    fine = (0, -signal.SIGTERM, 128 + signal.SIGTERM)  # the last two of a run that was asked to save and end
    failed = [" ".join(map(str, process.args)) for process in processes if process.returncode not in fine]
    if failed:
        say(f"FAILED: {'; '.join(failed)}")
    return bool(failed)


def say(text: str) -> None:
    """Prints a line with the time."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    main()
