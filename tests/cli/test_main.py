"""What all commands share: paths, messages and errors."""

import errno
import logging
import os

import pytest
from picture_files import put

from swinir_jax.cli import restore
from swinir_jax.cli.main import main


def test_home_folder_is_found_in_every_path(monkeypatch):
    monkeypatch.setenv("HOME", os.getcwd())
    seen = {}
    monkeypatch.setattr(restore, "run", lambda args: seen.update(vars(args)))
    main(
        [
            "restore",
            "~/in",
            "~",
            "~a.png",
            "b~/c",
            "--out=~/out",
            "--model",
            "~/model",
            "--weights-dir=~",
            "--blend=smooth",
        ]
    )
    home = os.getcwd()
    assert seen["inputs"] == [f"{home}/in", home, "~a.png", "b~/c"]
    assert (seen["out"], seen["model"], seen["weights_dir"]) == (f"{home}/out", f"{home}/model", home)
    put("in/a.png")
    command = ["evaluate", "--task", "classical_sr", "--scale", "2", "--model", "bicubic"]
    assert main([*command, "--hq", "~/in", "--json=~/e.json"]) == 0
    assert sorted(os.listdir()) == ["e.json", "in"]


def test_quiet_prints_nothing(model, capsys):
    assert main(["restore", put("photo.png"), "--model", model, "--out", "out", "--quiet"]) == 0
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_debug_shows_the_traceback():
    with pytest.raises(ValueError, match="no such file"):
        main(["restore", "none.png", "--out", "out", "--debug"])


def test_messages_are_printed_once_despite_other_handlers(model, capsys):
    logging.getLogger().addHandler(handler := logging.StreamHandler())
    try:
        main(["restore", put("photo.png"), "--model", model, "--out", "out"])
    finally:
        logging.getLogger().removeHandler(handler)
    assert capsys.readouterr().err.count("photo.png 34x23") == 1


def test_closed_standard_error_does_not_stop_the_run(model, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("swinir_jax.cli.main.tqdm.write", full)
    assert main(["restore", put("photo.png"), "--model", model, "--out", "out"]) == 0
    assert os.path.exists("out/photo.png")
