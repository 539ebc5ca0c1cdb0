"""The pictures in a folder."""

import dataclasses
import errno
import os
import stat
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from swinir_jax.errors import InputError, listed
from swinir_jax.images.formats import BEGINNING_BYTES, format_by_name, format_of
from swinir_jax.images.result_folders import is_result_folder

_THREADS = 8  # reading the beginnings of files is mostly waiting, above all on network disks


@dataclasses.dataclass(frozen=True)
class Found:
    """Contents of a folder, without hidden files and folders.

    Attributes:
      pictures: files to read, sorted.
      left_out: files that are not pictures and folders that cannot be opened, sorted.
      subfolders: folders that were not searched, sorted; empty after a recursive search.
    """

    pictures: list[Path]
    left_out: list[Path]
    subfolders: list[Path] = dataclasses.field(default_factory=list)


def describe_left_out(left_out: Sequence[Path]) -> str:
    """Counts and names what was left out: `2 left out, not pictures: a/notes.txt, a/film.mp4`."""
    closed = [path for path in left_out if path.is_dir()]
    others = [path for path in left_out if path not in closed]
    noun = "a picture" if len(others) == 1 else "pictures"
    groups = ((others, f"not {noun}"), (closed, "cannot be opened"))
    return "; ".join(f"{len(group)} left out, {why}: {listed([*map(str, group)])}" for group, why in groups if group)


def find_pictures(
    folder: str | os.PathLike[str], *, recursive: bool, leaves_out: Callable[[Path], bool] = is_result_folder
) -> Found:
    """Finds the pictures in a folder by their content.

    Hidden files and folders are ignored. Links are followed, except a link to a folder that contains the link; a link
    that leads back to itself is left out. A file whose name ends like a picture's counts as a picture even if the
    content is damaged, so that reading the file reports the damage.

    Args:
      folder: folder to search.
      recursive: whether to search the subfolders, too.
      leaves_out: function that tells whether a subfolder is ignored; those of results by default.

    Returns:
      Paths that begin with `folder`.

    Raises:
      InputError: if the folder does not exist or cannot be opened.
    """
    folder = Path(folder)
    try:
        os.listdir(folder)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror if os.path.isdir(folder) else 'no such folder'}.") from error
    files, subfolders = _walk(folder, recursive, leaves_out)
    with ThreadPoolExecutor(_THREADS) as threads:
        verdicts = dict(zip(files, threads.map(is_picture, files), strict=True))
    return Found(
        [file for file, verdict in verdicts.items() if verdict],
        [file for file, verdict in verdicts.items() if not verdict],
        subfolders,
    )


def _walk(folder: Path, recursive: bool, leaves_out: Callable[[Path], bool]) -> tuple[list[Path], list[Path]]:
    """Returns all files, with folders that cannot be opened among them, and the subfolders that were not searched."""
    files: list[Path] = []
    subfolders: list[Path] = []
    pending: list[tuple[Path, frozenset[tuple[int, int]]]] = [(folder, frozenset())]
    while pending:
        place, ancestors = pending.pop()
        try:
            status = place.stat()
            identity = (status.st_dev, status.st_ino)
            if identity in ancestors:
                continue
            entries = [entry for entry in os.scandir(place) if not entry.name.startswith(".")]
        except OSError:
            files.append(place)
            continue
        for entry in entries:
            path = Path(place, entry.name)
            if not _is_folder(entry):
                files.append(path)
            elif leaves_out(path):
                continue
            elif recursive:
                pending.append((path, ancestors | {identity}))
            else:
                subfolders.append(path)
    return sorted(files), sorted(subfolders)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads back to itself, or into a folder that cannot be searched
        return False


def is_picture(file: Path) -> bool:
    """Returns whether a file's name or its first bytes are those of a picture."""
    has_name = format_by_name(file) is not None
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):  # opening a pipe or a device could block
            return False
        if has_name:
            return True
        with open(file, "rb") as opened:
            return format_of(opened.read(BEGINNING_BYTES)) is not None
    except OSError as error:
        # Reading a broken link gives the error that names the link; a link that leads back to itself has no file.
        return has_name and error.errno != errno.ELOOP
