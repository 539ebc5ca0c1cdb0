"""Command-line options for the fields of a dataclass, nested dataclasses included."""

import argparse
import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal, NoReturn, TypeVar

from swinir_jax.cli.parser import Parser
from swinir_jax.errors import InputError, option

Config = TypeVar("Config")


class FieldParser(Parser):
    """Parses options named after fields; every error is an InputError of one line.

    Args:
      prog: command that the help shows.
      usage: usage line of the help.
      description: first paragraph of the help.
    """

    def __init__(self, prog: str, usage: str, description: str):
        super().__init__(prog=prog, usage=usage, description=description, argument_default=argparse.SUPPRESS)

    def add_fields(self, config: Any, *, skip: Collection[str] = ()) -> None:
        """Adds an option for each field, with help from the `Attributes:` section of the dataclass.

        Args:
          config: dataclass instance; the help shows its values as the defaults.
          skip: dotted names of the fields without an option.
        """
        self._add_group(self, config, "", skip)

    def _add_group(self, group: Any, config: Any, prefix: str, skip: Collection[str]) -> None:
        hints, descriptions = typing.get_type_hints(type(config)), _field_descriptions(type(config))
        for field in dataclasses.fields(config):
            name, value = prefix + field.name, getattr(config, field.name)
            if dataclasses.is_dataclass(value):
                summary = (inspect.getdoc(value) or "").partition("\n\n")[0]
                fields = [inner.name for inner in dataclasses.fields(value)]
                summary = _as_typed(summary, fields, f"{name}.").replace("%", "%%")
                self._add_group(self.add_argument_group(f"{name} options", summary), value, f"{name}.", skip)
            elif name not in skip:
                text = _as_typed(descriptions.get(field.name, ""), hints, prefix)
                text = f"{text} (default: {_shown(value)})".replace("%", "%%")
                names = [option(name)]
                if hints[field.name] is bool:
                    names.append(option(f"{prefix}no_{field.name}"))
                group.add_argument(*names, dest=name, help=text, **_reading(hints[field.name]))

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parses arguments; underscores in the names of options count as dashes.

        Returns:
          The given fields by their dotted names, and the values of the other options.

        Raises:
          InputError: if an option is unknown or its value has the wrong type; the message names the option.
        """
        dashed = [re.sub("^--[^=]*", lambda name: name[0].replace("_", "-"), argument) for argument in arguments]
        values, unknown = self.parse_known_args(dashed)
        if unknown:
            self.error(f"unrecognized argument {unknown[0]}")
        return values

    def error(self, message: str) -> NoReturn:
        """Raises InputError, which the command prints."""
        raise InputError(f"{message} (see {self.prog} --help)")


def with_fields(config: Config, values: Mapping[str, Any], prefix: str = "") -> Config:
    """Replaces fields of a dataclass.

    Args:
      config: dataclass instance.
      values: new values by dotted name, such as `vars(parser.parse(arguments))`; other names have no effect.
      prefix: dotted name of `config` with a dot behind it; empty for the outermost dataclass.

    Raises:
      InputError: if the dataclass refuses a value.
    """
    changes = {}
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        name, value = prefix + field.name, getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            changes[field.name] = with_fields(value, values, f"{name}.")
        elif name in values:
            changes[field.name] = values[name]
    return dataclasses.replace(config, **changes)  # type: ignore[type-var]


class _Switch(argparse.Action):
    """Stores True for `--field` and False for `--no-field`, the second option string."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        setattr(namespace, self.dest, option_string == self.option_strings[0])


class _Tuple(argparse.Action):
    """Stores the values as a tuple."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        setattr(namespace, self.dest, tuple(values))


class _NumberOrTuple(argparse.Action):
    """Stores one value as a number, several as a tuple."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        setattr(namespace, self.dest, values[0] if len(values) == 1 else tuple(values))


def _reading(hint: Any) -> dict[str, Any]:
    """Returns the arguments of `add_argument` that read a value of the annotated type."""
    members = typing.get_args(hint)
    if hint is bool:
        return dict(action=_Switch, nargs=0)
    if typing.get_origin(hint) is Literal:
        return dict(choices=members)
    if typing.get_origin(hint) is tuple:
        return dict(action=_Tuple, nargs="*", type=members[0], metavar=_metavar(members[0]))
    if types.NoneType in members:
        return dict(type=_or_none(members[0]), metavar=f"{_metavar(members[0])}|none")
    if members:  # a number, or a tuple of them
        return dict(action=_NumberOrTuple, nargs="+", type=members[0], metavar=_metavar(members[0]))
    return dict(type=hint, metavar=_metavar(hint))


def _or_none(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        return None if text.lower() == "none" else kind(text)

    parse.__name__ = f"{kind.__name__} (or none)"  # argparse's errors show the name
    return parse


def _metavar(kind: type) -> str:
    return kind.__name__.upper()


def _shown(value: Any) -> str:
    """Returns a default value as the user would type it."""
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return {None: "none", "": "''"}.get(value, str(value))


def _as_typed(description: str, fields: Collection[str], prefix: str) -> str:
    """Replaces names of fields in backticks, and None, by what the user of a command types."""

    def option_of(match: re.Match[str]) -> str:
        name = match[1] if "." in match[1] else prefix + match[1]
        return option(name) if "." in match[1] or match[1] in fields else match[0]

    return re.sub(r"\bNone\b", "none", re.sub(r"`([a-z]\w*(?:\.\w+)*)`", option_of, description))


def _field_descriptions(kind: type) -> dict[str, str]:
    """Returns the descriptions in the `Attributes:` sections of a class and its bases, by field."""
    descriptions: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        section = inspect.cleandoc(base.__doc__ or "").partition("\n\nAttributes:")[2].split("\n\n")[0]
        entries = re.findall(r"^  (\w+): (.*(?:\n    .*)*)", section, re.MULTILINE)
        descriptions |= {name: " ".join(text.split()).removesuffix(".") for name, text in entries}
    return descriptions
