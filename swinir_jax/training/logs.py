"""What a run writes down while it goes: metrics.jsonl, TensorBoard's files and pictures."""

import json
import logging
import math
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from swinir_jax.files import make_folder, write_bytes
from swinir_jax.images import Picture, write_picture

logger = logging.getLogger(__name__)

METRICS_FILE = "metrics.jsonl"
PICTURES_FOLDER = "pictures"


def log_folder(workdir: str | os.PathLike[str]) -> Path:
    """Where a run's logs lie: in its folder, or in `runs/` where that is a bucket, whose files cannot be added to."""
    text = os.fspath(workdir)
    return Path("runs", *text.partition("://")[2].strip("/").split("/")) if "://" in text else Path(text)


class Logs:
    """The logs of one run, for the one process that writes them."""

    def __init__(self, folder: Path, start: int):
        """Goes on with the logs of a folder.

        Args:
          folder: made if it is not there.
          start: steps that are done; what an earlier process wrote of later ones is taken back, for they come again.

        Raises:
          InputError: if the folder cannot be written.
        """
        from tensorboardX import SummaryWriter  # here: only one process of a run needs it

        make_folder(folder)
        self._folder = folder
        kept = _lines_up_to(folder / METRICS_FILE, start)
        write_bytes(folder / METRICS_FILE, "".join(kept).encode())
        self._file = open(folder / METRICS_FILE, "a", encoding="utf-8")  # noqa: SIM115, closed by close()
        self._board = SummaryWriter(str(folder), purge_step=start + 1, flush_secs=10)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Adds a line `{"step": step, **values}` and a point to each curve; what is not finite is null in the line."""
        line = {"step": step} | {name: value if math.isfinite(value) else None for name, value in values.items()}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def write_picture(self, step: int, name: str, pixels: np.ndarray) -> None:
        """Keeps a picture, `[h, w, 3]` uint8, as `pictures/NAME/STEP.png` and in TensorBoard."""
        path = self._folder / PICTURES_FOLDER / name / f"{step:08}.png"
        make_folder(path.parent)
        write_picture(path, Picture(pixels))
        self._board.add_image(name, pixels, step, dataformats="HWC")

    def close(self) -> None:
        """Writes what is left."""
        self._file.close()
        self._board.close()


def _lines_up_to(path: Path, step: int) -> list[str]:
    """Whole lines of steps that are done."""
    lines = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True) if path.is_file() else ():
        try:
            done = json.loads(line)["step"] <= step
        except (ValueError, TypeError, KeyError):  # a kill cut it off, or it is not ours
            continue
        if done:
            lines.append(line)
    return lines
