"""Commands of a user without a home folder, or with one that cannot be written into."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import swinir_jax
from swinir_jax.cli.main import main
from swinir_jax.images import Picture, read_picture, write_picture

OFFICIAL = "005_colorDN_DFWB_s128w8_SwinIR-M_noise25"


@pytest.fixture
def homeless(monkeypatch):
    """Makes the user unknown to the system, as in a container that runs under any number."""

    def unknown(number):
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)


def test_commands_go_on_without_a_home_folder(homeless, capsys):
    assert main(["models"]) == 0
    captured = capsys.readouterr()
    assert f"{OFFICIAL}: " in captured.out
    assert captured.err.splitlines() == [
        "compiled programs are not kept for later runs: no home folder is known for caches; set XDG_CACHE_HOME, or "
        "HOME, to a folder."
    ]
    assert main(["models", "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_a_download_without_a_home_folder_says_what_is_missing(homeless, capsys):
    write_picture("a.png", Picture(np.zeros((16, 16, 3), np.uint8)))
    assert main(["restore", "a.png", "--model", OFFICIAL, "--quiet"]) != 0
    assert capsys.readouterr().err == (
        "swinir-jax: error: no home folder is known for caches; set XDG_CACHE_HOME, or HOME, to a folder.\n"
    )


@pytest.mark.parametrize("variable", ["XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR"])
def test_unreachable_caches_are_no_error(monkeypatch, capsys, variable):
    """A name that is too long cannot be reached even by an administrator, as others' folders cannot by a user."""
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    monkeypatch.setenv(variable, "/" + "x" * 300)
    assert main(["models"]) == 0
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("compiled programs are not kept for later runs: /xxx")


def test_a_cache_whose_name_jax_cannot_read_is_no_error(monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", f"{tmp_path}/\udcff")
    assert main(["models"]) == 0
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == ""
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("compiled programs are not kept for later runs: ")
    assert line.endswith(": the name is not UTF-8.")


def test_an_empty_environment_and_a_home_that_cannot_be_written(model):
    """The compiler of a new process writes no warnings of Python."""
    Path("home").write_text("a file in the place of the folder")
    write_picture("a.png", Picture(np.zeros((16, 16, 3), np.uint8)))
    source = str(Path(swinir_jax.__file__).parents[1])
    environment = {"PATH": os.defpath, "HOME": str(Path("home").resolve()), "PYTHONPATH": source}
    command = [sys.executable, "-m", "swinir_jax", "restore", "a.png", "--model", model]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert read_picture("restored/a.png").pixels.shape == (32, 32, 3)
    first, *others = done.stderr.splitlines()
    assert first.startswith(f"compiled programs are not kept for later runs: {environment['HOME']}/.cache/swinir_jax")
    assert "arning" not in "\n".join(others)
