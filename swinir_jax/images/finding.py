"""The pictures of a folder."""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from swinir_jax.errors import InputError
from swinir_jax.images.formats import BEGINNING_BYTES, format_by_name, format_of

_THREADS = 8  # opening files is waiting, above all on network disks
_NAMES_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class Found:
    """What a folder holds.

    Attributes:
      pictures: files to read, sorted.
      left_out: everything else that is not hidden: files that are no pictures and folders that cannot be opened.
    """

    pictures: list[Path]
    left_out: list[Path]


def describe_left_out(left_out: Sequence[Path]) -> str:
    """Counts and names what was left out: `2 left out, no pictures: a/notes.txt, a/film.mp4`."""
    names = ", ".join(map(str, left_out[:_NAMES_SHOWN])) + (", ..." if len(left_out) > _NAMES_SHOWN else "")
    return f"{len(left_out)} left out, no {'picture' if len(left_out) == 1 else 'pictures'}: {names}"


def find_pictures(folder: str | os.PathLike[str], *, recursive: bool) -> Found:
    """Finds the pictures of a folder, by their content.

    Hidden files and folders are passed over. Links are followed; a link to a folder that it lies in is not, so that
    circles end. A file with a picture's ending counts as one whatever it holds, so that reading it tells what is wrong.

    Args:
      folder: where to look.
      recursive: whether to look in the folders below, too.

    Returns:
      Paths that begin with `folder`, sorted.

    Raises:
      InputError: if the folder does not exist or cannot be opened.
    """
    folder = Path(folder)
    try:
        os.listdir(folder)
    except OSError as error:
        raise InputError(f"{folder}: {'no such folder' if not folder.is_dir() else error.strerror}.") from error
    files = sorted(_files(folder, recursive))
    with ThreadPoolExecutor(_THREADS) as threads:
        verdicts = list(threads.map(is_picture, files))
    pictures = [file for file, verdict in zip(files, verdicts, strict=True) if verdict]
    return Found(pictures, [file for file, verdict in zip(files, verdicts, strict=True) if not verdict])


def _files(folder: Path, recursive: bool) -> Iterator[Path]:
    """All that is not hidden and is no folder, and folders that cannot be opened."""
    pending: list[tuple[Path, frozenset[tuple[int, int]]]] = [(folder, frozenset())]
    while pending:
        place, above = pending.pop()
        try:
            status = place.stat()
            identity = (status.st_dev, status.st_ino)
            if identity in above:
                continue
            entries = [entry for entry in os.scandir(place) if not entry.name.startswith(".")]
        except OSError:
            yield place
            continue
        for entry in entries:
            if not entry.is_dir():
                yield Path(place, entry.name)
            elif recursive:
                pending.append((Path(place, entry.name), above | {identity}))


def is_picture(file: Path) -> bool:
    """Whether a file is one to read: by its name, or else by how it begins."""
    if format_by_name(file):
        return file.is_file() or not file.exists()  # a broken link is read, for the error that names it
    try:
        if not file.is_file():  # pipes and devices are not opened
            return False
        with open(file, "rb") as opened:
            return format_of(opened.read(BEGINNING_BYTES)) is not None
    except OSError:
        return False
