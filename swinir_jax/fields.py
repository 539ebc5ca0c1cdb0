"""Checks of the fields of settings; `prefix` is what precedes a field's name in its command-line option."""

import math
import typing
from typing import Any, Literal

from swinir_jax.errors import InputError, option


def check_choices(config: Any, prefix: str) -> None:
    """Raises InputError if a Literal field has another value."""
    for name, hint in typing.get_type_hints(type(config)).items():
        allowed = typing.get_args(hint) if typing.get_origin(hint) is Literal else None
        if allowed and getattr(config, name) not in allowed:
            raise InputError(f"{option(prefix + name)} must be one of {allowed}, got {getattr(config, name)!r}.")


def check_at_least(config: Any, prefix: str, **bounds: int) -> None:
    """Raises InputError if a number is below its bound or not finite."""
    for name, bound in bounds.items():
        value = getattr(config, name)
        if value is not None and not bound <= value < math.inf:
            raise InputError(f"{option(prefix + name)} must be at least {bound}, got {value}.")


def check_positive(config: Any, prefix: str, *names: str) -> None:
    """Raises InputError if a number is not above 0 or not finite."""
    for name in names:
        value = getattr(config, name)
        if value is not None and not 0 < value < math.inf:
            raise InputError(f"{option(prefix + name)} must be above 0, got {value}.")


def check_fractions(config: Any, prefix: str, *names: str) -> None:
    """Raises InputError if a number is not in [0, 1)."""
    for name in names:
        if not 0 <= getattr(config, name) < 1:
            raise InputError(f"{option(prefix + name)} must lie in [0, 1), got {getattr(config, name)}.")
