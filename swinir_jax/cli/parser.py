"""Parser of the command line, whose errors are one line with the nearest names."""

import argparse
from typing import Any, NoReturn

import swinir_jax
from swinir_jax.cli.exit_codes import BAD_INPUT
from swinir_jax.errors import nearest, printable


class Parser(argparse.ArgumentParser):
    """Parser that ends the process with exit code 2 and one line on the fault."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuses a mistyped option by its name, before argparse misses the option that was meant."""
        has_rest = any(action.nargs in (argparse.PARSER, argparse.REMAINDER) for action in self._actions)
        known = self._option_string_actions
        for text in args:
            if text == "--" or (has_rest and not text.startswith("-")):
                break
            name = text.partition("=")[0]
            is_short = self.allow_abbrev and any(option.startswith(name) for option in known)
            if name.startswith("--") and name not in known and not is_short:
                self.error(f"unrecognized argument {name}{nearest(name, known)}")
        return super().parse_known_args(args, namespace)

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
        print(f"{parser.prog} {swinir_jax.__version__}")
        parser.exit()
