"""Measures swinir_jax on this machine's GPU or TPU, beside PyTorch: answers, restoring and training.

    python benchmarks/accelerator.py [--seconds 420] [--cases PATTERN ...] [--out FILE] [--quick]
    python benchmarks/accelerator.py --compile 8 --cache programs && python benchmarks/accelerator.py --cache programs
    python benchmarks/accelerator.py --table benchmarks/results/accelerator-nvidia-h200.json

Each case runs in a process of its own, one after the other, with JAX's own share of the memory and no compilation
cache. Writes `benchmarks/results/accelerator-DEVICE.json` after each case, and prints Markdown tables. A second run
replaces only the cases that it measures. PyTorch is measured where torch and spandrel are installed beside swinir_jax.
Compiling takes most of the time, so the second form compiles several programs side by side first; the seconds of
compiling are then those. The third form writes the tables of `benchmarks/NOTES.md`.

`float32` is full precision. `high` is the precision of that name of JAX and PyTorch, TF32 on NVIDIA's GPUs; swinir_jax
has no option for it, so accelerator_jax.py changes the package to measure it.
"""

import argparse
import dataclasses
import fnmatch
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tables import ROOT, markdown, replace_table

HERE = Path(__file__).resolve().parent
CASE_SECONDS = 150.0  # longest time of one case
COMPILE_SECONDS = 300.0  # longest time of a case that is compiled beside others
PYTORCH = all(map(importlib.util.find_spec, ("torch", "spandrel")))

# Dense peaks of the tensor cores, and of the CUDA cores for float32, in TFLOP/s, from NVIDIA's data sheets.
PEAKS: Mapping[str, Mapping[str, float]] = {
    device: {"float32": 67, "high": 495, "bfloat16": 989} for device in ("NVIDIA H100 80GB HBM3", "NVIDIA H200")
}
TITLES = {
    "classical": "classical x4",
    "classical_x2": "classical x2",
    "light": "lightweight x2",
    "real": "real-world x4",
    "tiny": "tiny x2",
}
LABELS = {"swinir_jax_plain": "swinir_jax, plain modules", "pytorch": "PyTorch"}


@dataclasses.dataclass(frozen=True)
class Case:
    """One network, size and arithmetic, under one library.

    Attributes:
      library: swinir_jax, swinir_jax_plain (without the faster code for a platform), pytorch or torch.compile.
      network: name in `networks.NETWORKS`.
      rows: height of the network's input.
      columns: width of the network's input.
      batch: images of a training step; 0 to restore one image.
      arithmetic: float32, high or bfloat16.
    """

    library: str
    network: str
    rows: int
    columns: int
    batch: int
    arithmetic: str

    @property
    def name(self) -> str:
        """Name of the case, which `--cases` selects."""
        work = f"train/batch{self.batch}" if self.batch else "restore"
        return f"{self.library}/{work}/{self.network}/{self.columns}x{self.rows}/{self.arithmetic}"

    @property
    def is_ours(self) -> bool:
        """Tells whether swinir_jax is measured."""
        return self.library.startswith("swinir_jax")

    @property
    def title(self) -> str:
        """Work of the case, without library and arithmetic."""
        work = f"training, batch {self.batch}" if self.batch else "restoring"
        return f"{work}, {TITLES[self.network]}, {self.columns}x{self.rows}"

    @property
    def command(self) -> tuple[str, ...]:
        """Script and arguments of the process that measures the case."""
        script = ("accelerator_jax.py", "time") if self.is_ours else ("accelerator_pytorch.py",)
        options = ["--train", str(self.batch)] if self.batch else []
        options += ["--plain"] if self.library == "swinir_jax_plain" else []
        options += ["--compile"] if self.library == "torch.compile" else []
        return (*script, self.network, str(self.rows), str(self.columns), self.arithmetic, *options)


def all_cases(quick: bool) -> list[Case]:
    """Lists the cases in their order: both libraries in turns, and last what is slow to compile or less important."""
    restored = [("classical", 480, 640, 0), ("classical", 256, 256, 0), ("light", 720, 1280, 0), ("real", 480, 640, 0)]
    trained = [("classical_x2", 48, 48, 32), ("light", 64, 64, 64)]
    if quick:
        restored, trained = [("tiny", 16, 24, 0)], [("tiny", 16, 16, 2)]
    both, works = ("swinir_jax", "pytorch"), restored + trained
    cases = [Case(lib, *work, dtype) for work in works for dtype in ("float32", "bfloat16") for lib in both]
    cases += [Case("swinir_jax_plain", *work, "bfloat16") for work in works]
    cases += [Case(library, *work, "high") for work in restored for library in both]
    cases += [Case("torch.compile", *work, dtype) for work in works for dtype in ("float32", "bfloat16")]
    return [case for case in cases if PYTORCH or case.is_ours]


def run(command: Sequence[str], seconds: float, cache: Path | None = None) -> dict[str, Any]:
    """Runs one process and returns the figures of its last JSON line, with the `problem` if it failed."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path, **caching(cache)}
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = [sys.executable, str(HERE / command[0]), *command[1:]]
        try:
            code = subprocess.run(process, env=environment, stdout=out, stderr=err, timeout=seconds).returncode
            problem = f"exit code {code}" if code else ""
        except subprocess.TimeoutExpired:
            problem = f"not finished within {seconds:.0f} s"
        out.seek(0)
        err.seek(0)
        lines = [line for line in out.read().splitlines() if line.startswith("{")]
        errors = [line for line in err.read().splitlines() if re.match(r"[\w.]+(Error|Exception|Exit)\b", line)]
    found = json.loads(lines[-1]) if lines else {}
    if problem:
        found["problem"] = ": ".join([problem, *errors[-1:]])
    return found


def caching(cache: Path | None) -> dict[str, str]:
    """Returns the variables with which processes keep compiled programs in a folder, or compile anew."""
    if cache is None:
        return {"JAX_ENABLE_COMPILATION_CACHE": "false", "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}
    return {"JAX_COMPILATION_CACHE_DIR": str(cache / "jax"), "TORCHINDUCTOR_CACHE_DIR": str(cache / "torch")}


def compiling(case: Case) -> tuple[str, ...]:
    """Returns the figures of a case that include compiling."""
    return ("first",) if case.library == "torch.compile" else ("tracing", "compiling")


def compile_cases(cases: Sequence[Case], jobs: int, cache: Path) -> dict[str, Any]:
    """Fills the cache by several processes at a time; returns the rows without timings."""

    def compiled(case: Case) -> dict[str, Any]:
        option = ["--only-compile"] if case.is_ours else []
        row = run([*case.command, *option], COMPILE_SECONDS, cache)
        return {**dataclasses.asdict(case), "title": case.title, **row}

    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # the processes share the memory
    with ThreadPoolExecutor(jobs) as pool:
        return dict(zip((case.name for case in cases), pool.map(compiled, cases), strict=True))


def lacks_memory(row: Mapping[str, Any]) -> bool:
    """Tells whether a case ended because the device has too little memory."""
    return re.search("RESOURCE_EXHAUSTED|out of memory", row.get("problem", ""), re.IGNORECASE) is not None


def device_kind() -> str:
    """Returns the kind of JAX's default device."""
    script = "import jax; print(jax.devices()[0].device_kind)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"JAX does not start:\n{done.stderr[-2000:]}")
    return done.stdout.splitlines()[-1]


def reference_table(row: Mapping[str, Any]) -> str:
    """Formats the comparison with the original's answers."""
    errors = sorted(row.get("errors", {}).items())
    cells = [(name, f"{error['largest_error']:.1e}", f"{error['relative_error']:.1e}") for name, error in errors]
    cells += [(name, problem, "") for name, problem in row.get("problems", {}).items()]
    return markdown(("case", "largest error", "relative error"), cells)


def table(rows: Mapping[str, Mapping[str, Any]], device: str) -> str:
    """Formats the timed cases, those of one work together; what was not measured has a line each below the table."""
    head = ("", "arithmetic", "library", "tracing + compiling", "first call", "median (from to)", "images/s")
    cells, problems = [], []
    for name, row in sorted(rows.items(), key=lambda item: (item[1]["title"], item[1]["arithmetic"])):
        if row.get("problem"):
            problems.append(f"- {name}: {row['problem']}\n")
        if "median" not in row:
            continue
        rate = row["flops"] / row["median"] / 1e12 if "flops" in row else None
        eager = rows.get(name.replace(row["library"], "pytorch", 1), {}).get("median")
        peak = PEAKS.get(device, {}).get(row["arithmetic"])
        memory = row.get("peak_bytes", row.get("program_bytes"))
        times = [1000 * row[key] for key in ("median", "minimum", "maximum")]
        cells.append(
            (
                row["title"],
                row["arithmetic"],
                LABELS.get(row["library"], row["library"]) + ("" if row["finite"] else ", NOT FINITE"),
                f"{row['tracing']:.1f} + {row['compiling']:.1f} s" if "compiling" in row else "-",
                f"{row['first']:.2f} s",
                "{:.1f} ms ({:.1f} to {:.1f})".format(*times),
                f"{max(row['batch'], 1) / row['median']:.1f}",
                f"{memory / 1e9:.2f} GB" if memory else "-",
                "-" if rate is None else f"{rate:.3g}" + (f" ({100 * rate / peak:.1f} %)" if peak else ""),
                f"{eager / row['median']:.1f} times" if eager and row["library"] != "pytorch" else "-",
            )
        )
    further = ("peak memory", "TFLOP/s" + (" (of peak)" if device in PEAKS else ""), "eager PyTorch takes")
    table = markdown((*head, *further), cells)
    return table + ("\nNot measured, or in part:\n\n" + "".join(problems) if problems else "")


def write_tables(path: Path) -> None:
    """Writes the figures of a file into the notes."""
    stored = json.loads(path.read_text())
    notes, reference = HERE / "NOTES.md", stored["rows"].pop("reference", None)
    replace_table(notes, "table of whole networks", f"{table(stored['rows'], stored['device'])}\n")
    if reference:
        replace_table(notes, "table of reference outputs", reference_table(reference))


def main() -> None:
    """Measures the cases, prints and writes the figures."""
    started = time.perf_counter()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=420, help="time after which no case is run (default 420)")
    parser.add_argument(
        "--cases",
        nargs="+",
        metavar="PATTERN",
        default=["reference", "*"],
        help="cases to run, in this order: `reference`, or patterns such as '*/train/*float32' (default: all)",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="JSON file to write")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="folder of compiled programs (default: none is used)")
    parser.add_argument("--compile", type=int, metavar="JOBS", help="compile so many cases at a time, and end")
    parser.add_argument("--quick", action="store_true", help="tiny networks, to rehearse on a CPU")
    parser.add_argument("--table", type=Path, metavar="FILE", help="write a JSON file's tables into the notes, and end")
    parser.add_argument("--list", action="store_true", help="print the names of the cases, and end")
    args = parser.parse_args()
    if args.table:
        write_tables(args.table)
        return
    known = {case.name: case for case in all_cases(args.quick)}
    names = [name for pattern in args.cases for name in fnmatch.filter(["reference", *known], pattern)]
    queue = list(dict.fromkeys(names))
    if args.list or not queue:
        print(*queue, sep="\n")
        raise SystemExit(None if queue else f"no case is named {' or '.join(args.cases)}")

    device = device_kind()
    slug = re.sub(r"\W+", "-", device.lower()) + ("-quick" if args.quick else "")
    out = args.out or HERE / "results" / f"accelerator-{slug}.json"
    stored = json.loads(out.read_text()) if out.exists() else {}
    rows: dict[str, Any] = stored["rows"] if stored.get("device") == device else {}
    if args.compile:
        if not args.cache:
            parser.error("--compile needs --cache")
        compiled = [known[name] for name in queue if name in known and known[name].library != "pytorch"]
        for name, row in compile_cases(compiled, args.compile, args.cache).items():
            rows[name] = rows.get(name, {}) | row
            print(f"{time.perf_counter() - started:.0f} s  {name}  {json.dumps(row)}", flush=True)
        out.write_text(json.dumps({"device": device, "rows": rows}, indent=2) + "\n")
        return
    while queue:
        name = queue.pop(0)
        case = known.get(name)
        command = case.command if case else ("accelerator_jax.py", "reference", "1" if args.quick else "21")
        left = args.seconds - (time.perf_counter() - started)
        row = (
            run(command, min(left, CASE_SECONDS), args.cache)
            if left > 0
            else {"problem": f"not run within {args.seconds:.0f} s"}
        )
        if case:
            row = {**dataclasses.asdict(case), "title": case.title, **row}
        if args.cache and case:  # this run took the time of reading a program
            row |= {key: rows[name][key] for key in compiling(case) if key in rows.get(name, {})}
        if case and case.batch > 1 and lacks_memory(row):
            half = dataclasses.replace(case, batch=case.batch // 2)
            known[half.name] = half
            queue.insert(0, half.name)
        if left > 0 or "median" not in rows.get(name, {}):
            rows[name] = row
        print(f"{time.perf_counter() - started:.0f} s  {name}  {json.dumps(row)}", flush=True)
        out.write_text(json.dumps({"device": device, "rows": rows}, indent=2) + "\n")
    print(f"\n{device}\n")
    if reference := rows.pop("reference", None):
        print(reference_table(reference))
    print(table(rows, device))


if __name__ == "__main__":
    main()
