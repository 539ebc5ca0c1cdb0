"""Which pictures a command's arguments name."""

import dataclasses
import glob
import logging
import os
import shutil
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from swinir_jax.errors import InputError
from swinir_jax.images.finding import describe_left_out, find_pictures, is_picture
from swinir_jax.images.formats import BEGINNING_BYTES, format_of

logger = logging.getLogger(__name__)

STANDARD_STREAM = "-"


@dataclasses.dataclass(frozen=True)
class Source:
    """A picture to restore.

    Attributes:
      name: as the user knows it, for messages.
      file: where it is read.
      place: where its result lies below the folder of the results, but with the name of the input.
    """

    name: str
    file: Path
    place: Path

    def renamed(self, error: BaseException) -> str:
        """An error's text, with the name in place of that of a copy."""
        return str(error).replace(str(self.file), self.name)


@dataclasses.dataclass
class Inputs:
    """What the arguments name.

    Attributes:
      sources: pictures, each once, in the order of the arguments.
      left_out: of folders and patterns, what is no picture.
      problems: arguments that name no picture, and why.
    """

    sources: list[Source] = dataclasses.field(default_factory=list)
    left_out: list[Path] = dataclasses.field(default_factory=list)
    problems: dict[str, InputError] = dataclasses.field(default_factory=dict)


def find_inputs(arguments: Sequence[str], out: Path, spool: Path, *, recursive: bool = False) -> Inputs:
    """Expands a command's arguments.

    Args:
      arguments: files, folders, glob patterns, pipes, and `-` for standard input.
      out: where the results will lie, which must not be below a folder whose subfolders are searched.
      spool: a folder, into which is copied what can be read only once.
      recursive: whether to descend into subfolders.

    Raises:
      InputError: if there is no picture at all.
    """
    inputs, known = Inputs(), set()
    for argument in dict.fromkeys(arguments):
        try:
            for source in _expand(argument, inputs, out, spool, recursive):
                key = (os.path.realpath(source.file), source.place)
                if key not in known:
                    known.add(key)
                    inputs.sources.append(source)
        except InputError as error:
            inputs.problems[argument] = error
        except OSError as error:
            inputs.problems[argument] = InputError(f"{argument}: {error.strerror or error}")
    inputs.left_out = list(dict.fromkeys(inputs.left_out))
    if not inputs.sources:
        raise InputError("; ".join(map(str, inputs.problems.values())))
    return inputs


def _expand(argument: str, inputs: Inputs, out: Path, spool: Path, recursive: bool) -> Iterator[Source]:
    path = Path(argument)
    if not argument:
        raise InputError("An input's name is empty.")
    if argument == STANDARD_STREAM:
        if sys.stdin is None or sys.stdin.isatty():
            raise InputError("standard input: is closed or a terminal, not a picture.")
        yield _copied(sys.stdin.buffer, "standard input", Path("stdin"), spool)
    elif os.path.isdir(path):
        yield from _in_folder(path, inputs, out, recursive)
    elif os.path.lexists(path):
        yield _file_or_pipe(path, spool)
    elif glob.has_magic(argument):
        yield from _of_pattern(path, inputs)
    else:
        raise InputError(f"{path}: no such file or folder.")


def _in_folder(folder: Path, inputs: Inputs, out: Path, recursive: bool) -> Iterator[Source]:
    place = Path(os.path.realpath(out))
    if recursive and Path(os.path.realpath(folder)) in (place, *place.parents):
        raise InputError(f"{out}: lies in {folder}, whose subfolders are inputs; choose a folder outside.")
    found = find_pictures(folder, recursive=recursive)
    inputs.left_out += found.left_out
    results = _folders_behind_links(found.pictures, folder, place)
    pictures = [file for file in found.pictures if file.parent not in results]
    if not pictures:
        deeper = "" if recursive else " (--recursive looks deeper)"
        others = f"; {describe_left_out(found.left_out)}" if found.left_out else ""
        raise InputError(f"{folder}: no pictures in this folder{deeper}{others}.")
    for file in pictures:
        yield Source(str(file), file, file.relative_to(folder))


def _folders_behind_links(pictures: Sequence[Path], searched: Path, place: Path) -> set[Path]:
    """Folders of pictures that lie where the results go, to which links lead from the folder that is searched."""
    folders = {picture.parent for picture in pictures} - {searched}
    found = {folder for folder in folders if place in ((real := Path(os.path.realpath(folder))), *real.parents)}
    for folder in sorted(found):
        logger.warning("%s: passed over, as the results go there", folder)
    return found


def _of_pattern(pattern: Path, inputs: Inputs) -> Iterator[Source]:
    files = [file for file in map(Path, sorted(_matches(pattern))) if not os.path.isdir(file)]
    pictures = [file for file in files if is_picture(file)]
    inputs.left_out += sorted(set(files) - set(pictures))
    if not pictures:
        raise InputError(f"{pattern}: no picture matches this pattern.")
    for file in pictures:
        yield Source(str(file), file, Path(file.name))


def _file_or_pipe(path: Path, spool: Path) -> Source:
    mode = os.stat(path).st_mode if os.path.exists(path) else stat.S_IFREG  # a broken link is read, for its error
    if stat.S_ISFIFO(mode):
        with open(path, "rb") as pipe:
            return _copied(pipe, str(path), Path(path.name), spool)
    if not stat.S_ISREG(mode):
        raise InputError(f"{path}: neither a file nor a folder nor a pipe.")
    return Source(str(path), path, Path(path.name))


def _copied(stream: BinaryIO, name: str, place: Path, spool: Path) -> Source:
    """Copies what can be read only once; what does not begin as a picture may never end, and is not."""
    beginning = stream.read(BEGINNING_BYTES)
    if format_of(beginning) is None:
        raise InputError(f"{name}: {'not a picture' if beginning else 'is empty'}.")
    file = spool / str(len(os.listdir(spool)))
    with open(file, "xb") as copy:
        copy.write(beginning)
        shutil.copyfileobj(stream, copy)
    return Source(name, file, place)


def _matches(pattern: Path) -> list[str]:
    """Expands a pattern; the folders that it begins with may have brackets in their names."""
    literal = next(folder for folder in pattern.parents if os.path.exists(folder))
    return glob.glob(os.path.join(glob.escape(str(literal)), pattern.relative_to(literal)), recursive=True)
