"""`swinir-jax app` before it serves; `tests/app` and `tests/web` ask the server."""

import socket
import sys

import pytest

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
