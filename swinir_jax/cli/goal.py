"""The place of results, as --out names it."""

import dataclasses
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from swinir_jax.cli.inputs import STANDARD_STREAM, Inputs, no_scratch
from swinir_jax.errors import InputError, UnwritableError
from swinir_jax.files import make_folder
from swinir_jax.images.formats import format_by_name
from swinir_jax.images.result_folders import make_result_folder
from swinir_jax.images.targets import FIRST_ENDINGS, target_format

_OUT = f"a folder, the name of a picture to write, or {STANDARD_STREAM} for standard output"
_FILE_ENDING = re.compile(r"\.[a-z0-9]{1,5}", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Goal:
    """Folder or file of the results.

    Attributes:
      path: output folder, or file of the only result.
      is_file: whether `path` is a file.
      is_stream: whether the file is a temporary one for standard output.
      ending: ending that the user chose; None to choose one for each input.
      is_doubtful: whether `path` is a new folder whose name ends like that of a file.
    """

    path: Path
    is_file: bool = False
    is_stream: bool = False
    ending: str | None = None
    is_doubtful: bool = False

    @classmethod
    def of(cls, out: str, ending: str | None, spool: Path | None) -> "Goal":
        """Parses the output option.

        Args:
          out: folder; file, if it ends like a picture and no such folder exists; or `-` for standard output.
          ending: ending of the results; None to choose one for each input.
          spool: folder for the temporary file of standard output; None if there is none.

        Raises:
          InputError: if `out` is empty, a file in a format that cannot be written or is not that of `ending`, or lies
            below a file.
          UnwritableError: if the folder cannot be written into.
        """
        path = local_path(out)
        if out == STANDARD_STREAM:
            if sys.stdout is None or sys.stdout.isatty():
                raise InputError("standard output: is closed or a terminal; a picture goes into a file or a pipe.")
            if spool is None:
                raise no_scratch("standard output")
            ending = ending or ".png"
            return cls(spool / f"result{ending}", is_file=True, is_stream=True, ending=ending)
        if not _names_picture(out):
            _check_folder(path, _OUT)
            is_doubtful = not _is_folder_name(out) and bool(_FILE_ENDING.fullmatch(path.suffix))
            return cls(path, ending=ending, is_doubtful=is_doubtful)
        if ending and target_format(path) != target_format(ending):
            raise InputError(f"{path}: --format asks for {target_format(ending)}; leave one of the two out.")
        target_format(path)  # raises if the format cannot be written
        _check_folder(path.parent, _OUT)
        return cls(path, is_file=True, ending=path.suffix)

    @classmethod
    def of_folder(cls, out: str, content: str) -> "Goal":
        """Parses the output option of a command that always writes into a folder.

        Args:
          out: folder.
          content: what the folder is for, for the message.

        Raises:
          InputError: if `out` is empty, names a file or standard output, or lies below a file.
          UnwritableError: if the folder cannot be written into.
        """
        path = local_path(out)
        if out == STANDARD_STREAM or _names_picture(out):
            raise InputError(f"{out}: {content} go into a folder, not into a file.")
        _check_folder(path, "a folder")
        return cls(path)

    @property
    def folder(self) -> Path:
        """Folder that must exist before results are written."""
        return self.path.parent if self.is_file else self.path

    def make_folder(self, inputs: Inputs, recursive: bool) -> None:
        """Makes the folder; among inputs that are searched with their subfolders, one that a later search leaves out.

        Raises:
          InputError: if the folder cannot be made or written into.
        """
        is_among_inputs = recursive and inputs.surrounds(self.path)
        (make_result_folder if is_among_inputs else make_folder)(self.folder)

    def __str__(self) -> str:
        if self.is_stream:
            return "to standard output"
        return f"as {self.path}" if self.is_file else f"in {self.path}{os.sep}"

    def check_inputs(self, inputs: Sequence[str], count: int) -> None:
        """Checks that the goal suits the inputs.

        Args:
          inputs: files, folders and patterns, as the user named them.
          count: number of pictures that these name.

        Raises:
          InputError: if more than one picture is to be written to one file, or a single picture to a new folder whose
            name looks like that of a file.
        """
        if self.is_file and count > 1:
            raise InputError(f"{self.path.name}: {count} pictures need a folder, not a file.")
        if self.is_doubtful and count == len(inputs) == 1 and not os.path.isdir(inputs[0]):
            raise InputError(
                f"{self.path}: no picture is written as {self.path.suffix}; use one of {', '.join(FIRST_ENDINGS)}, or "
                f"name a folder as {self.path}{os.sep}."
            )


def local_path(out: str) -> Path:
    """Returns the path that an output option names; raises InputError if it is empty or an address."""
    if not out:
        raise InputError("The name of --out is empty.")
    if "://" in out:
        raise InputError(f"{out}: results are written into local folders, not to an address.")
    return Path(out)


def _is_folder_name(out: str) -> bool:
    """Tells whether an output option names a folder whatever the ending of the name."""
    return out.endswith(os.sep) or os.path.isdir(out)


def _names_picture(out: str) -> bool:
    return format_by_name(Path(out)) is not None and not _is_folder_name(out)


def _check_folder(folder: Path, out: str) -> None:
    """Refuses a folder that cannot be made or written into, before the work; `out` says what the option takes."""
    place = next((path for path in (folder, *folder.parents) if os.path.lexists(path)), None)
    if place and not os.path.isdir(place):
        raise InputError(f"{place}: is not a folder and cannot be written into; --out takes {out}.")
    if place and not os.access(place, os.W_OK | os.X_OK):
        raise UnwritableError(f"{place}: cannot be written into; choose another --out.")
