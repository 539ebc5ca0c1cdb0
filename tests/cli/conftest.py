import contextlib

import pytest

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
