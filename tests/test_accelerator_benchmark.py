import dataclasses
import json
import re
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
MEASURED = {"flops": 10**9, "first": 1.0, "median": 0.2, "minimum": 0.1, "maximum": 0.3, "finite": True}


@pytest.fixture
def accelerator(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import accelerator

    return accelerator


@pytest.fixture
def benchmark(accelerator, monkeypatch, tmp_path):
    """Runs the command with an answer in place of each process; returns the commands and the rows of the file."""

    def run_benchmark(answer, *options):
        out, commands = tmp_path / "figures.json", []
        monkeypatch.setattr(sys, "argv", ["accelerator.py", "--quick", "--out", str(out), *options])
        monkeypatch.setattr(accelerator, "device_kind", lambda: "NVIDIA H200")
        monkeypatch.setattr(accelerator, "run", lambda command, *_: commands.append(command) or answer(command))
        accelerator.main()
        return commands, json.loads(out.read_text())["rows"]

    return run_benchmark


def test_cases_run_in_the_order_of_the_patterns_and_each_has_a_line(benchmark, capsys):
    commands, rows = benchmark(
        lambda command: dict(MEASURED), "--cases", "swinir_jax/train/*/float32", "swinir_jax/*/float32"
    )
    assert [command[1:6] for command in commands] == [
        ("time", "tiny", "16", "16", "float32"),
        ("time", "tiny", "16", "24", "float32"),
    ]
    assert [row["batch"] for row in rows.values()] == [2, 0]
    printed = capsys.readouterr().out
    line = "| float32 | swinir_jax | - | 1.00 s | 200.0 ms (100.0 to 300.0) |"
    assert f"| training, batch 2, tiny x2, 16x16 {line} 10.0 | - | 0.005 (0.0 %) |" in printed
    assert f"| restoring, tiny x2, 24x16 {line} 5.0 | - | 0.005 (0.0 %) |" in printed


def test_a_later_run_keeps_what_it_does_not_measure(benchmark, capsys):
    _, first = benchmark(lambda command: dict(MEASURED), "--cases", "swinir_jax/restore/*/float32")
    commands, rows = benchmark(lambda command: dict(MEASURED), "--cases", "swinir_jax/restore/*", "--seconds", "0")
    assert not commands
    (kept,) = first
    assert rows.pop(kept) == first[kept]
    assert {row["problem"] for row in rows.values()} == {"not run within 0 s"}
    assert "- swinir_jax/restore/tiny/24x16/bfloat16: not run within 0 s" in capsys.readouterr().out


def test_training_that_lacks_memory_is_tried_with_half_of_the_batch(benchmark):
    def answer(command):
        return {"problem": "exit code 1: RESOURCE_EXHAUSTED: ..."} if command[-1] == "2" else dict(MEASURED)

    _, rows = benchmark(answer, "--cases", "swinir_jax/train/*/float32")
    whole, half = rows.values()
    assert "RESOURCE_EXHAUSTED" in whole["problem"]
    assert (whole["batch"], half["batch"]) == (2, 1)
    assert half["median"] == 0.2


def test_seconds_of_compiling_are_those_of_programs_that_were_compiled_first(benchmark, tmp_path):
    cache = ["--cache", str(tmp_path / "programs"), "--cases", "*/restore/*/float32", "*/train/*/bfloat16"]
    commands, rows = benchmark(lambda command: {"tracing": 1.0, "compiling": 30.0}, *cache, "--compile", "2")
    compiled = len(commands)
    assert compiled == len(rows) > 0
    own = [command for command in commands if command[0] == "accelerator_jax.py"]
    assert own
    assert all(command[-1] == "--only-compile" for command in own)
    commands, rows = benchmark(lambda command: dict(MEASURED, tracing=1.5, compiling=0.5), *cache)
    assert not any("--only-compile" in command for command in commands)
    for row in rows.values():
        assert row["median"] == 0.2
        if row["library"].startswith("swinir_jax"):
            assert (row["tracing"], row["compiling"]) == (1.0, 30.0)


def test_lines_of_one_work_compare_with_eager_pytorch(accelerator):
    works = accelerator.all_cases(quick=True)
    plain = next(case for case in works if case.library == "swinir_jax_plain")
    assert plain.command[-1] == "--plain"
    cases = [dataclasses.replace(plain, library=library) for library in ("swinir_jax", "swinir_jax_plain", "pytorch")]
    rows = {case.name: {**dataclasses.asdict(case), "title": case.title, **MEASURED} for case in cases}
    rows[cases[0].name]["median"] = 0.05
    del rows[cases[2].name]["flops"]
    lines = accelerator.table(rows, "NVIDIA H200").splitlines()[2:]
    assert [line.split(" | ")[-1] for line in lines] == ["4.0 times |", "1.0 times |", "- |"]
    assert "| swinir_jax, plain modules |" in lines[1]
    assert "| - | - | - |" in lines[2]


def test_the_notes_hold_the_tables_of_the_files(accelerator, monkeypatch, tmp_path):
    import attention

    notes = tmp_path / "benchmarks" / "NOTES.md"
    notes.parent.mkdir()
    written = (BENCHMARKS / "NOTES.md").read_text()
    notes.write_text(re.sub(r"^\| (light|classical|restoring|training|gray).*\n", "", written, flags=re.MULTILINE))
    monkeypatch.setattr(accelerator, "HERE", notes.parent)
    monkeypatch.setattr(attention, "ROOT", tmp_path)
    accelerator.write_tables(BENCHMARKS / "results" / "accelerator-nvidia-h200.json")
    attention.write_table(BENCHMARKS / "results" / "attention-nvidia-h200.json")
    assert notes.read_text() == written


def test_a_process_cut_short_leaves_its_last_figures(accelerator, tmp_path):
    script = tmp_path / "case.py"
    script.write_text("print('{\"compiling\": 3}', flush=True)\nraise MemoryError('full')\n")
    assert accelerator.run([str(script)], 60) == {"compiling": 3, "problem": "exit code 1: MemoryError: full"}
    script.write_text("import json, os; print(json.dumps(dict(os.environ)))")
    assert accelerator.run([str(script)], 60)["JAX_ENABLE_COMPILATION_CACHE"] == "false"
    assert accelerator.run([str(script)], 60, tmp_path)["JAX_COMPILATION_CACHE_DIR"] == str(tmp_path / "jax")
    script.write_text("import time\ntime.sleep(60)\n")
    assert accelerator.run([str(script)], 1) == {"problem": "not finished within 1 s"}


@pytest.fixture
def worker(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import accelerator_jax

    return accelerator_jax


def test_one_case_gives_the_errors_of_the_answers(worker, capsys):
    worker.reference(1)
    (errors,) = json.loads(capsys.readouterr().out)["errors"].values()
    assert errors["relative_error"] < 1e-5
    assert 0 < errors["largest_error"] < 1e-4


def test_one_case_gives_seconds_memory_and_operations(worker, capsys):
    worker.measure("tiny", 16, 24, "float32", 0)
    row = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert row["finite"]
    assert 0 < row["minimum"] <= row["median"] <= row["maximum"]
    assert min(row["tracing"], row["compiling"], row["temporary_bytes"]) > 0
    assert row["flops"] == 2 * 16 * 24 * TINY_PRODUCTS


def test_the_operations_of_a_training_step_are_counted(worker):
    model = worker.SwinIR(worker.SwinIRConfig.from_dict(worker.NETWORKS["tiny"]))
    _, state, batch = worker.training_inputs(model, 16, 2)
    flops = worker.product_flops(lambda *args: worker.train_step(*args, fast=False), state, batch)
    # Forward, and for the gradients of both factors; no one needs the gradient of the image.
    assert flops == 2 * 2 * 16 * 16 * (3 * TINY_PRODUCTS - 9 * 3 * 12)


# Multiplications for a pixel, by hand: two layers of 12 channels with windows of 64 pixels, and four convolutions.
TINY_PRODUCTS = 2 * (4 * 12 * 12 + 2 * 64 * 12 + 2 * 12 * 24) + 9 * (3 * 12 + 2 * 12 * 12 + 12 * 12)
