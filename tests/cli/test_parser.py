"""Mistyped names, and completion by a shell."""

import argparse
import importlib
import os
import re
import subprocess
import sys

import pytest

from swinir_jax.cli.main import COMMANDS, main
from swinir_jax.cli.parser import Parser


@pytest.mark.parametrize(
    ("arguments", "nearest"),
    [
        (["restor", "photo.png"], "restore"),
        (["--verson"], "--version"),
        (["restore", "photo.png", "--oot", "out"], "--out"),
        (["restore", "--for", "phto", "photo.png", "--out", "out"], "photo"),
        (["restore", "photo.png", "--scale", "44"], "4"),
        (["evaluate", "--taks=gray_dn"], "--task"),
        (["train", "lightweight_sr_x2", "--workdri", "run"], "--workdir"),
    ],
)
def test_nearest_name_of_a_mistyped_one_is_told_in_one_line(arguments, nearest, capsys):
    with pytest.raises(SystemExit, match="2") as ended:
        sys.exit(main(arguments))
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert f", the nearest is {nearest} (see" in line


@pytest.mark.parametrize(
    ("arguments", "rest"),
    [
        (["restore", "--scal", "3", "photo.png"], "--scal, the nearest is --scale (see"),
        (["restore", "--rec", "photos"], "--rec, the nearest is --recursive (see"),
        (["restore", "--bogus", "photo.png"], "--bogus (see"),
        (["restore", "--", "--scal"], None),
        (["models", "--js"], "--js, the nearest is --json (see"),
        (["--vers"], "--vers, the nearest is --version (see"),
    ],
)
def test_options_are_not_abbreviated(arguments, rest, capsys):
    with pytest.raises(SystemExit, match="2"):
        sys.exit(main(arguments))
    [line] = capsys.readouterr().err.splitlines()
    assert (f"unrecognized argument {rest}" in line) if rest else ("--scal: no such file" in line)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_choice_of_any_kind_is_an_error_of_argparse(command):
    parser = Parser()
    importlib.import_module(f"swinir_jax.cli.{command.replace('-', '_')}").add_arguments(parser)
    for action in parser._actions:
        if action.choices is not None:
            with pytest.raises(argparse.ArgumentError, match="invalid choice"):
                parser._check_value(action, type(next(iter(action.choices)))("99"))


def test_completion_knows_commands_options_and_files(capsys):
    pytest.importorskip("shtab")
    open("photo.png", "w").close()
    os.mkdir("photos")
    completed = {
        "rest": ["restore"],
        "restore --self": ["--self-ensemble"],
        "restore photo.png --for gray": ["gray-noise"],
        "restore ph": ["photo.png", "photos"],
        "restore photo.png --weights-dir ph": ["photos"],
    }
    with pytest.raises(SystemExit, match="0"):
        main(["--print-completion", "bash"])
    script = capsys.readouterr().out
    for line in completed:
        script += f"COMP_WORDS=(swinir-jax {line}) COMP_CWORD={len(line.split())} COMPREPLY=()\n"
        script += "_shtab_swinir_jax; echo ${COMPREPLY[@]}\n"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert [sorted(line.split()) for line in done.stdout.splitlines()] == [*completed.values()]


@pytest.mark.parametrize(("shell", "start"), [("zsh", "#compdef swinir-jax"), ("tcsh", "# AUTOMATICALLY GENERATED")])
def test_completion_is_written_for_other_shells(shell, start, capsys):
    pytest.importorskip("shtab")
    with pytest.raises(SystemExit, match="0"):
        main(["--print-completion", shell])
    script = capsys.readouterr().out
    assert script.startswith(start)
    assert "self-ensemble" in script


def test_completion_without_shtab_names_the_package(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["--print-completion", "bash"]) == 2
    assert capsys.readouterr().err.endswith("needs shtab: pip install shtab.\n")


ADVANCED = {"--shift", "--img-range", "--qk-scale", "--overlap", "--blend", "--pad"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_described_and_those_for_experts_stand_apart(command):
    parser = argparse.ArgumentParser()
    importlib.import_module(f"swinir_jax.cli.{command.replace('-', '_')}").add_arguments(parser)
    advanced = ADVANCED - {"--blend"} if command == "convert" else ADVANCED  # which blends networks there
    for group in parser._action_groups:
        for action in group._group_actions:
            assert action.help, action
            assert (group.title == "advanced") == bool(advanced & set(action.option_strings)), action


VERB = re.compile(
    "(average|blend|choose|compare|compile|compress|compute|cut|decode|degrade|do|enlarge|fix|leave|let|measure|mirror|"
    "multiply|print|put|read|refuse|rescale|restore|say|search|serve|show|skip|start|store|take|test|train|use|write) "
)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_tells_what_an_option_does_in_a_sentence(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: swinir-jax {command} ")
    assert "None" not in printed
    parser = argparse.ArgumentParser(add_help=False)
    importlib.import_module(f"swinir_jax.cli.{command.replace('-', '_')}").add_arguments(parser)
    helps = [action.help for action in parser._actions if action.help != argparse.SUPPRESS]
    assert [text for text in helps if not VERB.match(text) or text.endswith(".")] == []
