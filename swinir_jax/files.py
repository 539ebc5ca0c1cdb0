"""Writing so that nobody ever sees half a file."""

import contextlib
import os
import secrets
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

from swinir_jax.errors import InputError


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yields a hidden name beside `target`, and renames it to `target` at the end; gone if anything is raised.

    Args:
      target: a file, which may exist, or a folder, which may not (or is empty). A link stays, and what it points to
        is replaced.

    Raises:
      OSError: if the rename fails.
    """
    target = Path(os.path.realpath(target))
    temporary = target.with_name(f".{secrets.token_hex(8)}{target.suffix}")
    try:
        yield temporary
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            shutil.rmtree(temporary) if temporary.is_dir() else temporary.unlink()
        raise


def write_bytes(target: Path, data: bytes) -> None:
    """Writes a file that is there whole or not at all, even after a power cut.

    Raises:
      InputError: if it cannot be written; nothing is left behind.
    """
    try:
        with replacing(target) as temporary, open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # or a power cut could leave the new name with no content
    except OSError as error:
        raise cannot_write(target, error) from error


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it, if they are not there.

    Raises:
      InputError: if something else is there or it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error


@contextlib.contextmanager
def holding_interrupts() -> Iterator[None]:
    """Lets Ctrl-C take effect only afterwards, for what leaves files behind when it is broken off."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread gets signals
        yield
        return
    received: list[int] = []
    old = signal.signal(signal.SIGINT, lambda number, frame: received.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, old)
    if received:
        raise KeyboardInterrupt


def cannot_write(target: Path, error: OSError) -> InputError:
    """The error for a target that could not be written."""
    return InputError(f"{target}: cannot be written ({error.strerror or error}).")
