"""Names and formats of the results, chosen before the network runs."""

import dataclasses
import os
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from swinir_jax.cli.inputs import STANDARD_STREAM, Inputs, Source
from swinir_jax.errors import InputError, UnwritableError
from swinir_jax.files import make_folder, name_hash, shortened
from swinir_jax.images import Header, read_picture
from swinir_jax.images.formats import format_by_name
from swinir_jax.images.result_folders import COMPARISONS, make_result_folder
from swinir_jax.images.targets import (
    FIRST_ENDINGS,
    LIMITS,
    fitting_ending,
    result_ending,
    result_stem,
    target_format,
)

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
    def of(cls, out: str, ending: str | None, spool: Path) -> "Goal":
        """Parses the output option.

        Args:
          out: folder; file, if it ends like a picture and no such folder exists; or `-` for standard output.
          ending: ending of the results; None to choose one for each input.
          spool: folder for the temporary file of standard output.

        Raises:
          InputError: if `out` is empty, a file in a format that cannot be written or is not that of `ending`, or lies
            below a file.
          UnwritableError: if the folder cannot be written into.
        """
        path = local_path(out)
        if out == STANDARD_STREAM:
            if sys.stdout is None or sys.stdout.isatty():
                raise InputError("standard output: is closed or a terminal; a picture goes into a file or a pipe.")
            ending = ending or ".png"
            return cls(spool / f"result{ending}", is_file=True, is_stream=True, ending=ending)
        is_folder = is_folder_name(out)
        if is_folder or format_by_name(path) is None:
            check_folder(path, _OUT)
            return cls(path, ending=ending, is_doubtful=not is_folder and bool(_FILE_ENDING.fullmatch(path.suffix)))
        if ending and target_format(path) != target_format(ending):
            raise InputError(f"{path}: --format asks for {target_format(ending)}; leave one of the two out.")
        target_format(path)  # raises if the format cannot be written
        check_folder(path.parent, _OUT)
        return cls(path, is_file=True, ending=path.suffix)

    @property
    def folder(self) -> Path:
        """Folder that must exist before results are written."""
        return self.path.parent if self.is_file else self.path

    def make_folder(self, inputs: Inputs, recursive: bool) -> None:
        """Makes the folder; among inputs that are searched with their subfolders, one that a later search leaves out.

        Raises:
          InputError: if the folder cannot be made or written into.
        """
        is_among_inputs = recursive and inputs.surround(self.path)
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


def is_folder_name(out: str) -> bool:
    """Tells whether an output option names a folder whatever the ending of the name."""
    return out.endswith(os.sep) or os.path.isdir(out)


def check_folder(folder: Path, out: str = "a folder") -> None:
    """Refuses a folder that cannot be made or written into, before the work; `out` says what the option takes."""
    place = next((path for path in (folder, *folder.parents) if os.path.lexists(path)), None)
    if place and not os.path.isdir(place):
        raise InputError(f"{place}: is not a folder and cannot be written into; --out takes {out}.")
    if place and not os.access(place, os.W_OK | os.X_OK):
        raise UnwritableError(f"{place}: cannot be written into; choose another --out.")


@dataclasses.dataclass(frozen=True)
class Draft:
    """A picture to restore, before the result has a name.

    Attributes:
      source: picture to restore.
      size: height and width in pixels; None for a picture that does not fit in memory and is restored by rows.
      ending: ending of the result's file.
      notes: short sentences on the choice of the format.
    """

    source: Source
    size: tuple[int, int] | None
    ending: str
    notes: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Job(Draft):
    """A picture to restore and the file of the result.

    Attributes:
      target: file of the result.
      name: name of the result in messages.
      comparison: file of the before/after picture.
    """

    target: Path
    name: str
    comparison: Path


def choose_format(
    source: Source,
    result: Header,
    size: tuple[int, int] | None,
    goal: Goal,
    *,
    flattened: bool = False,
    memory: int | None = None,
) -> Draft:
    """Chooses the format of a result.

    The default is the input's format if it is lossless, else PNG. A result that the format cannot hold becomes PNG, or
    TIFF if it is too large for PNG; a file that the user named is refused instead.

    Args:
      source: picture to restore.
      result: size and kind of the result.
      size: height and width of the input, as in `Draft`.
      goal: output with the user's choice of the format.
      flattened: whether alpha will be put onto a background.
      memory: bytes that reading the picture may take; None for all free memory.

    Raises:
      InputError: if the format that the user chose cannot hold alpha, or the result of a named file.
    """
    result = dataclasses.replace(result, has_alpha=result.has_alpha and not flattened)
    by_rows = size is None
    if goal.ending is None:
        return Draft(source, size, *result_ending(source.place, result, by_rows=by_rows))
    name = target_format(goal.ending)
    if result.has_alpha and not LIMITS[name].alpha:
        if read_picture(source.file, memory=memory).is_translucent:
            raise InputError(f"{source.name}: {name} cannot hold alpha; use --background white, or another format.")
        result = dataclasses.replace(result, has_alpha=False)
    objection = LIMITS[name].objection(name, result, by_rows=by_rows, rounding=True)
    if not objection:
        return Draft(source, size, goal.ending, ())
    fallback = fitting_ending(".png", result)
    if goal.is_file:
        raise InputError(f"{source.name}: {objection}; choose {fallback}.")
    return Draft(source, size, fallback, (f"written as {fallback}: {objection}",))


def assign_targets(
    drafts: Sequence[Draft], goal: Goal, sources: Sequence[Source], *, compare: bool = False
) -> list[Job]:
    """Gives each result a file of its own, the same in every run of the same command.

    A result has the name of the input with the ending of its format. Results of equal names keep the input's ending
    (`a.jpg.png`); if they are still equal, a hash of the input's path is added.

    Args:
      drafts: pictures, at most one if the goal is a file.
      goal: output folder or file.
      sources: inputs, which must not be overwritten.
      compare: whether before/after pictures will be written, too.

    Raises:
      InputError: if a result, or a file of its plain name, is an input, or a result would lie in the folder of
        before/after pictures.
    """
    if goal.is_file:
        name = "standard output" if goal.is_stream else str(goal.path)
        comparison = goal.folder / _comparison(Path(goal.path.name))
        jobs = [Job(**vars(draft), target=goal.path, name=name, comparison=comparison) for draft in drafts]
    else:
        jobs = [_named(draft, level, goal.path) for draft, level in zip(drafts, _levels(drafts, compare), strict=True)]
    inputs = {_identity(source.file) for source in sources} - {None}
    # An input that has the plain name of a result is the result of a former run, or will look like one.
    plain = [] if goal.is_file else [goal.path / _place(draft, 0) for draft in drafts]
    for job in jobs:
        if compare and not goal.is_file and job.source.place.parent.parts[:1] == (COMPARISONS,):
            raise InputError(
                f"{job.target}: would lie among the before/after pictures; leave out --compare, or rename the folder "
                f"{COMPARISONS} of the inputs."
            )
    written = [path for job in jobs for path in ((job.target, job.comparison) if compare else (job.target,))]
    for path in [*written, *plain]:
        if _identity(path) in inputs:
            raise InputError(f"{path}: an input would be overwritten by a result; choose another --out.")
    return jobs


def _named(draft: Draft, level: int, folder: Path) -> Job:
    place = _place(draft, level)
    job = Job(**vars(draft), target=folder / place, name=str(folder / place), comparison=folder / _comparison(place))
    notes = job.notes
    if level:
        notes += (f"written as {job.target.name}, as another result would be {_place(draft, 0).name}, too",)
    if job.target.name != _stem(draft, level) + draft.ending:
        notes += ("the result's name was too long and is shortened",)
    return dataclasses.replace(job, notes=notes)


def _levels(drafts: Sequence[Draft], compare: bool) -> list[int]:
    """Returns the lowest levels of `_stem` at which no two results, and no result and folder, have the same path."""
    levels = [0] * len(drafts)
    while True:
        places = [_place(draft, level) for draft, level in zip(drafts, levels, strict=True)]
        written = [(place, _comparison(place)) if compare else (place,) for place in places]
        count = Counter(path for paths in written for path in paths)
        folders = {folder for place in places for folder in place.parents}
        clashes = [i for i, paths in enumerate(written) if any(count[path] > 1 or path in folders for path in paths)]
        if not clashes:
            return levels
        for i in clashes:
            levels[i] += 1


def _place(draft: Draft, level: int) -> Path:
    return draft.source.place.with_name(shortened(_stem(draft, level), draft.ending))


def _stem(draft: Draft, level: int) -> str:
    """Returns the result's name before the ending: the input's stem, full name, or name and hash, by level."""
    place = draft.source.place
    if level == 0:
        return result_stem(place)
    return place.name + (f"~{name_hash(draft.source.name)[: 8 * (level - 1)]}" if level > 1 else "")


def _comparison(place: Path) -> Path:
    return COMPARISONS / place.with_name(shortened(place.stem, ".png"))


def _identity(path: Path) -> tuple[int, int] | None:
    """Returns a key that is equal for all paths of one file; None if the file does not exist."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
