"""The exception that means: what the caller gave cannot be used, and the message says why."""

from collections.abc import Sequence

_PROBLEMS_SHOWN = 3


class InputError(ValueError):
    """A file, option or array from the user cannot be used.

    The message is one line that names the culprit; the commands print it without a traceback and exit with 2.
    """


class NotFiniteError(InputError):
    """A network answered with values that are not finite."""


def first_few(problems: Sequence[str]) -> str:
    """Joins the first problems of many, and says how many more there are."""
    more = len(problems) - _PROBLEMS_SHOWN
    return "; ".join(problems[:_PROBLEMS_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def option(field: str) -> str:
    """A dotted field as it is typed: `optimizer.learning_rate` is `--optimizer.learning-rate`."""
    return f"--{field.replace('_', '-')}"
