"""`swinir-jax restore` that ends early: exit codes, the line that says why, and the JSON of what is finished."""

import errno
import gc
import importlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from picture_files import make_pixels, pillow_bytes
from weight_server import serving

from swinir_jax.checkpoints.download import MIRROR_VARIABLE, WEIGHTS_VARIABLE
from swinir_jax.cli.main import main
from swinir_jax.cli.termination import Terminated, raising_signals
from swinir_jax.images import Picture, write_picture
from swinir_jax.images.row_writing import RowWriter
from swinir_jax.inference import engine, files

OFFICIAL = "005_colorDN_DFWB_s128w8_SwinIR-M_noise25"


@pytest.fixture(autouse=True)
def pictures():
    os.mkdir("in")
    for name in ("a.png", "b.png", "c.png"):
        Path("in", name).write_bytes(pillow_bytes(make_pixels(3), "PNG"))


@pytest.fixture
def no_nohup():
    """Lets SIGHUP end the process, which the tests may have been told to ignore."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def run(capsys):
    """Returns a function that restores with --json; returns exit code, last line of standard error, and JSON."""

    def run(*arguments):
        code = main(["restore", *arguments, "--json"])
        captured = capsys.readouterr()
        return code, captured.err.splitlines()[-1], json.loads(captured.out)

    return run


@pytest.mark.parametrize(
    ("number", "code", "reason"),
    [
        (signal.SIGTERM, 143, "ended by SIGTERM"),
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGHUP, 129, "ended by SIGHUP"),
    ],
)
def test_what_is_finished_is_reported_after_a_signal(run, model, monkeypatch, number, code, reason, no_nohup):
    restored = []

    def restore(picture, restorer):
        if restored:
            signal.raise_signal(number)
        restored.append(picture)
        return picture

    monkeypatch.setattr(files, "restore_picture", restore)
    before = signal.getsignal(signal.SIGTERM)
    ended, line, told = run("in", "--model", model)
    assert (ended, told["error"]) == (code, f"{reason} after 1 of 3 pictures; the same command goes on")
    assert line == f"swinir-jax: {told['error']}"
    assert [(picture["input"], picture["state"]) for picture in told["pictures"]] == [("in/a.png", "restored")]
    assert [name for name in os.listdir("restored") if not name.startswith(".")] == ["a.png"]
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGTERM, Terminated), (signal.SIGINT, KeyboardInterrupt)])
def test_a_signal_during_a_collection_of_garbage_is_not_lost(number, raised):
    """Python discards what a callback of the collector raises, and JAX has such a callback."""
    received = []

    def callback(phase, info):
        if not received:
            received.append(number)
            signal.raise_signal(number)

    def collect():
        with raising_signals():
            gc.collect()
            assert received == [number]
            time.sleep(30)

    gc.callbacks.append(callback)
    try:
        with pytest.raises(KeyboardInterrupt) as error:
            collect()
    finally:
        gc.callbacks.remove(callback)
    assert error.type is raised


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_during_imports_ends_the_command_after_them(monkeypatch, capsys, number, code):
    """JAX's compiled modules crash where an exception interrupts their import."""
    imported = []
    of_python = importlib.import_module

    def import_module(name):
        signal.raise_signal(number)
        imported.append(name)
        return of_python(name)

    monkeypatch.setattr(importlib, "import_module", import_module)
    assert main(["models"]) == code
    assert imported == ["swinir_jax.cli.models"]
    assert capsys.readouterr().out == ""


def test_no_empty_file_stays_if_no_row_is_stored(run, model, monkeypatch):
    """SIGTERM arrives between the first rows of a result that is written by rows."""
    monkeypatch.setattr(engine, "resident_bytes", lambda: 0)
    monkeypatch.setattr(RowWriter, "write", lambda writer, rows: signal.raise_signal(signal.SIGTERM))
    write_picture("large.png", Picture(np.zeros((1000, 100, 3), np.uint8)))
    tiles = ["--tile", "32", "--overlap", "8", "--memory", "8MB"]
    assert run("large.png", "--model", model, *tiles)[0] == 143
    assert os.listdir("restored") == []


def test_an_ignored_sigterm_stays_ignored(run, model, monkeypatch):
    monkeypatch.setattr(files, "restore_picture", lambda picture, restorer: signal.raise_signal(15) or picture)
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        assert run("in", "--model", model)[0] == 0
    finally:
        signal.signal(signal.SIGTERM, before)


def test_errors_before_any_picture_are_reported(run, model):
    code, line, told = run("none.png", "--model", model)
    assert (code, line) == (2, "swinir-jax: error: none.png: no such file or folder.")
    assert told == {
        "networks": [], "scale": None, "reason": None, "error": "none.png: no such file or folder.", "seconds": 0.0,
        "pictures": [],
    }  # fmt: skip


class Full(io.StringIO):
    """A stream to a disk without room."""

    def write(self, text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


FULL = "standard output: cannot be written (No space left on device)."


@pytest.mark.parametrize(
    ("command", "code", "lines"),
    [
        (["models"], 5, [f"swinir-jax: error: {FULL}"]),
        (["--version"], 5, [f"swinir-jax: error: {FULL}"]),
        (["restore", "none.png", "--json"], 2, [FULL, "swinir-jax: error: none.png: no such file or folder."]),
    ],
)
def test_a_full_standard_output_is_named(monkeypatch, capsys, command, code, lines):
    monkeypatch.setattr("sys.stdout", Full())
    assert main(command) == code
    assert capsys.readouterr().err.splitlines() == lines


@pytest.mark.parametrize("command", [["models"], ["--version"], ["restore", "none.png", "--json"]])
def test_a_reader_of_standard_output_that_has_stopped_is_no_error_to_tell(monkeypatch, capsys, command):
    """As `head` stops after its last line."""
    read, write = os.pipe()
    os.close(read)
    with open(write, "w") as stdout, monkeypatch.context() as patch:
        patch.setattr("sys.stdout", stdout)
        assert main(command) == 1
    assert capsys.readouterr().err == ""


def test_a_full_standard_error_leaves_the_exit_code(monkeypatch):
    monkeypatch.setattr("sys.stderr", Full())
    assert main(["restore", "none.png"]) == 2


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("error", [RuntimeError("Unable to initialize backend 'cuda'"), AssertionError()])
def test_a_machine_without_the_devices_asked_for(run, model, monkeypatch, error, dtype):
    def local_devices():
        raise error

    monkeypatch.setattr(jax, "local_devices", local_devices)
    monkeypatch.setattr(jax, "default_backend", local_devices)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    reason = f" ({error})" if str(error) else ""
    assert run("in", "--model", model, "--dtype", dtype)[:2] == (
        2, f"swinir-jax: error: JAX finds no device for JAX_PLATFORMS=cuda{reason}."
    )  # fmt: skip


@pytest.mark.parametrize(("variable", "value"), [("JAX_ENABLE_X64", "maybe"), ("JAX_NUM_CPU_DEVICES", "x")])
def test_a_variable_that_jax_refuses_is_named(variable, value):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), variable: value}
    command = [sys.executable, "-m", "swinir_jax", "restore", "in/a.png", "--for", "clean"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    line = f"swinir-jax: error: {variable}={value}: JAX cannot work with this value; unset the variable."
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, line)
    assert "Traceback" not in done.stderr


def test_transfers_that_a_variable_forbids(run, model, monkeypatch):
    def choose(*arguments):
        raise RuntimeError("INVALID_ARGUMENT: Disallowed host-to-device transfer: aval=ShapedArray(float32[8])")

    monkeypatch.setenv("JAX_TRANSFER_GUARD", "disallow")
    monkeypatch.setattr("swinir_jax.cli.restore.choose", choose)
    line = "swinir-jax: error: JAX_TRANSFER_GUARD=disallow: JAX cannot work with this value; unset the variable."
    assert run("in", "--model", model)[:2] == (2, line)


def test_lack_of_memory_outside_of_pictures(run, model, monkeypatch):
    def no_room(*arguments):
        raise MemoryError

    monkeypatch.setattr("swinir_jax.cli.restore.choose", no_room)
    assert run("in", "--model", model)[:2] == (2, "swinir-jax: error: not enough memory.")


@pytest.mark.parametrize(("body", "code"), [(None, 4), (b"<html>Sign in</html>", 2)])
def test_a_failed_download_has_an_exit_code_of_its_own(run, monkeypatch, body, code):
    with serving(body) as server:
        monkeypatch.setenv(MIRROR_VARIABLE, f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv(WEIGHTS_VARIABLE, "weights")
        assert run("in", "--model", OFFICIAL)[0] == code


@pytest.mark.parametrize("out", ["out", "out/deep/er", "out/a.jpg"])
def test_a_folder_that_cannot_be_written_is_refused_before_networks_are_loaded(run, monkeypatch, out):
    """An administrator, who may run the tests, may write into every folder."""
    os.mkdir("out")
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != Path("out") and access(path, mode))
    code, line, told = run("in/a.png", "--model", "no_such_model", "--out", out)
    assert (code, line) == (5, "swinir-jax: error: out: cannot be written into; choose another --out.")
    assert (told["error"], os.listdir("out")) == ("out: cannot be written into; choose another --out.", [])
