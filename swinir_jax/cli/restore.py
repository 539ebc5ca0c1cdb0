"""`swinir-jax restore`."""

import argparse
import contextlib
import dataclasses
import errno
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

from tqdm import tqdm

from swinir_jax.cli.choosing import add_purpose_options, choose_by_options, load_others
from swinir_jax.cli.inputs import Source, find_inputs
from swinir_jax.cli.model_options import add_memory_option, add_restorer_options, add_weight_options, load_model
from swinir_jax.cli.planning import Draft, Goal, Job, assign_targets, choose_format
from swinir_jax.cli.tally import Tally
from swinir_jax.errors import InputError
from swinir_jax.files import check_file_target, make_folder
from swinir_jax.images import Picture, read_header, write_picture
from swinir_jax.images.comparisons import make_comparisons_folder
from swinir_jax.images.row_writing import is_unfinished
from swinir_jax.images.targets import FIRST_ENDINGS
from swinir_jax.images.transparency import parse_colour
from swinir_jax.inference.chain import make_restorer
from swinir_jax.inference.comparison import side_by_side
from swinir_jax.inference.files import FileRestorer, restore_file
from swinir_jax.inference.padding import Pad
from swinir_jax.inference.tiling import Blend

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="image files, folders or glob patterns; - is standard input"
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="DIR",
        help="folder for the results; for one image also a file name, or - for standard output",
    )
    add_restorer_options(parser, default=None)
    add_purpose_options(parser)
    parser.add_argument(
        "--recursive", action="store_true", help="restore the images in subfolders, too, to the same subfolders of DIR"
    )
    parser.add_argument(
        "--format",
        choices=[ending.removeprefix(".") for ending in FIRST_ENDINGS],
        help="format of the results (default: the input's if it is lossless, else png)",
    )
    parser.add_argument(
        "--quality", type=int, default=95, metavar="1..100", help="quality of JPEG and AVIF results (default: 95)"
    )
    parser.add_argument(
        "--background", metavar="COLOUR", help="put images with alpha onto a colour: white, black or #rrggbb"
    )
    parser.add_argument("--strip-metadata", action="store_true", help="leave out date, camera, place, author and texts")
    parser.add_argument("--skip-existing", action="store_true", help="skip images whose results exist")
    parser.add_argument("--compare", action="store_true", help="also write a before/after PNG for each image")
    add_memory_option(parser)
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
    if not 1 <= args.quality <= 100:
        raise InputError(f"--quality must be 1 to 100, got {args.quality}.")
    if args.background:
        parse_colour(args.background)
    with tempfile.TemporaryDirectory() as spool:
        goal = Goal.of(args.out, args.format and f".{args.format}", Path(spool))
        if goal.is_stream and args.compare:
            raise InputError("--compare writes a second picture, which standard output cannot hold.")
        inputs = find_inputs(args.inputs, goal.path, Path(spool), recursive=args.recursive)
        goal.check_inputs(args.inputs, len(inputs.sources))
        tally = Tally(inputs, args.debug)
        for name, error in inputs.problems.items():
            tally.fail(name, error)
        tiles = tqdm(disable=args.quiet or None, unit="tile", leave=False)  # None: shown on terminals only
        restorer = _restorer(args, tiles)  # loaded before the output folder is made, which may have the model's name
        jobs = _plan(inputs.sources, goal, restorer, tally, args)
        if jobs:
            make_folder(goal.folder)
            if args.compare:
                make_comparisons_folder(goal.folder)
        for job in tqdm(jobs, disable=args.quiet or None, unit="image"):
            tiles.reset()
            with _counting(job.source, tally):
                _restore(job, restorer, args)
                tally.restored += 1
        tiles.close()
        if goal.is_stream and tally.restored:
            _print(goal.path)
        tally.tell(goal)
        return tally.exit_code


def _restorer(args: argparse.Namespace, tiles: tqdm) -> FileRestorer:
    start = time.perf_counter()
    choice = choose_by_options(args)
    first = load_model(args, choice.passes[0].source if choice else None)
    networks, scale = load_others(args, choice, first)
    logger.info("%s: loaded in %.1f s", args.model or "networks", time.perf_counter() - start)
    return make_restorer(
        networks,
        scale,
        tile=args.tile,
        overlap=args.overlap,
        blend=args.blend,
        pad=args.pad,
        self_ensemble=args.self_ensemble,
        memory=args.memory,
        done=lambda count, total: _advance(tiles, count, total),
    )


def _plan(
    sources: Sequence[Source],
    goal: Goal,
    restorer: FileRestorer,
    tally: Tally,
    args: argparse.Namespace,
) -> list[Job]:
    """Reads headers and chooses the files of the results; leaves out pictures that failed or are skipped."""
    drafts: list[Draft] = []
    for source in sources:
        with _counting(source, tally):
            header = read_header(source.file).enlarged(restorer.scale)
            size = restorer.size_if_fits(source.file)
            drafts.append(choose_format(source, header, size, goal, flattened=bool(args.background)))
    jobs: list[Job] = []
    for job in assign_targets(drafts, goal, sources, compare=args.compare):
        with _counting(job.source, tally):
            if args.skip_existing and job.target.is_file():
                logger.info("%s: exists, skipped", job.target)
                tally.skipped += 1
                continue
            check_file_target(job.target)
            for note in job.notes:
                logger.info("%s: %s", job.source.name, note)
            by_rows = restorer.restores_by_rows and is_unfinished(job.target)
            jobs.append(dataclasses.replace(job, size=None) if by_rows else job)
    restorer.plan(job.size for job in jobs if job.size)
    return jobs


@contextlib.contextmanager
def _counting(source: Source, tally: Tally) -> Iterator[None]:
    """Counts a failure of one picture, and lets the run continue unless the disk is full."""
    try:
        yield
    except (InputError, OSError, MemoryError) as error:
        for cause in (error, error.__cause__):
            if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
        tally.fail(source.name, error, "not enough memory" if isinstance(error, MemoryError) else source.renamed(error))


def _print(result: Path) -> None:
    try:
        with open(result, "rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.flush()
    except BrokenPipeError:  # handled by `main`
        raise
    except OSError as error:
        raise InputError(f"standard output: cannot be written ({error.strerror}).") from error


def _advance(bar: tqdm, count: int, total: int) -> None:
    bar.total = total
    bar.update(count)


def _restore(job: Job, restorer: FileRestorer, args: argparse.Namespace) -> None:
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


def _size(picture: Picture) -> str:
    return f"{picture.pixels.shape[1]}x{picture.pixels.shape[0]}"
