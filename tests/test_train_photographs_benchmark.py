import argparse
import itertools
import subprocess
import sys
import time
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

# Runs until a signal comes, as a training run does; writes when it begins and ends.
STAND_IN = """
import signal, sys, time
stopped = []
signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
print("begins", time.monotonic(), flush=True)
while not stopped:
    time.sleep(0.01)
time.sleep(0.3)  # saves
print("ends", time.monotonic(), flush=True)
"""


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import train_photographs

    return train_photographs


def test_each_run_has_its_part_of_the_time_and_waits_for_the_run_that_it_starts_from(script, monkeypatch):
    processes = {}

    def train(_, run, kind, steps):
        assert (kind, steps) == ("run", 7)
        process = subprocess.Popen([sys.executable, "-c", STAND_IN], stdout=subprocess.PIPE, text=True)
        processes[run.name] = process
        return process

    monkeypatch.setattr(script, "train", train)
    whole = script.Run("whole", "recipe", "bundled", 2, 48, "1e-4")
    first = script.Run("first", "recipe", "bundled", 2, 48, "1e-4", ends=0.5)
    second = script.Run("second", "recipe_gan", "bundled", 2, 48, "1e-4", begins=0.5, after="first")
    late = script.Run(
        "late", "recipe", "bundled", 2, 48, "1e-4", 0.5, after="second"
    )  # no time is left when it could begin
    start = time.monotonic()
    script.share(argparse.Namespace(seconds=6.0, steps=7), [whole, first, second, late])

    times = {}
    for name, process in processes.items():
        with process.stdout as output:
            words = output.read().split()
        assert process.returncode == 0
        times[name] = float(words[1]) - start, float(words[3]) - start
    assert times["whole"][0] < 3
    assert times["first"][0] < 3 <= times["first"][1]
    assert times["first"][1] < times["second"][0]
    assert min(times["whole"][1], times["second"][1]) >= 6
    assert "late" not in times


def test_the_rehearsal_runs_the_same_program(script, monkeypatch, tmp_path):
    commands = []
    monkeypatch.setattr(script, "start_python", lambda words, *_, **__: commands.append(words))
    names = argparse.Namespace(out=tmp_path, photographs="photographs", weights="weights", batch=8, dtype="bfloat16")
    names.options = ["--seed", "3"]
    for run in script.RUNS:
        for kind in ("rehearsal", "run"):
            script.train(names, run, kind, 10)
        rehearsal, real = (
            {option: value for option, value in itertools.pairwise(words) if option.startswith("--")}
            for words in commands[-2:]
        )
        other = {name for name in real if rehearsal[name] != real[name]}
        assert other == {"--workdir", "--log-every"}
        assert real["--seed"] == "3"


def test_a_run_starts_from_the_one_before_it(script, monkeypatch, tmp_path):
    commands = []
    monkeypatch.setattr(script, "start_python", lambda words, *_, **__: commands.append(words))
    names = argparse.Namespace(out=tmp_path, photographs="photographs", weights="weights", batch=8, dtype="bfloat16")
    names.options = []
    (run,) = (run for run in script.RUNS if run.name == "real_x2_gan")
    for exists, kind in ((False, "run"), (True, "run"), (True, "rehearsal")):
        if exists:
            (tmp_path / "real_x2_psnr_run").mkdir(exist_ok=True)
        script.train(names, run, kind, 10)
    starts = [str(words[words.index("--init-from") + 1]) for words in commands]
    assert starts == ["real_x2", str(tmp_path / "real_x2_psnr_run"), "real_x2"]


def test_a_run_without_a_checkpoint_leaves_the_others(script, tmp_path, capsys):
    run = script.RUNS[0]
    assert script.export(argparse.Namespace(out=tmp_path), run) == []
    assert f"FAILED: {run.name} left no checkpoint" in capsys.readouterr().out


def test_a_failed_process_is_named(script, capsys):
    processes = [subprocess.Popen([sys.executable, "-c", f"raise SystemExit({code})"]) for code in (0, 143, 3)]
    assert script.wait(processes)
    assert not script.wait(processes[:2])
    printed = capsys.readouterr().out
    assert "FAILED" in printed
    assert "SystemExit(3)" in printed
    assert "SystemExit(0)" not in printed
    assert "SystemExit(143)" not in printed  # of SIGTERM
