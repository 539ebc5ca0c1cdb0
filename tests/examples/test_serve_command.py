"""The command of the example's HTTP service: options, and a process of its own."""

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from aiohttp import web
from goldens import checkpoints

import swinir_jax
from examples import serve


def test_command_line_sets_the_limits(monkeypatch):
    monkeypatch.setattr("sys.argv", ["serve.py", "--port", "81", "--seconds", "1.5", "--queue", "3"])
    made, started = [], []
    monkeypatch.setattr(serve, "make_app", lambda model, params, limits, warm: made.append(limits))
    monkeypatch.setattr(web, "run_app", lambda app, **options: started.append(options))
    serve.main()
    assert made == [serve.Limits(queue=3, seconds=1.5)]
    assert started[0]["port"] == 81


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--batch", "0"], "each limit must be above 0"),
        (["--seconds", "-1"], "each limit must be above 0"),
        (["--model", "gray"], "--model gray is not a network for RGB pictures"),
    ],
)
def test_what_cannot_be_served_is_refused_at_the_start(monkeypatch, capsys, options, message):
    gray = swinir_jax.SwinIR(swinir_jax.SwinIRConfig(in_chans=1))
    monkeypatch.setattr(swinir_jax, "load_pretrained", lambda name: (gray, {}))
    monkeypatch.setattr("sys.argv", ["serve.py", *options])
    with pytest.raises(SystemExit, match="2"):
        serve.main()
    assert message in capsys.readouterr().err


def test_the_command_logs_requests():
    command = [sys.executable, serve.__file__, "--port", "0", "--warm", "8x8"]
    command += ["--model", str(checkpoints() / "params.pth")]
    environment = {**os.environ, "PYTHONPATH": str(Path(swinir_jax.__file__).parents[1]), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as service:
        address = re.search(r"http://[\d.:]+", service.stdout.readline())[0]
        with pytest.raises(urllib.error.HTTPError, match="400") as caught:
            urllib.request.urlopen(f"{address}/restore", data=b"no picture")
        caught.value.close()
        service.send_signal(signal.SIGTERM)
        log = service.stderr.read()
    assert service.returncode == 0
    assert '"POST /restore HTTP/1.1" 400' in log


def test_sizes_of_the_command():
    assert serve.size("640x480") == (640, 480)
    with pytest.raises(serve.argparse.ArgumentTypeError, match="WIDTHxHEIGHT"):
        serve.size("640")
