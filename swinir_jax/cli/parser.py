"""Parser of the command line, whose errors are one line with the nearest names."""

import argparse
from typing import Any, NoReturn

from swinir_jax.cli.exit_codes import BAD_INPUT
from swinir_jax.cli.output import say
from swinir_jax.errors import nearest, printable
from swinir_jax.version import version


class Parser(argparse.ArgumentParser):
    """Parser that takes whole names of options, and ends the process with exit code 2 and one line on the fault."""

    def __init__(self, **options: Any):
        super().__init__(allow_abbrev=False, **options)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuses a mistyped option by its name, before argparse misses the option that was meant."""
        has_rest = any(action.nargs in (argparse.PARSER, argparse.REMAINDER) for action in self._actions)
        for text in args:
            if text == "--" or (has_rest and not text.startswith("-")):
                break
            name = text.partition("=")[0]
            if name.startswith("--") and name not in self._option_string_actions:
                self.error(f"unrecognized argument {name}{self._nearest_option(name)}")
        return super().parse_known_args(args, namespace)

    def _nearest_option(self, name: str) -> str:
        """Returns the end of a message on an unknown option: the shortest option that begins so, else a near one."""
        known = [option for option in self._option_string_actions if option.startswith("--")]
        begun = sorted((option for option in known if option.startswith(name)), key=len)
        if begun:
            return f", the nearest is {begun[0]}"
        found = nearest(name[2:], [option[2:] for option in known])  # all names agree in their dashes
        return found.replace(" is ", " is --")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Names the nearest choice in the error about a value that is none of them."""
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            error.message += nearest(value, list(action.choices or ()))
            raise

    def error(self, message: str) -> NoReturn:
        """Prints the message and ends the process."""
        self.exit(BAD_INPUT, printable(f"{self.prog}: error: {message} (see {self.prog} --help)") + "\n")


class PrintVersion(argparse.Action):
    """Prints the version, which is looked up only then, and ends the process."""

    def __call__(self, parser: argparse.ArgumentParser, *args: Any) -> None:
        """Prints `swinir-jax VERSION`."""
        say(f"{parser.prog} {version()}")
        parser.exit()
