"""The folder of before/after pictures, which a later search leaves out."""

import logging
from pathlib import Path

from swinir_jax.files import make_folder, write_bytes

logger = logging.getLogger(__name__)

COMPARISONS = "compare"
"""Name of the folder of before/after pictures in a folder of results."""

_MARK = ".before_and_after"  # hidden file that tells the folder from a user's own of the same name
_MARK_TEXT = b"swinir-jax wrote the pictures in this folder; a search of the folder above leaves them out.\n"


def make_comparisons_folder(results: Path) -> None:
    """Makes the folder of before/after pictures in a folder of results; raises the errors of `make_folder`."""
    folder = results / COMPARISONS
    make_folder(folder)
    write_bytes(folder / _MARK, _MARK_TEXT)


def is_comparisons_folder(folder: Path) -> bool:
    """Returns whether a folder was made by `make_comparisons_folder`, and logs that a search leaves it out."""
    if not (folder / _MARK).is_file():
        return False
    logger.info("%s: left out, as it holds before/after pictures", folder)
    return True
