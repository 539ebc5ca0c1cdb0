"""The exception that means: what the caller gave cannot be used, and the message says why."""

import unicodedata
from collections.abc import Sequence


class InputError(ValueError):
    """A file, option or array from the user cannot be used.

    The message is one line that names the culprit; the commands print it without a traceback and exit with 2.
    """


class NotFiniteError(InputError):
    """A network answered with values that are not finite."""


def first_few(problems: Sequence[str], shown: int = 3) -> str:
    """Joins the first problems of many, and says how many more there are."""
    more = len(problems) - shown
    return "; ".join(problems[:shown]) + (f"; and {more} more" if more > 0 else "")


def option(field: str) -> str:
    """A dotted field as it is typed: `optimizer.learning_rate` is `--optimizer.learning-rate`."""
    return f"--{field.replace('_', '-')}"


def printable(text: str) -> str:
    """Makes one line of a text: control characters and bytes of names that are no UTF-8 are escaped as in Python."""
    return "".join(repr(c)[1:-1] if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in text)
