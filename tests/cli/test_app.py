"""`swinir-jax app` before it serves; `tests/app` and `tests/web` ask the server."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from urllib.request import urlopen

import pytest
from picture_files import make_pixels, pillow_bytes

from swinir_jax.cli.main import main


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch, capsys):
    for name in [name for name in sys.modules if name.startswith(("swinir_jax.app", "swinir_jax.cli.app", "aiohttp"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    assert main(["app"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line == "swinir-jax: error: app needs aiohttp: pip install aiohttp."


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--port", "70000"], "--port must be 0 to 65535, got 70000."),
        (["--max-pixels", "0"], "argument --max-pixels: must be a number of millions above 0, got '0'"),
        (["--max-file", "many"], "a size is like 2GB or 500MB"),
        (["--tile", "-1"], "--tile must be auto, 0 or at least 8, got -1."),
        (["--tile", "4"], "--tile must be auto, 0 or at least 8, got 4."),
        (["--model", "no_such_model"], "no_such_model: no such file"),
        (["--model", "jpeg_light,no_such_model"], "no_such_model: no such file"),
        (["--model", "jpeg_light,"], "a name is empty"),
    ],
)
def test_bad_options_are_refused_in_one_line(arguments, reason, capsys):
    try:
        code = main(["app", "--no-open", *arguments])
    except SystemExit as error:
        code = error.code
    assert code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert reason in line


def test_a_port_in_use_is_named(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["app", "--no-open", "--port", port]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert f"--port {port}: cannot be listened on" in line
    assert f"the page may be open already at http://127.0.0.1:{port}/" in line


def test_a_browser_that_stays_open_does_not_hold_the_command(tmp_path):
    browser = tmp_path / "browser"
    browser.write_text("#!/bin/sh\nexec sleep 60\n")
    browser.chmod(0o755)
    command = [sys.executable, "-m", "swinir_jax.cli.main", "app", "--port", "0"]
    environment = {**os.environ, "BROWSER": str(browser)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert "the page is at" in process.stderr.readline()
        time.sleep(0.5)  # in which the browser starts
        process.terminate()
        assert process.wait(20) == 0


SLOW = """
import sys, time
from swinir_jax.app.networks import Networks
from swinir_jax.cli.main import main

def restore(*arguments):
    print("restoring", file=sys.stderr, flush=True)
    time.sleep(60)

Networks.restore = restore
sys.exit(main())
"""


def test_a_second_signal_does_not_wait_for_the_tile(tmp_path):
    command = [sys.executable, "-c", SLOW, "app", "--port", "0", "--no-open", "--model", "jpeg_light"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        address = process.stderr.readline().partition("the page is at ")[2].partition(";")[0]
        choice = json.load(urlopen(f"{address}api/choices"))["choices"][0]["key"]
        urlopen(f"{address}api/jobs?name=a.png&choice={choice}", pillow_bytes(make_pixels(3), "PNG"))
        assert list(tmp_path.iterdir())
        assert process.stderr.readline() == "restoring\n"  # a picture that still waits would hold nothing
        process.terminate()
        assert "again ends at once" in process.stderr.readline()
        end = time.monotonic() + 20
        while process.poll() is None and time.monotonic() < end:
            process.terminate()
            time.sleep(0.1)
        process.kill()
        assert process.wait() == -signal.SIGTERM
        assert not list(tmp_path.iterdir())  # the pictures are removed
