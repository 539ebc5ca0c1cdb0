import contextlib
import os
from pathlib import Path

import pytest

from swinir_jax.checkpoints import zoo
from swinir_jax.cli import model_options
from swinir_jax.cli.main import main
from swinir_jax.images.row_writing import RowWriter


@pytest.fixture(autouse=True)
def in_tmp(tmp_path, monkeypatch):
    """Runs each test in its own folder, without compiled programs of other tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "")


@pytest.fixture
def run(model, capfd):
    """Returns a function that runs `restore` with the small model, and returns exit code and printed lines."""

    def run(*arguments):
        code = main(["restore", "--model", model, *arguments])
        captured = capfd.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.err.splitlines()

    return run


@pytest.fixture
def two_ends(in_tmp, monkeypatch):
    """Gives the bundled jpeg_light the files by which a model with two ends is known."""
    os.mkdir("ends")
    for name in ("config.json", "sharp.safetensors"):
        Path("ends", name).touch()
    known = {**zoo.bundled_models(), "jpeg_light": Path("ends")}
    for module in (zoo, model_options):
        monkeypatch.setattr(module, "bundled_models", lambda: known)


@pytest.fixture
def interruption(monkeypatch):
    """Returns a context in which Ctrl-C follows 512 rows of a result that is written by rows."""

    @contextlib.contextmanager
    def interrupted():
        write = RowWriter.write

        def interrupt(writer, rows):
            if writer.rows == 512:
                raise KeyboardInterrupt
            write(writer, rows)

        with monkeypatch.context() as patch:
            patch.setattr(RowWriter, "write", interrupt)
            yield

    return interrupted
