"""Libraries that are installed on request."""

import importlib
from types import ModuleType

from swinir_jax.errors import InputError


def load_plugin(module: str, format: str) -> ModuleType:
    """Imports a library for a format.

    Raises:
      InputError: if it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f"{format} needs a library that is not installed: pip install 'swinir-jax[formats]'"
        ) from error
