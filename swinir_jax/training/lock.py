"""One training in a folder at a time."""

import contextlib
import datetime
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from swinir_jax.checkpoints.run import run_folder
from swinir_jax.errors import InputError
from swinir_jax.files import cannot_write
from swinir_jax.training.agreement import from_first_process

try:
    import fcntl
except ModuleNotFoundError:  # not a Unix
    fcntl = None  # type: ignore[assignment]

LOCK_FILE = "training.lock"


@contextlib.contextmanager
def held(workdir: str | os.PathLike[str]) -> Iterator[None]:
    """Holds the folder of a run while training; all processes of a run call this alike, and hold it together.

    The first process keeps `training.lock` locked, which ends with the process whatever ends it, and notes in it who
    holds the folder. Where the file system knows no locks, the note decides: it counts for nothing where its process is
    gone from this host. Reading a run needs no lock. Buckets have none: there nothing keeps two trainings apart.

    Raises:
      InputError: if another training holds the folder, or it cannot be written.
    """
    with contextlib.ExitStack() as stack:

        def acquire() -> float:
            if "://" not in os.fspath(workdir):
                stack.enter_context(_locked(Path(run_folder(workdir)) / LOCK_FILE))
            return 0

        from_first_process(acquire, (InputError,))
        yield


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Locks a file, and notes the holder in it as long as it is locked."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115, closed below
    except OSError as error:
        raise cannot_write(path, error) from error
    with file:
        _take_over(file, path)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # a lost disk is no reason to fail now
                file.truncate(0)  # not removed: another process may have opened it already


def _take_over(file: TextIO, path: Path) -> None:
    """Makes this process the holder, unless there is another."""
    try:
        holder = _read_holder(file)
        try:
            locked = _lock(file)
        except BlockingIOError as error:
            raise InputError(_refusal(path, holder)) from error
        if not locked and holder and _may_be_alive(holder):
            raise InputError(f"{_refusal(path, holder)} If that process is gone, remove {path}.")
        file.truncate(0)
        json.dump(_this_process(), file)
        file.flush()
    except OSError as error:
        raise cannot_write(path, error) from error


def _lock(file: TextIO) -> bool:
    """Whether the file is locked now, which not every file system knows; BlockingIOError if another process has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except (OSError, AttributeError):
        return False
    return True


def _this_process() -> dict[str, Any]:
    now = datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    pid = os.getpid()
    return {"host": socket.gethostname(), "process": pid, "since": now, "started": _start_of(pid)}


def _read_holder(file: TextIO) -> dict[str, Any]:
    """The note of who holds or held the folder; empty if there is none."""
    try:
        file.seek(0)
        holder = json.load(file)
    except ValueError:  # nothing there, or half of it as yet
        return {}
    return holder if isinstance(holder, dict) else {}


def _may_be_alive(holder: dict[str, Any]) -> bool:
    """Whether the process of a note runs, or is of a host that cannot be asked."""
    pid = holder.get("process")
    if fcntl is None or holder.get("host") != socket.gethostname() or not isinstance(pid, int):
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        pass
    return _start_of(pid) == holder.get("started")  # or the number has gone to another process


def _start_of(pid: int) -> str:
    """When a process began, in the kernel's own count; empty where the system does not tell."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _refusal(path: Path, holder: dict[str, Any]) -> str:
    who = "process {process} on {host}, since {since}".format_map({"process": "?", "host": "?", "since": "?"} | holder)
    return f"{path.parent}: another training holds this folder ({who}). Stop it first, or name a new --workdir."
