"""Names and formats of the results, chosen before the network runs."""

import dataclasses
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from swinir_jax.cli.inputs import STANDARD_STREAM, Source
from swinir_jax.errors import InputError
from swinir_jax.files import name_hash, shortened
from swinir_jax.images import Header, read_picture
from swinir_jax.images.formats import format_by_name
from swinir_jax.images.targets import LIMITS, WRITABLE, fitting_ending, target_format


@dataclasses.dataclass(frozen=True)
class Goal:
    """Folder or file of the results.

    Attributes:
      path: output folder, or file of the only result.
      is_file: whether `path` is a file.
      is_stream: whether the file is a temporary one for standard output.
      ending: ending that the user chose; None to choose one for each input.
    """

    path: Path
    is_file: bool = False
    is_stream: bool = False
    ending: str | None = None

    @classmethod
    def of(cls, out: str, ending: str | None, spool: Path) -> "Goal":
        """Parses the output option.

        Args:
          out: folder; file, if it ends like a picture and no such folder exists; or `-` for standard output.
          ending: ending of the results; None to choose one for each input.
          spool: folder for the temporary file of standard output.

        Raises:
          InputError: if `out` is empty, or a file in a format that cannot be written or is not that of `ending`.
        """
        path = Path(out)
        if not out:
            raise InputError("The name of --out is empty.")
        if out == STANDARD_STREAM:
            if sys.stdout is None or sys.stdout.isatty():
                raise InputError("standard output: is closed or a terminal; a picture goes into a file or a pipe.")
            ending = ending or ".png"
            return cls(spool / f"result{ending}", is_file=True, is_stream=True, ending=ending)
        if out.endswith(os.sep) or os.path.isdir(path) or format_by_name(path) is None:
            return cls(path, ending=ending)
        if ending and target_format(path) != target_format(ending):
            raise InputError(f"{path}: --format asks for {target_format(ending)}; leave one of the two out.")
        target_format(path)  # raises if the format cannot be written
        return cls(path, is_file=True, ending=path.suffix)

    @property
    def folder(self) -> Path:
        """Folder that must exist before results are written."""
        return self.path.parent if self.is_file else self.path

    def __str__(self) -> str:
        if self.is_stream:
            return "to standard output"
        return f"as {self.path}" if self.is_file else f"in {self.path}{os.sep}"

    def check_count(self, count: int) -> None:
        """Checks the number of pictures.

        Raises:
          InputError: if more than one picture is to be written to one file.
        """
        if self.is_file and count > 1:
            raise InputError(f"{self.path.name}: {count} pictures need a folder, not a file.")


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
    """

    target: Path
    name: str

    @property
    def comparison(self) -> Path:
        """File of the before/after picture."""
        return _comparison(self.target)


def choose_format(
    source: Source, result: Header, size: tuple[int, int] | None, goal: Goal, *, flattened: bool = False
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

    Raises:
      InputError: if the format that the user chose cannot hold alpha, or the result of a named file.
    """
    result = dataclasses.replace(result, has_alpha=result.has_alpha and not flattened)
    wanted = goal.ending or source.place.suffix
    name = WRITABLE.get(wanted.lower())
    if name and goal.ending and result.has_alpha and not LIMITS[name].alpha:
        if read_picture(source.file).is_translucent:
            raise InputError(f"{source.name}: {name} cannot hold alpha; use --background white, or another format.")
        result = dataclasses.replace(result, has_alpha=False)
    fallback = fitting_ending(".png", result)
    if name is None or not (goal.ending or LIMITS[name].lossless):
        return Draft(source, size, fallback, ())
    objection = _objection(name, result, by_rows=size is None, rounding=bool(goal.ending))
    if not objection:
        return Draft(source, size, wanted, ())
    if goal.is_file:
        raise InputError(f"{source.name}: {objection}; choose {fallback}.")
    return Draft(source, size, fallback, (f"written as {fallback}: {objection}",))


def _objection(name: str, result: Header, *, by_rows: bool, rounding: bool) -> str:
    """Explains why a format does not suit a result; empty if it does. `rounding`: whether 16 bits may become 8."""
    limits = LIMITS[name]
    if missing := limits.lacks(result):
        return f"{name} cannot hold {missing}"
    if result.bits > limits.bits and not rounding:
        return f"{name} cannot hold {result.bits} bits per channel"
    if by_rows and not limits.by_rows:
        return f"{name} cannot be written by rows, as results larger than memory are"
    return ""


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
      InputError: if a result would overwrite an input.
    """
    if goal.is_file:
        name = "standard output" if goal.is_stream else str(goal.path)
        jobs = [Job(**vars(draft), target=goal.path, name=name) for draft in drafts]
    else:
        jobs = [_named(draft, level, goal.path) for draft, level in zip(drafts, _levels(drafts, compare), strict=True)]
    inputs = {_identity(source.file) for source in sources} - {None}
    for job in jobs:
        for path in (job.target, job.comparison) if compare else (job.target,):
            if _identity(path) in inputs:
                raise InputError(f"{path}: an input would be overwritten by a result; choose another --out.")
    return jobs


def _named(draft: Draft, level: int, folder: Path) -> Job:
    target = folder / _place(draft, level)
    job = Job(**vars(draft), target=target, name=str(target))
    if job.target.name == _stem(draft, level) + draft.ending:
        return job
    return dataclasses.replace(job, notes=(*job.notes, "the result's name was too long and is shortened"))


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
        return place.stem if format_by_name(place) else place.name
    return place.name + (f"~{name_hash(draft.source.name)[: 8 * (level - 1)]}" if level > 1 else "")


def _comparison(path: Path) -> Path:
    return path.with_name(shortened(f"{path.stem}_compare", ".png"))


def _identity(path: Path) -> tuple[int, int] | None:
    """Returns a key that is equal for all paths of one file; None if the file does not exist."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
