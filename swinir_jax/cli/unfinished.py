"""Results of a run that was interrupted, which the same command keeps."""

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from swinir_jax.files import name_hash


class Unfinished:
    """Results that a run has written so far, in a hidden file that is removed when the run ends.

    The file's name depends on the settings, so that a run with other settings does not take the results for its own. A
    result counts as long as neither its file nor that of the input has changed.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str]):
        """Reads what an interrupted run has left; a damaged file counts as none.

        Args:
          folder: folder of the results; it need not exist yet.
          settings: everything that results depend on beside the inputs.
        """
        key = name_hash(json.dumps(settings, sort_keys=True))[:16]
        self._file = folder / f".swinir-jax-unfinished-{key}"
        self._known: set[str] = set()
        with contextlib.suppress(OSError, ValueError):
            self._known = set(self._file.read_text().splitlines())

    def holds(self, source: Path, result: Path) -> bool:
        """Returns whether the interrupted run wrote the result of a picture."""
        with contextlib.suppress(OSError):
            return _line(source, result) in self._known
        return False

    def add(self, source: Path, result: Path) -> None:
        """Notes a result; where that is impossible, the same command would restore the picture again."""
        with contextlib.suppress(OSError), open(self._file, "a") as file:
            file.write(_line(source, result) + "\n")

    def end(self) -> None:
        """Removes the file, because the run has ended."""
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)


def _line(source: Path, result: Path) -> str:
    """Returns one line on the paths, sizes and times of change of both files."""
    facts = []
    for path in (source, result):
        status = path.stat()
        facts += [os.path.realpath(path), status.st_size, status.st_mtime_ns]
    return json.dumps(facts)
