"""Lock that limits a workdir to one training at a time."""

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
    """Holds the folder of a run during training, for all processes of the run together; all must call this.

    The first process locks `training.lock` and writes its identity into the file. The lock ends with the process. On a
    file system without locks, the identity decides: it is void if its process no longer runs on this host. Reading a
    run needs no lock. In a bucket, nothing prevents a second training.

    Raises:
      InputError: if another training holds the folder, or the lock file cannot be written.
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
    """Locks a file, and keeps the identity of this process in it while it is locked."""
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
            with contextlib.suppress(OSError):  # the training is over, even if the disk is lost
                file.truncate(0)  # the file stays, because another process may have opened it


def _take_over(file: TextIO, path: Path) -> None:
    """Makes this process the holder; raises InputError if there is another."""
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
    """Locks a file; returns False without support for locks, raises BlockingIOError if another process has the lock."""
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
    """Reads the identity of the present or last holder; empty if there is none."""
    try:
        file.seek(0)
        holder = json.load(file)
    except ValueError:  # empty or incomplete
        return {}
    return holder if isinstance(holder, dict) else {}


def _may_be_alive(holder: dict[str, Any]) -> bool:
    """Tells whether a holder runs on this host, or may run on another."""
    pid = holder.get("process")
    if fcntl is None or holder.get("host") != socket.gethostname() or not isinstance(pid, int):
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # the process of another user
        pass
    return _start_of(pid) == holder.get("started")  # otherwise a new process has the same number


def _start_of(pid: int) -> str:
    """Returns the start time of a process in the kernel's clock ticks; empty if the system has no /proc."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _refusal(path: Path, holder: dict[str, Any]) -> str:
    who = "process {process} on {host}, since {since}".format_map({"process": "?", "host": "?", "since": "?"} | holder)
    return f"{path.parent}: another training holds this folder ({who}). Stop it first, or name a new --workdir."
