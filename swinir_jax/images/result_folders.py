"""Folders of results, which a later search of the folder above leaves out."""

import logging
import os
from pathlib import Path

from swinir_jax.files import make_folder, write_bytes

logger = logging.getLogger(__name__)

COMPARISONS = "compare"
"""Name of the folder of before/after pictures in a folder of results."""

_MARK = ".swinir-jax-results"  # hidden file that tells the folder from a user's own of the same name
_MARK_TEXT = b"swinir-jax wrote the pictures in this folder; a search of the folder above leaves them out.\n"


def make_result_folder(folder: Path) -> None:
    """Makes a folder that later searches leave out; a folder that has other contents already stays a user's own.

    Raises:
      InputError: if the folder cannot be made or written into.
    """
    make_folder(folder)
    if not os.listdir(folder):
        write_bytes(folder / _MARK, _MARK_TEXT)


def is_result_folder(folder: Path) -> bool:
    """Returns whether a folder was made by `make_result_folder`, and logs that a search leaves it out."""
    if not os.path.isfile(folder / _MARK):  # False where the folder cannot be searched, too
        return False
    logger.info("%s: left out, as swinir-jax wrote the pictures in it", folder)
    return True
