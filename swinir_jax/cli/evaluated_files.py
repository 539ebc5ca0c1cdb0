"""The files that `swinir-jax evaluate` measures and writes."""

import argparse
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from swinir_jax.data.folders import find_images
from swinir_jax.errors import InputError
from swinir_jax.evaluation.protocol import Pair
from swinir_jax.evaluation.report import PAGE
from swinir_jax.files import check_file_target, make_folder
from swinir_jax.tasks import Task


def named_pairs(args: argparse.Namespace, task: Task, scale: int) -> tuple[dict[str, Pair], str]:
    """Finds the images; returns pairs by name, in the order of the numbers in names, and a description of other files.

    A name is the path in the folder without the ending; with the ending, where names would be equal.
    """
    if args.hq:
        found = find_images(args.hq, args.lq, scale=scale, template=args.pairs)
    elif task.has_truth:
        raise InputError(f"{args.task} takes --hq, the ground truth.")
    elif args.lq:
        found = find_images(args.lq, template=args.pairs)
    else:
        raise InputError(f"{args.task} takes --lq, images without ground truth, or --hq, to be degraded.")
    place = args.hq or args.lq
    files = sorted(found.pairs, key=lambda pair: _by_numbers(pair[0]))
    names = _names([Path(first.name) if place.is_file() else first.relative_to(place) for first, _ in files])
    pairs = [(first, second) if args.hq else (None, first) for first, second in files]
    return dict(zip(names, pairs, strict=True)), found.left_out


def check_outputs(args: argparse.Namespace, pairs: Mapping[str, Pair]) -> None:
    """Refuses to write among the measured images or twice to a file, and makes the output folders before the work."""
    inputs = {(place if place.is_dir() else place.parent).resolve() for place in (args.hq, args.lq) if place}
    for folder in (args.save, args.report):
        if folder and not inputs.isdisjoint((folder.resolve(), *folder.resolve().parents)):
            raise InputError(f"{folder}: holds the images that are measured; choose another folder for the results.")
    measured = {file.resolve() for pair in pairs.values() for file in pair if isinstance(file, Path)}
    pictures = {restored_file(args.save, name).resolve() for name in pairs} if args.save else set()
    page = {(args.report / PAGE).resolve()} if args.report else set()
    for file in filter(None, (args.json, args.csv)):
        if file.resolve() in measured:
            raise InputError(f"{file}: is one of the images that are measured; choose another file for the results.")
        for option, written in (("--save", pictures), ("--report", page)):
            if file.resolve() in written:
                raise InputError(f"{file}: is a file that {option} writes; choose another name.")
        check_file_target(file)
    if args.json and args.csv and args.json.resolve() == args.csv.resolve():
        raise InputError(f"{args.csv}: --json and --csv name one file.")
    for folder in (args.save, *(path.parent for path in (args.json, args.csv) if path)):
        if folder:
            make_folder(folder)


def restored_file(folder: Path, name: str) -> Path:
    """Returns the file of `--save` for an image."""
    return folder / f"{name}.png"


def _names(files: Sequence[Path]) -> list[str]:
    """Returns different names of files: without endings, but with them where names would be equal."""
    names = [(file.parent / file.stem).as_posix() for file in files]
    while clashes := {name for name, count in Counter(names).items() if count > 1}:
        names = [file.as_posix() if name in clashes else name for file, name in zip(files, names, strict=True)]
    return names


def _by_numbers(path: Path) -> list[int | str]:
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path.as_posix())]
