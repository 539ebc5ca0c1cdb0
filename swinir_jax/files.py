"""Writing so that nobody ever sees half a file."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from swinir_jax.errors import InputError


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yields a hidden name beside `target`, and renames it to `target` at the end; gone if anything is raised.

    Args:
      target: a file, which may exist, or a folder, which may not (or is empty).

    Raises:
      OSError: if the folder cannot be made or the rename fails.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{secrets.token_hex(8)}{target.suffix}")
    try:
        yield temporary
        os.replace(temporary, target)
    except BaseException:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)
        raise


def cannot_write(target: Path, error: OSError) -> InputError:
    """The error for a target that could not be written."""
    return InputError(f"{target}: cannot be written ({error.strerror or error}).")
