"""Folders of the user's caches."""

from pathlib import Path

import platformdirs

from swinir_jax.errors import InputError


def user_cache(kind: str) -> Path:
    """Returns the folder of one cache: "weights", "compiled" or "npm"; it need not exist.

    Raises:
      InputError: if the user has no home folder, and XDG_CACHE_HOME is not set.
    """
    try:
        return platformdirs.user_cache_path("swinir_jax") / kind
    except RuntimeError as error:
        raise InputError("no home folder is known for caches; set XDG_CACHE_HOME, or HOME, to a folder.") from error
