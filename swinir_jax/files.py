"""Writing so that nobody ever sees half a file, and names that file systems take."""

import contextlib
import hashlib
import os
import secrets
import shutil
import signal
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

from swinir_jax.errors import InputError

NAME_BYTES = 255
"""How long a file's name may be on all common file systems."""


def shortened(name: str, ending: str = "") -> str:
    """Joins a name and an ending; what would be too long for a file is cut in the name, and a hash tells it apart."""
    raw, room = os.fsencode(name), NAME_BYTES - len(os.fsencode(ending))
    if len(raw) <= room:
        return name + ending
    mark = f"~{name_hash(name)[:8]}"
    return raw[: room - len(mark)].decode(errors="ignore") + mark + ending


def companion(target: Path, ending: str) -> Path:
    """A hidden file beside a target, always under the same short name, however long that of the target is."""
    target = Path(os.path.realpath(target))
    return target.with_name(f".{name_hash(target.name)[:16]}{ending}")


def name_hash(name: str) -> str:
    """64 hexadecimal digits that tell names apart, of whatever bytes they are."""
    return hashlib.sha256(os.fsencode(name)).hexdigest()


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
    temporary = target.with_name(f".{secrets.token_hex(8)}")
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
      InputError: if something else is there, it cannot be made or nothing can be written into it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{folder}: cannot be written into.")


def check_file_target(target: Path) -> None:
    """Tells before the work whether a file can be written; its folder may still have to be made.

    Raises:
      InputError: if the name is too long for the file system, or something that is no file is there.
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
