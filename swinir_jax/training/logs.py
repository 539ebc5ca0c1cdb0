"""Logs of a run: metrics.jsonl, TensorBoard files and pictures."""

import contextlib
import json
import logging
import math
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import RecordWriter
from tensorboardX.summary import image, scalar

from swinir_jax.files import make_folder, write_bytes
from swinir_jax.images import Picture, write_picture

logger = logging.getLogger(__name__)

METRICS_FILE = "metrics.jsonl"
PICTURES_FOLDER = "pictures"


def log_folder(workdir: str | os.PathLike[str]) -> Path:
    """Returns the folder of the logs: the workdir, or a folder in `runs/` for buckets, whose files cannot grow."""
    text = os.fspath(workdir)
    return Path("runs", *text.partition("://")[2].strip("/").split("/")) if "://" in text else Path(text)


class Logs:
    """Logs of a run, written by the first process."""

    def __init__(self, folder: Path, start: int):
        """Continues the logs in a folder.

        Args:
          folder: folder of the logs, created if it does not exist.
          start: number of steps done; entries of later steps are removed, because these steps run again.

        Raises:
          InputError: if the folder cannot be written.
        """
        make_folder(folder)
        self._folder = folder
        kept = _lines_up_to(folder / METRICS_FILE, start)
        write_bytes(folder / METRICS_FILE, "".join(kept).encode())
        self._file = open(folder / METRICS_FILE, "a", encoding="utf-8")  # noqa: SIM115, closed by close()
        # SummaryWriter writes in a thread, which ends at a full disk; its later calls would then wait for ever.
        self._board = RecordWriter(str(folder / f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}"))
        purge = Event(step=start + 1, session_log=SessionLog(status=SessionLog.START))  # TensorBoard drops later points
        self._write_events(Event(file_version="brain.Event:2"), purge)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Writes the line `{"step": step, **values}`, with null for infinite or NaN values, and TensorBoard points.

        Raises:
          OSError: if the files cannot be written, as on a full disk.
        """
        line = {"step": step} | {name: value if math.isfinite(value) else None for name, value in values.items()}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        self._write_events(*(Event(step=step, summary=scalar(name, value)) for name, value in values.items()))

    def write_picture(self, step: int, name: str, pixels: np.ndarray) -> None:
        """Writes a picture, `[h, w, 3]` uint8, to `pictures/NAME/STEP.png` and to TensorBoard."""
        path = self._folder / PICTURES_FOLDER / name / f"{step:08}.png"
        make_folder(path.parent)
        write_picture(path, Picture(pixels))
        self._write_events(Event(step=step, summary=image(name, pixels, dataformats="HWC")))

    def close(self) -> None:
        """Closes the files; they hold all entries but one that could not be written."""
        for file in (self._file, self._board):
            with contextlib.suppress(OSError):  # which the writing of that entry has raised
                file.close()

    def _write_events(self, *events: Event) -> None:
        for event in events:
            event.wall_time = time.time()
            self._board.write(event.SerializeToString())
        self._board.flush()


def _lines_up_to(path: Path, step: int) -> list[str]:
    """Returns the complete lines up to a step."""
    lines = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True) if path.is_file() else ():
        try:
            done = json.loads(line)["step"] <= step
        except (ValueError, TypeError, KeyError):  # cut off by a kill, or not a log entry
            continue
        if done:
            lines.append(line)
    return lines
