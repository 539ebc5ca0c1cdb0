"""Where each result goes, and in which format: all that can be told before the network runs."""

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

_BY_ROWS = ("PNG", "TIFF")  # formats that grow from the top


@dataclasses.dataclass(frozen=True)
class Goal:
    """Where the results go.

    Attributes:
      path: their folder, or the file of the only one.
      is_file: which of them.
      is_stream: whether the file is a temporary one, for standard output.
      ending: of the files, chosen by the user; None for one that suits each input.
    """

    path: Path
    is_file: bool = False
    is_stream: bool = False
    ending: str | None = None

    @classmethod
    def of(cls, out: str, ending: str | None, spool: Path) -> "Goal":
        """Tells folders from files.

        Args:
          out: a folder; a file, if the ending is that of pictures and no such folder exists; `-` for standard output.
          ending: of the results, None for any.
          spool: a folder for what goes to standard output.

        Raises:
          InputError: if `out` is empty, a kind of picture that cannot be written or another one than `ending`.
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
            raise InputError(f"{path}: --format asks for {target_format(ending)}; leave one of them out.")
        target_format(path)  # or there is no way to write it
        return cls(path, is_file=True, ending=path.suffix)

    @property
    def folder(self) -> Path:
        """That has to be there."""
        return self.path.parent if self.is_file else self.path

    def __str__(self) -> str:
        if self.is_stream:
            return "to standard output"
        return f"as {self.path}" if self.is_file else f"in {self.path}{os.sep}"

    def check_count(self, count: int) -> None:
        """Refuses one file for more than one picture.

        Raises:
          InputError: if there are too many.
        """
        if self.is_file and count > 1:
            raise InputError(f"{self.path.name}: {count} pictures need a folder, not a file.")


@dataclasses.dataclass(frozen=True)
class Draft:
    """A picture to restore, before its result has a name.

    Attributes:
      source: the picture.
      size: its height and width in pixels; None if it is larger than the memory, and restored by rows.
      ending: of the result's file.
      notes: what was decided, one short sentence each.
    """

    source: Source
    size: tuple[int, int] | None
    ending: str
    notes: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Job(Draft):
    """A picture to restore, and the file that the result is written to.

    Attributes:
      target: the file.
      name: of the file, for messages.
    """

    target: Path
    name: str

    @property
    def comparison(self) -> Path:
        """Where the before/after picture goes."""
        return _comparison(self.target)


def choose_format(
    source: Source, result: Header, size: tuple[int, int] | None, goal: Goal, *, flattened: bool = False
) -> Draft:
    """Chooses the format of a result.

    Where the user did not choose, it is the input's if that can be written without loss, else PNG. What the format
    cannot hold becomes PNG, or TIFF where that is too small; but a file that the user named is of the kind the name
    says, and alpha is not given up unasked.

    Args:
      source: the picture.
      result: what the result is like.
      size: as in a `Draft`.
      goal: with the user's choice.
      flattened: whether alpha will be put onto a background.

    Raises:
      InputError: if the result has no place in the chosen format.
    """
    result = dataclasses.replace(result, has_alpha=result.has_alpha and not flattened)
    wanted = goal.ending or source.place.suffix
    name = WRITABLE.get(wanted.lower())
    if name and goal.ending and result.has_alpha and not LIMITS[name].alpha:
        if read_picture(source.file).is_translucent:
            raise InputError(f"{source.name}: {name} cannot hold alpha; take --background white, or another format.")
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
    """Why a result is not written in a format; empty if it can be. Deep pictures are if they may be rounded."""
    limits = LIMITS[name]
    if missing := limits.lacks(result):
        return f"{name} cannot hold {missing}"
    if result.bits > limits.bits and not rounding:
        return f"{name} cannot hold {result.bits} bits a channel"
    if by_rows and name not in _BY_ROWS:
        return f"{name} is not written by rows, as what is larger than the memory is"
    return ""


def assign_targets(
    drafts: Sequence[Draft], goal: Goal, sources: Sequence[Source], *, compare: bool = False
) -> list[Job]:
    """Gives each result a file of its own, the same in each run of the same command.

    A result is called as its input, with the ending of its format. Of those that would meet, each keeps the input's
    ending in its name (`a.jpg.png`); if they still meet, a hash of the input's path is added.

    Args:
      drafts: pictures, at most one if the goal is a file.
      goal: where to.
      sources: what must not be overwritten.
      compare: whether before/after pictures will be written, too.

    Raises:
      InputError: if a result would overwrite an input.
    """
    if goal.is_file:
        name = "standard output" if goal.is_stream else str(goal.path)
        jobs = [Job(**vars(item), target=goal.path, name=name) for item in drafts]
    else:
        jobs = [_named(item, level, goal.path) for item, level in zip(drafts, _levels(drafts, compare), strict=True)]
    inputs = {_identity(source.file) for source in sources} - {None}
    for job in jobs:
        for path in (job.target, job.comparison) if compare else (job.target,):
            if _identity(path) in inputs:
                raise InputError(f"{path}: an input would be overwritten by a result; choose another --out.")
    return jobs


def _named(item: Draft, level: int, folder: Path) -> Job:
    target = folder / _place(item, level)
    job = Job(**vars(item), target=target, name=str(target))
    if job.target.name == _stem(item, level) + item.ending:
        return job
    return dataclasses.replace(job, notes=(*job.notes, "its name was too long and is shortened"))


def _levels(drafts: Sequence[Draft], compare: bool) -> list[int]:
    """How much of each input's name is needed so that no two results meet, and none is another one's folder."""
    levels = [0] * len(drafts)
    while True:
        places = [_place(item, level) for item, level in zip(drafts, levels, strict=True)]
        written = [(place, _comparison(place)) if compare else (place,) for place in places]
        count = Counter(path for paths in written for path in paths)
        folders = {folder for place in places for folder in place.parents}
        meeting = [i for i, paths in enumerate(written) if any(count[path] > 1 or path in folders for path in paths)]
        if not meeting:
            return levels
        for i in meeting:
            levels[i] += 1


def _place(item: Draft, level: int) -> Path:
    return item.source.place.with_name(shortened(_stem(item, level), item.ending))


def _stem(item: Draft, level: int) -> str:
    """The name before the ending; each level tells more names apart than the one before."""
    place = item.source.place
    if level == 0:
        return place.stem if format_by_name(place) else place.name
    return place.name + (f"~{name_hash(item.source.name)[: 8 * (level - 1)]}" if level > 1 else "")


def _comparison(path: Path) -> Path:
    return path.with_name(shortened(f"{path.stem}_compare", ".png"))


def _identity(path: Path) -> tuple[int, int] | None:
    """Tells whether two paths are one file, whatever links lead there; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
