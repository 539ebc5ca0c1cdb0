"""Completion of commands, options and files by a shell."""

import argparse
from typing import Any

from swinir_jax.cli.output import say
from swinir_jax.cli.paths import named_path
from swinir_jax.errors import missing_package

SHELLS = ("bash", "zsh", "tcsh")


class PrintCompletion(argparse.Action):
    """Prints the script of a parser for a shell, and ends the process."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, shell: Any, option: str | None = None) -> None:
        """Raises InputError if shtab, which writes the script, is not installed."""
        try:
            import shtab
        except ModuleNotFoundError as error:
            raise missing_package("--print-completion needs shtab", "completion") from error
        _complete_files(parser, shtab)
        say(shtab.complete(parser, shell))
        parser.exit()


def _complete_files(parser: argparse.ArgumentParser, shtab: Any) -> None:
    """Lets options and arguments whose values are texts complete to files, those in folders to folders."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _complete_files(command, shtab)
        elif action.nargs != 0 and action.choices is None and action.type in (None, str, named_path):
            vars(action)["complete"] = shtab.DIRECTORY if action.metavar == "DIR" else shtab.FILE  # read by shtab
