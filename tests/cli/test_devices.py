"""`swinir-jax restore --devices`, on a CPU that is divided into several devices."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
import quick_programs
from picture_files import make_pixels, pillow_bytes, put

from swinir_jax.cli import devices, lanes
from swinir_jax.cli.main import main
from swinir_jax.images import read_picture

PROGRAM = """
import sys, threading
from swinir_jax.cli.main import main
from swinir_jax.inference import programs

used, original = set(), programs.Programs.run

def run(self, batch):
    used.add((self.devices.first.id, threading.current_thread() is threading.main_thread()))
    return original(self, batch)

programs.Programs.run = run
code = main(sys.argv[1:])
print(code, sorted(used))
"""


def restore(*options):
    """Runs the command with three devices; returns what it prints: the exit code, and devices with their threads."""
    flags = f"--xla_force_host_platform_device_count=3 {quick_programs.FLAGS}"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", PROGRAM, "restore", "in", "--out", "out", *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("options", "used"),
    [
        (["--devices", "3"], [(0, False), (1, False), (2, False)]),
        (["--devices", "2", "--tile", "16"], [(0, False), (1, False)]),
        (["--devices", "1"], [(0, True)]),
        ([], [(0, True)]),  # a CPU
    ],
)
def test_each_device_restores_pictures(model, options, used):
    for i in range(7):
        put(f"in/{i}.png", pillow_bytes(make_pixels(3) // (i + 1), "PNG"))
    Path("in/3.png").write_bytes(b"no picture")
    done = restore("--model", model, *options)
    assert done.stdout == f"1 {used}\n", done.stderr
    assert "Traceback" not in done.stderr
    assert "6 of 7 pictures" in done.stderr
    assert main(["restore", "in", "--out", "expected", "--model", model, *options[2:]]) == 1
    for i in {*range(7)} - {3}:
        found, expected = (read_picture(f"{folder}/{i}.png").pixels for folder in ("out", "expected"))
        assert np.abs(found.astype(int) - expected).max() <= 1  # the rounding of other threads


@pytest.mark.parametrize("count", ["0", "4", "-1"])
def test_a_number_of_devices_that_there_is_not(model, count, monkeypatch, capsys):
    put("in/a.png")
    monkeypatch.setattr(jax, "local_devices", lambda: 3 * jax.devices())
    assert main(["restore", "in", "--out", "out", "--model", model, f"--devices={count}"]) == 2
    message = f"--devices must be 1 up to the number that JAX finds here, 3; got {count}."
    assert capsys.readouterr().err.splitlines()[-1].endswith(message)
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("backend", "cores", "count", "beside"),
    [("cpu", 64, 1, 1), ("gpu", 16, 1, 8), ("gpu", 64, 1, 8), ("gpu", 16, 4, 2), ("gpu", 2, 8, 1), ("tpu", 8, 1, 4)],
)
def test_cores_read_and_write_for_an_accelerator(monkeypatch, backend, cores, count, beside):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    monkeypatch.setattr(devices, "usable_cores", lambda: cores)
    assert devices.files_beside(count) == beside


@pytest.mark.parametrize(
    ("pixels", "groups"),
    [([1, 9, 1, None, 1], [[0], [1], [2], [3], [4]]), ([1, 4, 9], [[0, 1], [2]]), ([9, 9], [[0], [1]])],
)
def test_small_pictures_in_a_row_run_side_by_side(pixels, groups):
    jobs = [SimpleNamespace(size=count and (1, count)) for count in pixels]
    assert [*lanes._groups(jobs, largest=4)] == groups
