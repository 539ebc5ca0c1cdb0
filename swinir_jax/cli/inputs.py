"""The pictures that a command's arguments name."""

import dataclasses
import glob
import itertools
import logging
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from swinir_jax.errors import InputError
from swinir_jax.images.finding import describe_left_out, find_pictures, is_picture
from swinir_jax.images.formats import BEGINNING_BYTES, format_of
from swinir_jax.images.result_folders import is_result_folder

logger = logging.getLogger(__name__)

STANDARD_STREAM = "-"
_MOST_WORDS = 8  # in a name that lacks quotes


@dataclasses.dataclass(frozen=True)
class Source:
    """A picture to restore.

    Attributes:
      name: the picture's name in messages, as the user wrote it.
      file: file to read.
      relative: path below the folder that was searched, else the file name; that of the result below the output folder.
    """

    name: str
    file: Path
    relative: Path

    def renamed(self, error: BaseException) -> str:
        """Returns an error's text with the picture's name in place of the name of a temporary copy."""
        if isinstance(error, MemoryError):
            return f"{self.name}: not enough memory"
        return str(error).replace(str(self.file), self.name)


@dataclasses.dataclass
class Inputs:
    """The pictures that arguments name.

    Attributes:
      sources: pictures, each once, in the order of the arguments.
      left_out: files in folders and patterns that are not pictures.
      subfolders: folders in folders that were not searched.
      problems: arguments that name no picture, with the reasons.
    """

    sources: list[Source] = dataclasses.field(default_factory=list)
    left_out: list[Path] = dataclasses.field(default_factory=list)
    subfolders: list[Path] = dataclasses.field(default_factory=list)
    problems: dict[str, InputError] = dataclasses.field(default_factory=dict)

    def surrounds(self, folder: Path) -> bool:
        """Returns whether a folder lies below one that was searched, or that holds a picture."""
        searched = {source.file.parents[len(source.relative.parts) - 1] for source in self.sources}
        return any(_resolved(folder).is_relative_to(_resolved(place)) for place in searched)

    def describe_others(self) -> list[str]:
        """Counts the files that are not pictures, and the folders that were not searched."""
        files = [describe_left_out(self.left_out)] if self.left_out else []
        return files + ([_describe_subfolders(self.subfolders)] if self.subfolders else [])


def _describe_subfolders(subfolders: Sequence[Path]) -> str:
    """Counts folders that were not searched: `2 subfolders left out (--recursive takes them)`."""
    if len(subfolders) == 1:
        return "1 subfolder left out (--recursive takes it)"
    return f"{len(subfolders)} subfolders left out (--recursive takes them)"


def find_inputs(arguments: Sequence[str], out: Path, spool: Path | None, *, recursive: bool = False) -> Inputs:
    """Finds the pictures that arguments name.

    Args:
      arguments: files, folders, glob patterns, pipes, and `-` for standard input.
      out: output folder; its pictures are left out of searched folders that it lies in.
      spool: folder for copies of pictures that can be read only once; None if there is none.
      recursive: whether to search subfolders, too.

    Raises:
      InputError: if no argument names a picture, or a shell has divided a name at spaces.
    """
    try:
        _resolved(out)
    except FileNotFoundError as error:  # of a relative path
        raise InputError("The current folder does not exist any more; change to another one.") from error
    inputs, known = Inputs(), set()
    for argument in dict.fromkeys(arguments):
        try:
            for source in _expand(argument, inputs, out, spool, recursive):
                key = (os.path.realpath(source.file), source.relative)
                if key not in known:
                    known.add(key)
                    inputs.sources.append(source)
        except InputError as error:
            inputs.problems[argument] = error
        except OSError as error:
            inputs.problems[argument] = InputError(f"{argument}: {error.strerror or error}")
    inputs.left_out = list(dict.fromkeys(inputs.left_out))
    searched = {os.path.realpath(argument) for argument in arguments}
    inputs.subfolders = [path for path in dict.fromkeys(inputs.subfolders) if os.path.realpath(path) not in searched]
    if spaced := _name_with_spaces(arguments):
        raise InputError(f"{spaced}: a name with spaces needs quotes: '{spaced}'.")
    if not inputs.sources:
        raise InputError("; ".join(map(str, inputs.problems.values())))
    return inputs


def _name_with_spaces(arguments: Sequence[str]) -> str | None:
    """Returns the name of a file or folder that a shell has divided at spaces into arguments which do not exist."""
    for is_there, parts in itertools.groupby(arguments, os.path.lexists):
        words = [] if is_there else [*parts]
        for begin, count in itertools.product(range(len(words)), range(2, _MOST_WORDS + 1)):
            if os.path.exists(name := " ".join(words[begin : begin + count])):
                return name
    return None


def _expand(argument: str, inputs: Inputs, out: Path, spool: Path | None, recursive: bool) -> Iterator[Source]:
    path = Path(argument)
    if not argument:
        raise InputError("An input's name is empty.")
    if argument == STANDARD_STREAM:
        if sys.stdin is None or sys.stdin.isatty():
            raise InputError("standard input: is closed or a terminal, not a picture.")
        yield _copied(sys.stdin.buffer, "standard input", Path("stdin"), spool)
    elif os.path.isdir(path):
        yield from _in_folder(path, inputs, out, recursive)
    elif _is_there(path):
        yield _file_or_pipe(path, spool)
    elif glob.has_magic(argument):
        yield from _matching(argument, inputs, out, recursive)
    else:
        raise InputError(f"{argument}: no such file or folder.")


def _is_there(path: Path) -> bool:
    """Returns whether a file or link has the name; raises PermissionError where the folder does not tell."""
    try:
        os.lstat(path)
    except PermissionError:
        raise
    except (OSError, ValueError):
        return False
    return True


def _in_folder(folder: Path, inputs: Inputs, out: Path, recursive: bool) -> list[Source]:
    inside = Inputs()
    sources = _search(folder, inside, out, recursive)
    inputs.left_out += inside.left_out
    inputs.subfolders += inside.subfolders
    if not sources:
        raise InputError("; ".join([f"{folder}: no pictures in this folder", *inside.describe_others()]) + ".")
    return sources


def _search(folder: Path, inputs: Inputs, out: Path, recursive: bool) -> list[Source]:
    """Returns the pictures in a folder, and adds other contents to `inputs`."""
    if _resolved(out) == _resolved(folder):
        raise InputError(f"{out}: its pictures are inputs; choose another folder for the results (--out).")
    found = find_pictures(folder, recursive=recursive, leaves_out=_leaves_out(folder, out))
    inputs.left_out += found.left_out
    inputs.subfolders += found.subfolders
    return [Source(str(file), file, file.relative_to(folder)) for file in found.pictures]


def _leaves_out(searched: Path, out: Path) -> Callable[[Path], bool]:
    """Returns a function that tells whether a folder found below `searched` holds results, and logs so.

    Folders below the output folder count, too, as links can lead there, unless the user names a folder below it.
    """
    results = _resolved(out)
    is_named = _resolved(searched).is_relative_to(results)

    def leaves_out(folder: Path) -> bool:
        if is_result_folder(folder):
            return True
        if is_named or not _resolved(folder).is_relative_to(results):
            return False
        logger.info("%s: left out, as the results are written there", folder)
        return True

    return leaves_out


def _matching(pattern: str, inputs: Inputs, out: Path, recursive: bool) -> list[Source]:
    """Returns the pictures that match a pattern, and those below matching folders if the search is recursive."""
    matches = _matches(Path(pattern), out)
    files = [path for path in matches if not os.path.isdir(path)]
    pictures = [file for file in files if is_picture(file)]
    inputs.left_out += sorted(set(files) - set(pictures))
    sources = [Source(str(file), file, Path(file.name)) for file in pictures]
    searched = {path.parent for path in matches}  # ** matches the contents of folders, too
    folders = sorted(set(matches) - set(files) - searched)
    if recursive:
        for folder in folders:
            if os.access(folder, os.R_OK | os.X_OK):
                found = _search(folder, inputs, out, recursive)
                sources += [dataclasses.replace(source, relative=folder.name / source.relative) for source in found]
            else:
                inputs.left_out.append(folder)
    else:
        inputs.subfolders += folders
    if not sources:
        others = f"; {_describe_subfolders(folders)}" if folders and not recursive else ""
        raise InputError(f"{pattern}: no picture matches this pattern{others}.")
    return sources


def _file_or_pipe(path: Path, spool: Path | None) -> Source:
    # Reading a broken link gives the error that names the link.
    mode = os.stat(path).st_mode if os.path.exists(path) else stat.S_IFREG
    if stat.S_ISFIFO(mode):
        with open(path, "rb") as pipe:
            return _copied(pipe, str(path), Path(path.name), spool)
    if not stat.S_ISREG(mode):
        raise InputError(f"{path}: neither a file nor a folder nor a pipe.")
    return Source(str(path), path, Path(path.name))


def _copied(stream: BinaryIO, name: str, relative: Path, spool: Path | None) -> Source:
    """Copies a picture that can be read only once; refuses other streams first, as they may never end."""
    if spool is None:
        raise no_scratch(name)
    beginning = stream.read(BEGINNING_BYTES)
    if format_of(beginning) is None:
        raise InputError(f"{name}: {'not a picture' if beginning else 'is empty'}.")
    file = spool / str(len(os.listdir(spool)))
    with open(file, "xb") as copy:
        copy.write(beginning)
        shutil.copyfileobj(stream, copy)
    return Source(name, file, relative)


def no_scratch(name: str) -> InputError:
    """Returns the error for a stream whose picture needs a temporary file where none can be made."""
    return InputError(f"{name}: needs a temporary file, and no folder takes one; set TMPDIR to a folder that does.")


def _matches(pattern: Path, out: Path) -> list[Path]:
    """Expands a pattern to sorted paths, without those in folders of results that it does not name.

    Brackets are taken literally in the names of the existing folders that the pattern begins with.
    """
    literal = next(folder for folder in pattern.parents if os.path.exists(folder))
    found = glob.glob(os.path.join(glob.escape(str(literal)), pattern.relative_to(literal)), recursive=True)
    matches = [*map(Path, sorted(found))]
    folders = {folder for path in matches for folder in (path, *path.parents)} - {literal, *literal.parents}
    left_out = {*filter(_leaves_out(literal, out), sorted(filter(os.path.isdir, folders)))}
    return [path for path in matches if left_out.isdisjoint((path, *path.parents))]


def _resolved(path: Path) -> Path:
    return Path(os.path.realpath(path))
