"""Optional libraries for file formats."""

import importlib
from types import ModuleType

from swinir_jax.errors import missing_package


def load_plugin(module: str, format: str) -> ModuleType:
    """Imports the library for a format.

    Raises:
      InputError: if the library is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise missing_package(f"{format} needs a library that is not installed", "formats") from error
