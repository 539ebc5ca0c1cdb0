"""Writing of whole files, and names that file systems accept."""

import contextlib
import hashlib
import os
import secrets
import shutil
import signal
import stat
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from swinir_jax.errors import InputError, UnwritableError

ENDING_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Signals by which a user, a scheduler or a closing terminal ends a process, as far as the system has them."""

NAME_BYTES = 255
"""Longest file name on all common file systems."""


def shortened(name: str, ending: str = "") -> str:
    """Joins a name and an ending; a name too long for a file is cut, and a hash keeps it unique."""
    raw, room = os.fsencode(name), NAME_BYTES - len(os.fsencode(ending))
    if len(raw) <= room:
        return name + ending
    mark = f"~{name_hash(name)[:8]}"
    return raw[: room - len(mark)].decode(errors="ignore") + mark + ending


def companion(target: Path, ending: str) -> Path:
    """Returns a hidden file beside a target, whose short name depends on the target's name and the ending alone."""
    target = Path(os.path.realpath(target))
    return target.with_name(f".{name_hash(target.name)[:16]}{ending}")


def name_hash(name: str) -> str:
    """Returns a hash of a file name, which may hold any bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(os.fsencode(name)).hexdigest()


def file_sha256(path: Path) -> str:
    """Returns the SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path | None]:
    """Yields a new folder, which is removed at the end of the block; None where no temporary file can be made."""
    try:
        folder = tempfile.TemporaryDirectory()
    except OSError:
        yield None
        return
    with folder as name:
        yield Path(name)


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yields a hidden path beside `target`, and renames it to `target` at the end; removes it after an error.

    Args:
      target: file, or folder that does not exist or is empty. If `target` is a link, the file it points to is
        replaced.

    Raises:
      OSError: if the rename fails.
    """
    target = Path(os.path.realpath(target))
    temporary = target.with_name(f".{secrets.token_hex(8)}")
    try:
        yield temporary
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to report
            shutil.rmtree(temporary) if temporary.is_dir() else temporary.unlink()
        raise


@contextlib.contextmanager
def new_file(target: Path) -> Iterator[BinaryIO]:
    """Yields a new file, open for writing and reading, that replaces `target` once it is complete and on the disk.

    A file that exists keeps its permissions.

    Raises:
      UnwritableError: if the file cannot be written; `target` stays as it was.
    """
    try:
        with replacing(target) as temporary, open(temporary, "x+b") as file:
            with contextlib.suppress(OSError):  # there is no earlier file, or the file system has no permissions
                temporary.chmod(stat.S_IMODE(target.stat().st_mode))
            yield file
            file.flush()
            os.fsync(file.fileno())  # otherwise a power cut could leave the new name without content
    except OSError as error:
        raise cannot_write(target, error) from error


def write_bytes(target: Path, data: bytes) -> None:
    """Writes a whole file; raises the error of `new_file`."""
    with new_file(target) as file:
        file.write(data)


def make_folder(folder: Path) -> None:
    """Makes a folder and the folders above it, where they do not exist.

    Raises:
      UnwritableError: if the folder cannot be made or written into, or a file is in the place.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UnwritableError(f"{folder}: cannot be written into.")


def check_new_folder(folder: Path) -> None:
    """Checks that a folder is new, before it is filled; an empty one counts as new.

    Raises:
      InputError: if the folder holds anything, or a file has the name.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: exists; choose a new folder.")


def check_file_target(target: Path) -> None:
    """Checks that a file can be written, before the work; the folder need not exist yet.

    Raises:
      InputError: if the name is too long for the file system, or a folder or device has the name.
    """
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise cannot_write(target, error) from error
    if not stat.S_ISREG(mode):
        raise InputError(f"{target}: cannot be written, a {'folder' if stat.S_ISDIR(mode) else 'device'} is there.")


@contextlib.contextmanager
def holding_interrupts() -> Iterator[None]:
    """Delays Ctrl-C, SIGTERM and SIGHUP until the end of the block, for work that they would leave half done."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread receives signals
        yield
        return
    received: list[int] = []
    old = {number: signal.signal(number, lambda number, frame: received.append(number)) for number in ENDING_SIGNALS}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
    if received:
        signal.raise_signal(received[0])


def cannot_write(target: Path, error: OSError) -> UnwritableError:
    """Returns the error for a target that could not be written."""
    return UnwritableError(f"{target}: cannot be written ({error.strerror or error}).")
