"""Optional libraries for file formats."""

import importlib
from types import ModuleType

from swinir_jax.errors import InputError


def load_plugin(module: str, format: str) -> ModuleType:
    """Imports the library for a format.

    Raises:
      InputError: if the library is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f"{format} needs a library that is not installed: pip install 'swinir-jax[formats]'"
        ) from error
