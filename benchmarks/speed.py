"""Times swinir_jax, PyTorch and runtimes of ONNX files in turns on this machine, each case in a process of its own.

    python benchmarks/speed.py --pytorch OTHER_ENV/bin/python [--rounds 3] [--case light_256 ...]

OTHER_ENV holds torch and spandrel; without --pytorch, PyTorch is not timed. Writes `benchmarks/results/speed.json` and
the tables of docs/benchmarks.md and docs/exporting.md. Needs `pip install '.[benchmark,train,onnx]' openvino`.
"""

import argparse
import dataclasses
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from tables import ROOT, markdown, replace_table

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "speed.json"


@dataclasses.dataclass(frozen=True)
class Case:
    """One row of the table: arguments of time_jax.py, of time_pytorch.py, and of both."""

    title: str
    both: tuple[str, ...]
    ours: tuple[str, ...] = ()
    theirs: tuple[str, ...] = ()
    beside: bool = True  # whether PyTorch is timed, too
    runtimes: tuple[str, ...] = ()  # of ONNX files, timed as well; such a case has a row in docs/exporting.md instead


RUNTIMES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}

_COMPILE = ("--compile",)
CASES: Mapping[str, Case] = {
    "light_256": Case("lightweight x2, 256x256", ("light", "256")),
    "classical_128": Case("classical x4, 128x128", ("classical", "128")),
    "light_256_compiled": Case("lightweight x2, 256x256, beside `torch.compile`", ("light", "256"), theirs=_COMPILE),
    "classical_128_compiled": Case(
        "classical x4, 128x128, beside `torch.compile`", ("classical", "128"), theirs=_COMPILE
    ),
    "light_file": Case("lightweight x2, 256x256, from PNG to PNG", ("light", "256", "--file")),
    "light_train": Case("training step, lightweight x2, LR patch 48, batch 4", ("light", "48", "--train", "4")),
    "light_x4_train": Case(
        "training step for photographs, L1, lightweight x4, LR patch 32, batch 4", ("light_x4", "32", "--train", "4")
    ),
    "light_x4_adversarial": Case(
        "the same with discriminator and VGG19 features", ("light_x4", "32", "--train", "4", "--adversarial")
    ),
    **{
        f"light_{side}": Case(f"lightweight x2, {side}x{side}", ("light", str(side)), beside=False)
        for side in (128, 512, 1024)
    },
    "light_512_tiled": Case("lightweight x2, 512x512, tiles of 256", ("light", "512"), ("--tile", "256"), beside=False),
    **{
        f"{network}_{side}_onnx": Case(
            f"{title}, {side}x{side}", (network, side), beside=False, runtimes=tuple(RUNTIMES)
        )
        for network, side, title in (
            ("light", "128", "lightweight x2"),
            ("light", "256", "lightweight x2"),
            ("classical", "128", "classical x4"),
        )
    },
    **{
        f"{network}_{side}_bfloat16": Case(
            f"{title}, {side}x{side}, bfloat16",
            (network, side, "--dtype", "bfloat16"),
            beside=False,
            runtimes=("openvino",),
        )
        for network, side, title in (("light", "256", "lightweight x2"), ("classical", "128", "classical x4"))
    },
}


def run(python: str, script: str, arguments: tuple[str, ...], cache: str) -> dict[str, float]:
    """Runs one process and returns the figures of its JSON line."""
    environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": cache, "PYTHONPATH": str(HERE.parent)}
    environment |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    command = [python, str(HERE / script), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(case: Case, pytorch: str | None, rounds: int) -> dict[str, list[dict[str, float]]]:
    """Measures a case in rounds: swinir_jax with a cold and a warm compilation cache, then the others in turn."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ("cold", "warm", "pytorch", *RUNTIMES)}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as cache:
            for state in ("cold", "warm"):
                found[state].append(run(sys.executable, "time_jax.py", (*case.both, *case.ours), cache))
            if pytorch:
                found["pytorch"].append(run(pytorch, "time_pytorch.py", (*case.both, *case.theirs), cache))
            for runtime in case.runtimes:
                network, side, *options = case.both
                arguments = (network, side, runtime, *options)
                found[runtime].append(run(sys.executable, "time_onnx.py", arguments, cache))
    return found


def summary(found: Mapping[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Computes medians over the rounds, and the ratios of the others' seconds to ours with their spread."""

    def median(state: str, key: str) -> float | None:
        values = [entry[key] for entry in found[state]]
        return round(statistics.median(values), 3) if values else None

    ours = [*found["cold"], *found["warm"]]
    row: dict[str, Any] = {
        "rounds": len(found["cold"]),
        "seconds": round(statistics.median(entry["median"] for entry in ours), 3),
        "compiling": median("cold", "compiling"),
        "first_cold": median("cold", "first"),
        "first_warm": median("warm", "first"),
        "peak_mb": median("cold", "peak_mb"),
        "peak_mb_warm": median("warm", "peak_mb"),
    }
    for name in ("pytorch", *RUNTIMES):
        if found[name]:
            prefix = "" if name == "pytorch" else f"{name}_"
            ratios = sorted(
                theirs["median"] / our["median"] for our, theirs in zip(found["cold"], found[name], strict=True)
            )
            row |= {
                f"{name}_seconds": median(name, "median"),
                f"{name}_first": median(name, "first"),
                f"{name}_peak_mb": median(name, "peak_mb"),
                f"{prefix}times_faster": round(statistics.median(ratios), 2),
                f"{prefix}times_faster_from_to": [round(ratios[0], 2), round(ratios[-1], 2)],
            }
    return row


def table(machines: Mapping[str, Mapping[str, Any]]) -> str:
    """Formats the table of docs/benchmarks.md, a part for each machine."""
    parts = []
    for place, rows in machines.items():
        here = {name: row for name, row in rows.items() if not CASES[name].runtimes}
        if here:
            used = "; ".join(dict.fromkeys(row["versions"] for row in here.values()))
            parts.append(f"{place}; {used}:\n\n{markdown(_HEAD, [_cells(name, row) for name, row in here.items()])}")
    caption = "float32, batch 1 unless said; medians; PyTorch (spandrel), eager unless said, in turns."
    return "\n".join([f"{caption}\n", *parts])


_HEAD = ("", "swinir_jax", "compiling", "first, cold / warm cache", "peak memory", "PyTorch", "peak memory", "faster")


def _cells(name: str, row: Mapping[str, Any]) -> list[str]:
    """Formats a row of the table."""
    theirs = ["-", "-", "-"]
    if "times_faster" in row:
        low, high = row["times_faster_from_to"]
        theirs = [f"{row['pytorch_seconds']:.2f} s", f"{row['pytorch_peak_mb']:.0f} MB"]
        theirs += [f"{row['times_faster']:.1f}x ({low:.1f} to {high:.1f})"]
    return [
        CASES[name].title,
        f"{row['seconds']:.2f} s",
        f"{row['compiling']:.1f} s",
        f"{row['first_cold']:.1f} / {row['first_warm']:.1f} s",
        f"{row['peak_mb']:.0f} MB",
        *theirs,
    ]


def runtimes_table(machines: Mapping[str, Mapping[str, Any]]) -> str:
    """Formats the table of runtimes: seconds of an image and peak memory, each beside ours."""

    def cell(row: Mapping[str, Any], runtime: str) -> str:
        if f"{runtime}_seconds" not in row:
            return "-"
        low, high = row[f"{runtime}_times_faster_from_to"]
        memory = row[f"{runtime}_peak_mb"] / row["peak_mb"]
        return f"{row[f'{runtime}_times_faster']:.1f}x ({low:.1f} to {high:.1f}); memory {memory:.1f}x"

    lines = [
        [CASES[name].title, *(cell(rows[name], runtime) for runtime in RUNTIMES), place, rows[name]["versions"]]
        for place, rows in machines.items()
        for name in rows
        if CASES[name].runtimes
    ]
    caption = (
        "Seconds and peak memory, divided by swinir_jax's: above 1, swinir_jax is faster or takes less. float32 unless "
        "said; medians, in turns. Asked for bfloat16, swinir_jax takes float32 on processors that are no faster "
        "in bfloat16, such as Intel's without AMX.\n\n"
    )
    return caption + markdown(("", *RUNTIMES.values(), "machine", "versions"), lines)


def machine() -> str:
    """Describes processor, number of cores, widest vectors and units for bfloat16."""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    found = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in info)}
    flags = found.get("flags", "").split()
    vectors = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "no AVX2"
    bfloat16 = ", AMX" if "amx_bf16" in flags else ", bf16" if "avx512_bf16" in flags else ""
    return f"{found.get('model name', platform.processor())}, {os.cpu_count()} cores, {vectors}{bfloat16}"


def versions(pytorch: str | None) -> str:
    """Names the versions of what is timed."""
    named = [f"{name} {metadata.version(name)}" for name in ("jax", "onnxruntime", "openvino")]
    if pytorch:
        command = [pytorch, "-c", "import torch; print('torch', torch.__version__)"]
        named.append(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
    return ", ".join(named)


def main() -> None:
    """Measures the cases, prints and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pytorch", metavar="PYTHON", help="an interpreter with torch and spandrel")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    args = parser.parse_args()
    machines = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.parent.mkdir(exist_ok=True)
    for name in args.case:
        pytorch = args.pytorch if CASES[name].beside else None
        row = {"versions": versions(pytorch)} | summary(measure(CASES[name], pytorch, args.rounds))
        print(name, row, flush=True)
        rows = machines.get(machine(), {}) | {name: row}
        machines[machine()] = {known: rows[known] for known in CASES if known in rows}
        RESULTS.write_text(json.dumps(machines, indent=2) + "\n")
    replace_table(ROOT / "docs" / "benchmarks.md", "speed table", table(machines))
    replace_table(ROOT / "docs" / "exporting.md", "runtimes table", runtimes_table(machines))


if __name__ == "__main__":
    main()
