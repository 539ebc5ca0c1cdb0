"""Restoration of the pictures that `swinir-jax restore` has found."""

import argparse
import dataclasses
import functools
import logging
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from swinir_jax.checkpoints.purposes import Choice
from swinir_jax.cli.choosing import Chosen, describe_licenses, load_chosen
from swinir_jax.cli.devices import take_devices
from swinir_jax.cli.display import Display
from swinir_jax.cli.faults import FaultWatch
from swinir_jax.cli.goal import Goal
from swinir_jax.cli.interrupts import answering_interrupts
from swinir_jax.cli.lanes import run_lanes
from swinir_jax.cli.output import writing_output
from swinir_jax.cli.planning import Draft, Job, choose_format
from swinir_jax.cli.request import Request
from swinir_jax.cli.tally import counting
from swinir_jax.cli.unfinished import Unfinished
from swinir_jax.errors import first_few
from swinir_jax.files import check_file_target, make_folder
from swinir_jax.images import Picture, write_picture
from swinir_jax.images.result_folders import COMPARISONS, make_result_folder
from swinir_jax.inference.chain import NetworkChain
from swinir_jax.inference.comparison import side_by_side
from swinir_jax.inference.files import Restored
from swinir_jax.inference.network import fingerprint
from swinir_jax.version import version

logger = logging.getLogger(__name__)

# Options that change no result, or only which results there are.
_OTHER_OPTIONS = (
    "run",
    "inputs",
    "out",
    "recursive",
    "skip_existing",
    "memory",
    "devices",
    "max_pixels",
    "open",
    "json",
    "quiet",
    "debug",
)


def restore(request: Request) -> Chosen:
    """Loads the networks and restores the pictures of the shard; returns the networks."""
    args, headers, goal, tally = request.args, request.headers, request.goal, request.tally
    display = Display(hidden=args.quiet)
    chosen = _load(args, request.choice)  # before the output folder is made, which may have the model's name
    restorers = _restorers(chosen, display, args)
    unfinished = Unfinished(goal.folder, _settings(chosen, args))
    jobs = _plan(request, restorers, unfinished)
    watch = FaultWatch(chosen)
    watch.look_at_headers([headers[job.source] for job in jobs])
    if jobs:
        goal.make_folder(request.inputs, args.recursive)
        if args.compare:
            make_result_folder(goal.folder / COMPARISONS)

    def finish(job: Job, restored: Restored) -> float:
        """Returns the seconds alone: the pictures would stay in memory until those before them have ended."""
        if args.compare:
            _compare(job, restored)
        _tell(job, restored)
        if restored.before:
            watch.look_at(restored.before, headers[job.source])
        return sum(restored.seconds)

    settled = 0
    try:
        with answering_interrupts(), display.drawing(restorers, [headers[job.source].size for job in jobs]):
            for job, get_seconds in run_lanes(jobs, restorers, finish, display, args):
                with counting(job.source, tally):
                    seconds = get_seconds()
                    if goal.is_stream:
                        _print(goal.path)
                    tally.finish(job.source.name, job.target, seconds)
                    if len(jobs) > 1:
                        unfinished.add(job.source.file, job.target)
                settled += 1
                if tally.is_full:
                    break
    except KeyboardInterrupt as error:
        if len(jobs) == 1:
            raise
        raise type(error)(f"after {len(tally.targets)} of {len(jobs)} pictures; the same command goes on") from error
    for job in jobs[settled:]:
        tally.give_up(job.source.name)
    if not tally.is_full:
        unfinished.end()
    watch.tell()
    return chosen


def _load(args: argparse.Namespace, choice: Choice | None) -> Chosen:
    start = time.perf_counter()
    chosen = load_chosen(args, choice)
    seconds = time.perf_counter() - start
    logger.info("%s: loaded in %.1f s%s", args.model or "networks", seconds, describe_licenses(chosen.names))
    return chosen


def _restorers(chosen: Chosen, display: Display, args: argparse.Namespace) -> list[NetworkChain]:
    """Returns a restorer on each device."""
    return [
        NetworkChain(
            chosen.networks,
            chosen.scale,
            tile=args.tile,
            overlap=args.overlap,
            blend=args.blend,
            pad=args.pad,
            self_ensemble=args.self_ensemble,
            memory=args.memory,
            mesh=jax.sharding.Mesh(np.array([device]), ("devices",)),
            done=functools.partial(display.advance, lane),
        )
        for lane, device in enumerate(take_devices(args.devices))
    ]


def _settings(chosen: Chosen, args: argparse.Namespace) -> dict[str, str]:
    """Returns everything that results depend on beside the inputs."""
    networks = " ".join(fingerprint(model, params) for model, params in chosen.networks)
    options = {name: str(value) for name, value in vars(args).items() if name not in _OTHER_OPTIONS}
    return {**options, "networks": networks, "version": version()}


def _plan(request: Request, restorers: Sequence[NetworkChain], unfinished: Unfinished) -> list[Job]:
    """Chooses the files of the results; leaves out pictures that failed or whose results are kept."""
    args, goal, tally = request.args, request.goal, request.tally
    drafts: list[Draft] = []
    first = restorers[0]
    for source, header in request.headers.items():
        with counting(source, tally if args.shard.holds(source) else None):
            result, size = header.enlarged(first.scale), first.size_if_fits(source.file)
            flattened = bool(args.background)
            drafts.append(choose_format(source, result, size, goal, flattened=flattened, memory=args.memory))
    jobs: list[Job] = []
    kept = 0
    for job in request.jobs(drafts):
        with counting(job.source, tally):
            is_kept = unfinished.holds(job.source.file, job.target)
            kept += is_kept
            if is_kept or (args.skip_existing and job.target.is_file()):
                tally.skip(job.source.name, job.target)
                continue
            check_file_target(job.target)
            for note in job.notes:
                logger.info("%s: %s", job.source.name, note)
            by_rows = first.continues(job.source.file, job.target)
            jobs.append(dataclasses.replace(job, size=None) if by_rows else job)
    if kept:
        logger.info("goes on after an interruption: %s kept", "1 result is" if kept == 1 else f"{kept} results are")
    _tell_replaced(jobs, goal, args.compare)
    for restorer in restorers[: len(jobs)]:
        restorer.plan(job.size for job in jobs if job.size)
    return jobs


def _tell_replaced(jobs: Sequence[Job], goal: Goal, compare: bool) -> None:
    """Says how many files will be replaced; the file that a user names is meant to be."""
    count = 0 if goal.is_file else sum(job.target.is_file() for job in jobs)
    if count == 1:
        logger.info("1 result exists already and is replaced; --skip-existing keeps it")
    elif count:
        logger.info("%d results exist already and are replaced; --skip-existing keeps them", count)
    if compare and (known := [str(job.comparison) for job in jobs if job.comparison.is_file()]):
        logger.info("before/after pictures that exist already are replaced: %s", first_few(known))


def _print(result: Path) -> None:
    with open(result, "rb") as file, writing_output():
        shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.flush()


def _compare(job: Job, restored: Restored) -> None:
    """Writes the before/after picture."""
    if restored.before:
        make_folder(job.comparison.parent)
        write_picture(job.comparison, side_by_side(restored.before, restored.after))
        logger.info("%s: before and after", job.comparison)
    else:
        logger.warning("%s: too large for a before/after picture", job.comparison)


def _tell(job: Job, restored: Restored) -> None:
    """Logs sizes, times and notes."""
    before = f" {_size(restored.before)}" if restored.before else ""
    reading, restoring, writing = restored.seconds
    times = f"read {reading:.2f} s, restore {restoring:.2f} s, write {writing:.2f} s"
    if not job.size:
        times = f"by rows, {restoring:.2f} s"
    logger.info("%s%s -> %s %dx%d (%s)", job.source.name, before, job.name, restored.width, restored.height, times)
    for note in restored.notes:
        logger.info("  %s", note)


def _size(picture: Picture) -> str:
    return f"{picture.pixels.shape[1]}x{picture.pixels.shape[0]}"
