"""`swinir-jax restore` from standard input and pipes, and to standard output."""

import errno
import io
import os

import pytest
from picture_files import make_pixels, pillow_bytes, put
from PIL import Image

from swinir_jax.cli.main import main

JPEG = pillow_bytes(make_pixels(3), "JPEG")


class Stream(io.TextIOWrapper):
    def __init__(self, data=b""):
        super().__init__(io.BytesIO(data))


@pytest.mark.parametrize(("options", "kind"), [([], "PNG"), (["--format", "webp"], "WEBP")])
def test_standard_input_and_output(run, monkeypatch, options, kind):
    stdout = Stream()
    monkeypatch.setattr("sys.stdin", Stream(JPEG))
    monkeypatch.setattr("sys.stdout", stdout)
    code, lines = run("-", "--out", "-", *options)
    assert code == 0
    assert Image.open(io.BytesIO(stdout.buffer.getvalue())).format == kind
    assert lines[-1].endswith("to standard output")
    assert os.listdir() == []


def test_damaged_standard_input_fails(run, monkeypatch):
    stdout = Stream()
    monkeypatch.setattr("sys.stdin", Stream(JPEG[:200]))
    monkeypatch.setattr("sys.stdout", stdout)
    code, lines = run("-", "--out", "-")
    assert code == 3
    assert any(line.startswith("failed: standard input: ") for line in lines)
    assert stdout.buffer.getvalue() == b""


def test_full_standard_output_is_reported(run, monkeypatch):
    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(Full()))
    code, lines = run(put("a.png"), "--out", "-")
    assert code == 3
    assert "failed: a.png: standard output: cannot be written (No space left on device)." in lines


@pytest.mark.parametrize(
    ("arguments", "name"),
    [(["-", "--out", "out"], "standard input"), (["pipe"], "pipe"), (["in/a.png", "--out", "-"], "standard output")],
)
def test_only_streams_need_a_folder_for_temporary_files(model, monkeypatch, capsys, arguments, name):
    def none():
        raise FileNotFoundError(2, "No usable temporary directory found")

    put("in/a.png")
    os.mkfifo("pipe")
    writer = os.open("pipe", os.O_RDWR)  # else to open the pipe for reading would wait
    with monkeypatch.context() as patch, open("in/a.png") as stdin:
        patch.setattr("tempfile.TemporaryDirectory", none)
        patch.setattr("sys.stdin", stdin)
        assert main(["restore", *arguments, "--model", model]) == 2
        assert f"{name}: needs a temporary file, and no folder takes one; set TMPDIR" in capsys.readouterr().err
        assert main(["restore", "in/a.png", "--model", model]) == 0
    os.close(writer)


def test_standard_output_of_a_picture_gets_no_json(model, capsys):
    assert main(["restore", put("a.png"), "--model", model, "--out", "-", "--json"]) == 2
    assert capsys.readouterr().out == ""
