"""The system's viewer for files and folders."""

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

logger = logging.getLogger(__name__)


def show(path: Path) -> None:
    """Opens a file or a folder in the program that the system has for it, and logs a warning if there is none."""
    if sys.platform == "win32":
        os.startfile(path)
        return
    program = shutil.which("open" if sys.platform == "darwin" else "xdg-open")
    if program is None:
        logger.warning("%s: cannot be opened here, as xdg-open is missing (--open)", path)
        return
    silent = subprocess.DEVNULL
    subprocess.Popen([program, path.resolve()], stdin=silent, stdout=silent, stderr=silent, start_new_session=True)
