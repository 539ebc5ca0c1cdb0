"""`swinir-jax restore`."""

import argparse
import errno
import logging
import time
from pathlib import Path
from typing import get_args

import jax.numpy as jnp
from tqdm import tqdm

from swinir_jax.checkpoints.pretrained import load_pretrained
from swinir_jax.cli.inputs import Job, collect_jobs
from swinir_jax.cli.model_options import (
    add_memory_option,
    add_restorer_options,
    add_weight_options,
    weight_options,
)
from swinir_jax.errors import InputError
from swinir_jax.files import make_folder
from swinir_jax.images import Picture, read_picture, write_picture
from swinir_jax.images.row_writing import is_unfinished
from swinir_jax.inference.comparison import side_by_side
from swinir_jax.inference.padding import Pad
from swinir_jax.inference.pictures import restore_picture
from swinir_jax.inference.restorer import Restorer
from swinir_jax.inference.streaming import StreamingRestorer
from swinir_jax.inference.tiling import Blend

logger = logging.getLogger(__name__)

EXIT_SOME_FAILED = 1
EXIT_ALL_FAILED = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="image files, folders or glob patterns")
    parser.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="folder for the results, or a file's name for one image"
    )
    add_restorer_options(parser)
    parser.add_argument("--recursive", action="store_true", help="descend into subfolders, which are made anew in DIR")
    parser.add_argument(
        "--format",
        choices=["png", "jpg", "webp", "tif", "bmp"],
        help="of the results (default: the input's, but PNG for JPEG)",
    )
    parser.add_argument("--quality", type=int, default=95, metavar="1..100", help="of JPEG results (default: 95)")
    parser.add_argument("--skip-existing", action="store_true", help="leave results alone that are there already")
    parser.add_argument("--compare", action="store_true", help="also write a before/after PNG for each image")
    parser.add_argument(
        "--overlap", type=int, metavar="N", help="of neighbouring tiles (default: 32 pixels, or half of small tiles)"
    )
    parser.add_argument(
        "--blend", choices=get_args(Blend), default="smooth", help="of overlaps; average is the official way"
    )
    parser.add_argument(
        "--pad",
        choices=get_args(Pad),
        default="reflect",
        help="reflect (default): mirror a margin around the image, so that the border is as good as the inside; "
        "minimal: to multiples of the window alone; official: as the official script",
    )
    add_memory_option(parser)
    add_weight_options(parser)


def run(args: argparse.Namespace) -> int:
    """Restores all inputs; a bad one is named and the others go on."""
    if not 1 <= args.quality <= 100:
        raise InputError(f"--quality must be 1 to 100, got {args.quality}.")
    suffix = args.format and f".{args.format}"
    jobs = collect_jobs(args.inputs, args.out, recursive=args.recursive, suffix=suffix, compare=args.compare)
    if args.skip_existing:
        there = [job for job in jobs if job.target.is_file()]
        for job in there:
            logger.info("%s: exists, skipped", job.target)
        jobs = [job for job in jobs if job not in there]
        if not jobs:
            return 0
    start = time.perf_counter()
    model, params = load_pretrained(
        args.model, dtype=jnp.dtype(args.dtype), progress=not args.quiet, **weight_options(args)
    )
    logger.info("model %s: loaded in %.1f s", args.model, time.perf_counter() - start)
    tiles = tqdm(disable=args.quiet or None, unit="tile", leave=False)  # None: only where a terminal is
    restorer = StreamingRestorer(
        model,
        params,
        tile=args.tile,
        overlap=args.overlap,
        blend=args.blend,
        pad=args.pad,
        self_ensemble=args.self_ensemble,
        memory=args.memory,
        done=lambda count, total: _advance(tiles, count, total),
    )
    failures = 0
    sizes: dict[Job, tuple[int, int] | None] = {}  # None: by rows
    for job in jobs:
        try:
            sizes[job] = None if is_unfinished(job.target) else restorer.size_if_fits(job.source)
        except InputError as error:
            failures += 1
            logger.error("failed: %s", error)
    restorer.plan(size for size in sizes.values() if size)
    for job in tqdm(sizes, disable=args.quiet or None, unit="image"):
        tiles.reset()
        try:
            (_restore if sizes[job] else _restore_by_rows)(job, restorer, args)
        except InputError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in (errno.ENOSPC, errno.EDQUOT):
                raise  # the disk is as full for all that follow
            failures += 1
            named = str(error) if str(job.source) in str(error) else f"{job.source}: {error}"
            logger.error("failed: %s", named, exc_info=args.debug)
    tiles.close()
    if failures == len(jobs):
        return EXIT_ALL_FAILED
    return EXIT_SOME_FAILED if failures else 0


def _advance(bar: tqdm, count: int, total: int) -> None:
    bar.total = total
    bar.update(count)


def _restore(job: Job, restorer: Restorer, args: argparse.Namespace) -> None:
    start = time.perf_counter()
    picture = read_picture(job.source)
    read = time.perf_counter()
    restored = restore_picture(picture, restorer)
    done = time.perf_counter()
    make_folder(job.target.parent)
    write_picture(job.target, restored, quality=args.quality)
    if args.compare:
        write_picture(job.comparison, side_by_side(picture, restored))
        logger.info("%s: before and after", job.comparison)
    times = f"read {read - start:.2f} s, restore {done - read:.2f} s, write {time.perf_counter() - done:.2f} s"
    logger.info("%s %s -> %s %s (%s)", job.source, _size(picture), job.target, _size(restored), times)
    for note in restored.notes:
        logger.info("  %s", note)


def _restore_by_rows(job: Job, restorer: StreamingRestorer, args: argparse.Namespace) -> None:
    start = time.perf_counter()
    make_folder(job.target.parent)
    height, head = restorer.restore_file(job.source, job.target)
    if args.compare:
        logger.warning("%s: too large for a before/after picture", job.comparison)
    size = f"{head.pixels.shape[1]}x{height}"
    logger.info("%s -> %s %s (by rows, %.2f s)", job.source, job.target, size, time.perf_counter() - start)
    for note in head.notes:
        logger.info("  %s", note)


def _size(picture: Picture) -> str:
    return f"{picture.pixels.shape[1]}x{picture.pixels.shape[0]}"
