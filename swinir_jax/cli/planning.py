"""Formats and names of the results, chosen before the network runs."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from swinir_jax.cli.goal import Goal
from swinir_jax.cli.inputs import Source
from swinir_jax.errors import InputError
from swinir_jax.files import name_hash, shortened
from swinir_jax.images import Header, read_picture
from swinir_jax.images.result_folders import COMPARISONS
from swinir_jax.images.targets import LIMITS, fitting_ending, result_ending, result_stem, target_format


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
        return Draft(source, size, *result_ending(source.relative, result, by_rows=by_rows))
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
    plain = [] if goal.is_file else [goal.path / _relative(draft, 0) for draft in drafts]
    for job in jobs:
        if compare and not goal.is_file and job.source.relative.parent.parts[:1] == (COMPARISONS,):
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
    relative = _relative(draft, level)
    target = folder / relative
    job = Job(**vars(draft), target=target, name=str(target), comparison=folder / _comparison(relative))
    notes = job.notes
    if level:
        notes += (f"written as {job.target.name}, as another result would be {_relative(draft, 0).name}, too",)
    if job.target.name != _stem(draft, level) + draft.ending:
        notes += ("the result's name was too long and is shortened",)
    return dataclasses.replace(job, notes=notes)


def _levels(drafts: Sequence[Draft], compare: bool) -> list[int]:
    """Returns the lowest levels of `_stem` at which no two results, and no result and folder, have the same path."""
    levels = [0] * len(drafts)
    while True:
        results = [_relative(draft, level) for draft, level in zip(drafts, levels, strict=True)]
        written = [(result, _comparison(result)) if compare else (result,) for result in results]
        count = Counter(path for paths in written for path in paths)
        folders = {folder for result in results for folder in result.parents}
        clashes = [i for i, paths in enumerate(written) if any(count[path] > 1 or path in folders for path in paths)]
        if not clashes:
            return levels
        for i in clashes:
            levels[i] += 1


def _relative(draft: Draft, level: int) -> Path:
    """Returns the path of a result below the output folder, by level of `_stem`."""
    return draft.source.relative.with_name(shortened(_stem(draft, level), draft.ending))


def _stem(draft: Draft, level: int) -> str:
    """Returns the result's name before the ending: the input's stem, full name, or name and hash, by level."""
    file = draft.source.relative
    if level == 0:
        return result_stem(file)
    return file.name + (f"~{name_hash(draft.source.name)[: 8 * (level - 1)]}" if level > 1 else "")


def _comparison(result: Path) -> Path:
    return COMPARISONS / result.with_name(shortened(result.stem, ".png"))


def _identity(path: Path) -> tuple[int, int] | None:
    """Returns a key that is equal for all paths of one file; None if the file does not exist."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
