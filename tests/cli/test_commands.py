"""Commands in separate processes, as a user starts them."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from goldens import checkpoints

from swinir_jax.images import Picture, read_picture, write_picture

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path):
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    for name in ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "XLA_FLAGS"):
        environment.pop(name, None)  # as on a user's machine

    def run(*command):
        return subprocess.run(
            [sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    return run


def test_convert_weights_there_and_back(run, tmp_path):
    done = run(str(ROOT / "convert_weights.py"), str(checkpoints() / "params.pth"), "model")
    assert (done.returncode, done.stdout) == (0, "")
    assert run(str(ROOT / "convert_weights.py"), "model", "back.safetensors").returncode == 0
    original = safetensors.numpy.load_file(checkpoints() / "bare.safetensors")
    back = safetensors.numpy.load_file(tmp_path / "back.safetensors")
    assert back.keys() == original.keys()
    for name, tensor in original.items():
        np.testing.assert_array_equal(back[name], tensor, strict=True)


def test_second_run_uses_the_compiled_program(run, tmp_path):
    write_picture(tmp_path / "photo.png", Picture(np.zeros((16, 16, 3), np.uint8)))
    command = ["-m", "swinir_jax.cli.main", "restore", "photo.png", "--out", "out"]
    command += ["--model", str(checkpoints() / "params.pth")]
    first = run(*command)
    assert first.returncode == 0, first.stderr
    compiled = {path.name for path in (tmp_path / "cache" / "swinir_jax" / "compiled").iterdir()}
    programs = {name for name in compiled if "restore" in name}
    assert programs
    assert run(*command).returncode == 0
    again = {path.name for path in (tmp_path / "cache" / "swinir_jax" / "compiled").iterdir()}
    assert {name for name in again if "restore" in name} == programs
    assert read_picture(tmp_path / "out" / "photo.png").pixels.shape == (32, 32, 3)


def test_no_progress_bars_without_a_terminal(run, tmp_path):
    write_picture(tmp_path / "photo.png", Picture(np.zeros((16, 16, 3), np.uint8)))
    model = str(checkpoints() / "params.pth")
    done = run("-m", "swinir_jax.cli.main", "restore", "photo.png", "--out", "out", "--model", model)
    assert "\r" not in done.stderr
    assert "it/s" not in done.stderr


def test_version_and_help_import_nothing_large(run):
    command = "import sys; from swinir_jax.cli.main import main\ntry: main({})\nfinally: print(sorted(sys.modules))"
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for option, start in (("--version", f"swinir-jax {version}\n"), ("--help", "usage: swinir-jax")):
        done = run("-c", command.format([option]))
        assert done.stdout.startswith(start)
        assert not {"jax", "numpy", "PIL"} & {*re.findall(r"'(\w+)'", done.stdout)}
    assert run("-m", "swinir_jax", "--version").stdout == f"swinir-jax {version}\n"


@pytest.mark.parametrize("script", ["train.py", "convert_weights.py", None])
def test_old_python_is_named_in_one_line(run, script):
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=")
    start = f"runpy.run_path({str(ROOT / script)!r})" if script else "runpy.run_module('swinir_jax')"
    done = run("-c", f"import runpy, sys; sys.version_info = (3, 10, 13, 'final', 0); {start}")
    assert (done.returncode, done.stderr) == (1, f"swinir-jax needs Python {needed} or newer, this is 3.10.\n")
