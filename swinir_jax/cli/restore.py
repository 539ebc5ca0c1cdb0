"""`swinir-jax restore`."""

import argparse
import contextlib
import dataclasses
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import get_args

from swinir_jax.cli.choosing import Chosen, add_purpose_options, describe_licenses, load_chosen
from swinir_jax.cli.display import Display
from swinir_jax.cli.faults import FaultWatch
from swinir_jax.cli.inputs import STANDARD_STREAM, Source, find_inputs
from swinir_jax.cli.model_options import (
    SEVERAL,
    add_memory_option,
    add_pixels_option,
    add_restorer_options,
    add_weight_options,
)
from swinir_jax.cli.planning import Draft, Goal, Job, assign_targets, choose_format
from swinir_jax.cli.report import Report
from swinir_jax.cli.shards import Shard
from swinir_jax.cli.tally import Tally
from swinir_jax.cli.viewer import show
from swinir_jax.errors import InputError
from swinir_jax.files import check_file_target, make_folder
from swinir_jax.images import Header, Picture, read_header, write_picture
from swinir_jax.images.result_folders import COMPARISONS, make_result_folder
from swinir_jax.images.row_writing import is_unfinished
from swinir_jax.images.targets import FIRST_ENDINGS
from swinir_jax.images.transparency import parse_colour
from swinir_jax.inference.chain import make_restorer
from swinir_jax.inference.comparison import side_by_side
from swinir_jax.inference.files import FileRestorer, Restored, restore_file
from swinir_jax.inference.padding import Pad
from swinir_jax.inference.tiling import Blend

logger = logging.getLogger(__name__)

_FOLDER = "restored/"  # for the results of a user who names no place


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="restore these image files, folders or glob patterns; - is standard input",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="write the results into this folder; for one image also a file name, or - for standard output (default: "
        f"{_FOLDER}; for standard input alone, standard output)",
    )
    parser.add_argument("--open", action="store_true", help="show the result, or the folder of several, at the end")
    add_restorer_options(parser, SEVERAL, default=None)
    add_purpose_options(parser)
    parser.add_argument(
        "--recursive", action="store_true", help="restore the images in subfolders, too, to the same subfolders of DIR"
    )
    parser.add_argument(
        "--format",
        choices=[ending.removeprefix(".") for ending in FIRST_ENDINGS],
        help="write the results in this format (default: the input's if it is lossless, else png)",
    )
    parser.add_argument(
        "--quality",
        type=int,
        default=95,
        metavar="1..100",
        help="compress JPEG and AVIF results less with a higher quality (default: %(default)s)",
    )
    parser.add_argument(
        "--background", metavar="COLOUR", help="put images with alpha onto a colour: white, black or #rrggbb"
    )
    parser.add_argument("--strip-metadata", action="store_true", help="leave out date, camera, place, author and texts")
    parser.add_argument("--skip-existing", action="store_true", help="skip images whose results exist")
    parser.add_argument(
        "--compare",
        action="store_true",
        help=f"write a before/after PNG of each image, too, into the subfolder {COMPARISONS} of DIR",
    )
    parser.add_argument(
        "--shard",
        type=Shard.parse,
        default=Shard(),
        metavar="I/N",
        help="restore one of N parts of the images, such as 3/16, beside other machines that restore the other parts",
    )
    parser.add_argument(
        "--json", action="store_true", help="print networks, results and failures as JSON to standard output"
    )
    add_memory_option(parser)
    add_pixels_option(parser)
    advanced = add_weight_options(parser)
    advanced.add_argument(
        "--overlap",
        type=int,
        metavar="N",
        help="let neighbouring tiles overlap by N pixels (default: 32, or half the side of small tiles)",
    )
    advanced.add_argument(
        "--blend",
        choices=get_args(Blend),
        default="smooth",
        help="blend overlapping tiles smoothly, or by their average as the official script (default: %(default)s)",
    )
    advanced.add_argument(
        "--pad",
        choices=get_args(Pad),
        default="reflect",
        help="mirror a margin around the image, so that the border is restored as well as the inside (reflect); pad to "
        "multiples of the window only (minimal); or pad like the official script (official; default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Restores all inputs; a failure is reported, and the other inputs are still restored."""
    report = Report()
    is_asked = args.json and _out(args) != STANDARD_STREAM
    with report.printed() if is_asked else contextlib.nullcontext():
        return _run(args, report)


def _run(args: argparse.Namespace, report: Report) -> int:
    if not 1 <= args.quality <= 100:
        raise InputError(f"--quality must be 1 to 100, got {args.quality}.")
    if args.background:
        parse_colour(args.background)
    with tempfile.TemporaryDirectory() as spool:
        goal = Goal.of(_out(args), args.format and f".{args.format}", Path(spool))
        _check_stream(goal, args)
        inputs = find_inputs(args.inputs, goal.path, Path(spool), recursive=args.recursive)
        goal.check_inputs(args.inputs, len(inputs.sources))
        held = [source for source in inputs.sources if args.shard.holds(source)]
        tally = report.tally = Tally(dataclasses.replace(inputs, sources=held), args.debug)
        for name, error in inputs.problems.items():
            tally.fail(name, error)
        display = Display(hidden=args.quiet)
        chosen = _load(args)  # before the output folder is made, which may have the model's name
        report.networks = chosen.as_dict()
        restorer = _restorer(chosen, display, args)
        jobs, headers = _plan(inputs.sources, goal, restorer, tally, args)
        watch = FaultWatch(chosen)
        watch.look_at_headers([headers[job.source] for job in jobs])
        if jobs:
            is_among_inputs = args.recursive and inputs.surround(goal.path)
            (make_result_folder if is_among_inputs else make_folder)(goal.folder)
            if args.compare:
                make_result_folder(goal.folder / COMPARISONS)
        sizes = [(headers[job.source].height, headers[job.source].width) for job in jobs]
        with display.drawing(restorer, sizes):
            for i, job in enumerate(jobs):
                if tally.is_full:
                    tally.give_up(job.source.name)
                    continue
                with _counting(job.source, tally), display.picture(i, job.source.name, job.size):
                    restored = _restore(job, restorer, args)
                    if goal.is_stream:
                        _print(goal.path)
                    tally.finish(job.source.name, job.target, sum(restored.seconds))
                    if restored.before:
                        watch.look_at(restored.before)
        watch.tell()
        tally.tell(goal if args.shard == Shard() else f"{goal}, shard {args.shard}")
        if args.open and tally.targets:
            show(tally.targets[0] if len(tally.targets) == 1 else goal.folder)
        return tally.exit_code


def _out(args: argparse.Namespace) -> str:
    if args.out is not None:
        return args.out
    return STANDARD_STREAM if args.inputs == [STANDARD_STREAM] else _FOLDER


def _check_stream(goal: Goal, args: argparse.Namespace) -> None:
    """Refuses options that standard output, as the place of the result, excludes."""
    for given, name, reason in (
        (args.compare, "--compare", "writes a second picture, which standard output cannot hold"),
        (args.json, "--json", "prints to standard output, which the picture takes"),
        (args.open, "--open", "shows a file, and the picture goes to standard output"),
    ):
        if goal.is_stream and given:
            raise InputError(f"{name} {reason}; name a folder or a file by --out.")


def _load(args: argparse.Namespace) -> Chosen:
    start = time.perf_counter()
    chosen = load_chosen(args)
    seconds = time.perf_counter() - start
    logger.info("%s: loaded in %.1f s%s", args.model or "networks", seconds, describe_licenses(chosen.names))
    return chosen


def _restorer(chosen: Chosen, display: Display, args: argparse.Namespace) -> FileRestorer:
    return make_restorer(
        chosen.networks,
        chosen.scale,
        tile=args.tile,
        overlap=args.overlap,
        blend=args.blend,
        pad=args.pad,
        self_ensemble=args.self_ensemble,
        memory=args.memory,
        done=display.advance,
    )


def _plan(
    sources: Sequence[Source],
    goal: Goal,
    restorer: FileRestorer,
    tally: Tally,
    args: argparse.Namespace,
) -> tuple[list[Job], Mapping[Source, Header]]:
    """Reads headers and chooses the files of the results; leaves out pictures that failed or are skipped.

    Pictures of other shards are planned, too, because results of equal names get others.

    Returns:
      What to do, and the headers of the pictures.
    """
    drafts: list[Draft] = []
    headers: dict[Source, Header] = {}
    for source in sources:
        with _counting(source, tally) if args.shard.holds(source) else _ignoring():
            headers[source] = read_header(source.file)
            if args.max_pixels:
                headers[source].check_pixels(args.max_pixels)
            result, size = headers[source].enlarged(restorer.scale), restorer.size_if_fits(source.file)
            drafts.append(choose_format(source, result, size, goal, flattened=bool(args.background)))
    jobs: list[Job] = []
    for job in assign_targets(drafts, goal, sources, compare=args.compare):
        if not args.shard.holds(job.source):
            continue
        with _counting(job.source, tally):
            if args.skip_existing and job.target.is_file():
                logger.info("%s: exists, skipped", job.target)
                tally.skip(job.source.name, job.target)
                continue
            check_file_target(job.target)
            for note in job.notes:
                logger.info("%s: %s", job.source.name, note)
            by_rows = restorer.restores_by_rows and is_unfinished(job.target)
            jobs.append(dataclasses.replace(job, size=None) if by_rows else job)
    restorer.plan(job.size for job in jobs if job.size)
    return jobs, headers


_PICTURE_ERRORS = (InputError, OSError, MemoryError)  # concern one picture and let the others be restored


@contextlib.contextmanager
def _counting(source: Source, tally: Tally) -> Iterator[None]:
    """Counts a failure of one picture, and lets the run continue."""
    try:
        yield
    except BrokenPipeError:  # handled by `main`
        raise
    except _PICTURE_ERRORS as error:
        tally.fail(source.name, error, "not enough memory" if isinstance(error, MemoryError) else source.renamed(error))


def _ignoring() -> contextlib.AbstractContextManager[None]:
    return contextlib.suppress(*_PICTURE_ERRORS)


def _print(result: Path) -> None:
    try:
        with open(result, "rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.flush()
    except BrokenPipeError:  # handled by `main`
        raise
    except OSError as error:
        raise InputError(f"standard output: cannot be written ({error.strerror}).") from error


def _restore(job: Job, restorer: FileRestorer, args: argparse.Namespace) -> Restored:
    make_folder(job.target.parent)
    by_rows = not job.size
    restored = restore_file(
        job.source.file,
        job.target,
        restorer,
        by_rows=by_rows,
        memory=args.memory,
        background=args.background,
        quality=args.quality,
        strip_metadata=args.strip_metadata,
    )
    if args.compare and restored.before:
        make_folder(job.comparison.parent)
        write_picture(job.comparison, side_by_side(restored.before, restored.after))
        logger.info("%s: before and after", job.comparison)
    elif args.compare:
        logger.warning("%s: too large for a before/after picture", job.comparison)
    before = f" {_size(restored.before)}" if restored.before else ""
    reading, restoring, writing = restored.seconds
    times = (
        f"by rows, {restoring:.2f} s"
        if by_rows
        else f"read {reading:.2f} s, restore {restoring:.2f} s, write {writing:.2f} s"
    )
    logger.info("%s%s -> %s %dx%d (%s)", job.source.name, before, job.name, restored.width, restored.height, times)
    for note in restored.notes:
        logger.info("  %s", note)
    return restored


def _size(picture: Picture) -> str:
    return f"{picture.pixels.shape[1]}x{picture.pixels.shape[0]}"
