"""`swinir-jax restore`: options, and what can be checked before JAX, which takes seconds, is imported."""

import argparse
import contextlib
import dataclasses
import logging
from typing import get_args

from swinir_jax.cli.choosing import add_purpose_options, choose, describe
from swinir_jax.cli.goal import Goal
from swinir_jax.cli.inputs import STANDARD_STREAM, Source, find_inputs
from swinir_jax.cli.model_options import (
    SEVERAL,
    add_memory_option,
    add_pixels_option,
    add_restorer_options,
    add_weight_options,
)
from swinir_jax.cli.planning import choose_format
from swinir_jax.cli.report import JsonReport
from swinir_jax.cli.request import Request
from swinir_jax.cli.shards import Shard
from swinir_jax.cli.tally import Tally, counting
from swinir_jax.cli.viewer import show
from swinir_jax.errors import InputError
from swinir_jax.files import holding_interrupts, scratch_folder
from swinir_jax.images import Header, read_header
from swinir_jax.images.result_folders import COMPARISONS
from swinir_jax.images.targets import FIRST_ENDINGS
from swinir_jax.images.transparency import parse_colour
from swinir_jax.inference.padding import Pad
from swinir_jax.inference.plan import OVERLAP
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
        help="write the results in this format (default: the input's, by name, if it is lossless, else png)",
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
    parser.add_argument(
        "--devices",
        type=int,
        metavar="N",
        help="restore on N devices, such as GPUs, a picture on each at a time (default: all; on a CPU, 1)",
    )
    add_memory_option(parser)
    add_pixels_option(parser)
    advanced = add_weight_options(parser)
    advanced.add_argument(
        "--overlap",
        type=int,
        metavar="N",
        help=f"let neighbouring tiles overlap by N pixels (default: {OVERLAP}, or half the side of small tiles)",
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
    report = JsonReport()
    is_asked = args.json and _out(args) != STANDARD_STREAM
    with report.printed() if is_asked else contextlib.nullcontext():
        return _run(args, report)


def _run(args: argparse.Namespace, report: JsonReport) -> int:
    if not 1 <= args.quality <= 100:
        raise InputError(f"--quality must be 1 to 100, got {args.quality}.")
    if args.background:
        parse_colour(args.background)
    with scratch_folder() as spool:
        goal = Goal.of(_out(args), args.format and f".{args.format}", spool)
        _check_stream(goal, args)
        inputs = find_inputs(args.inputs, goal.path, spool, recursive=args.recursive)
        goal.check_inputs(args.inputs, len(inputs.sources))
        choice = choose(args)
        held = [source for source in inputs.sources if args.shard.holds(source)]
        tally = report.tally = Tally(dataclasses.replace(inputs, sources=held), args.debug)
        for name, error in inputs.problems.items():
            tally.fail(name, error)
        headers = _read_headers(inputs.sources, tally, args)
        report.networks = describe(args, choice)
        request = Request(args=args, inputs=inputs, headers=headers, goal=goal, choice=choice, tally=tally)
        if not _all_exist(request) and any(map(args.shard.holds, headers)):
            with holding_interrupts():  # which would crash modules of JAX while they are imported
                from swinir_jax.cli.restoring import restore

            report.networks = restore(request).as_dict()
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


def _read_headers(sources: list[Source], tally: Tally, args: argparse.Namespace) -> dict[Source, Header]:
    """Reads the headers of all pictures; one that fails or is too large counts for the shard that holds the picture."""
    headers: dict[Source, Header] = {}
    for source in sources:
        with counting(source, tally if args.shard.holds(source) else None):
            header = read_header(source.file)
            if args.max_pixels:
                header.check_pixels(args.max_pixels)
            headers[source] = header
    return headers


def _all_exist(request: Request) -> bool:
    """Returns whether all results exist and are to be kept, as far as that is known without the networks."""
    args, goal = request.args, request.goal
    scale = request.choice.scale if request.choice else args.scale
    if not args.skip_existing or scale is None:
        return False
    with contextlib.suppress(InputError):
        drafts = [
            choose_format(source, header.enlarged(scale), header.size, goal, flattened=bool(args.background))
            for source, header in request.headers.items()
        ]
        jobs = request.jobs(drafts)
        if all(job.target.is_file() for job in jobs):
            for job in jobs:
                request.tally.skip(job.source.name, job.target)
            return True
    return False
