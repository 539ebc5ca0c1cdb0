"""`swinir-jax evaluate`."""

import argparse
import dataclasses
import logging
import math
import time
from collections.abc import Mapping
from typing import Any

import jax

from swinir_jax.checkpoints.architecture import RULES
from swinir_jax.cli.devices import check_devices
from swinir_jax.cli.evaluated_files import check_outputs, named_pairs, restored_file
from swinir_jax.cli.exit_codes import code_of
from swinir_jax.cli.model_options import SEVERAL, add_restorer_options, add_weight_options, load_model, model_names
from swinir_jax.cli.output import say
from swinir_jax.cli.paths import named_path
from swinir_jax.data.blind import CHAIN_KINDS, DEFAULT_CHAIN, blind_chain
from swinir_jax.errors import InputError, listed, printable
from swinir_jax.evaluation.judging import DEFAULT_DISTANCE, Distance, explain, judge, load_distance
from swinir_jax.evaluation.protocol import (
    BASELINES,
    Images,
    Measurement,
    Pair,
    RestoreImage,
    average,
    baseline,
    evaluate,
)
from swinir_jax.evaluation.published import published
from swinir_jax.evaluation.report import (
    HtmlReport,
    as_dict,
    format_row,
    format_scores,
    heading,
    write_csv,
    write_json,
)
from swinir_jax.features import FEATURE_NETWORKS
from swinir_jax.files import make_folder
from swinir_jax.images import Picture, write_picture
from swinir_jax.inference.chain import NetworkChain
from swinir_jax.tasks import PAD, TASKS, Task, real_sr

logger = logging.getLogger(__name__)

_MAX_LEVEL = 1000  # larger scales and sigmas are typing errors


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--task", required=True, choices=list(TASKS), help="measure this task of the papers")
    level = parser.add_mutually_exclusive_group(required=True)
    level.add_argument("--scale", type=int, help="measure super-resolution by this factor")
    level.add_argument(
        "--noise", type=int, metavar="SIGMA", help="measure denoising at this standard deviation, on the 0..255 scale"
    )
    level.add_argument(
        "--jpeg", type=int, metavar="QUALITY", help="measure the removal of JPEG artefacts at this quality, 1 to 100"
    )
    parser.add_argument(
        "--hq", type=named_path, metavar="DIR", help="compare with the ground truth in this folder and its subfolders"
    )
    parser.add_argument(
        "--lq",
        type=named_path,
        metavar="DIR",
        help="restore the degraded images in this folder (default: made from those of --hq)",
    )
    parser.add_argument(
        "--pairs",
        metavar="NAME",
        default="",
        help="say how the files of --lq are named, with {} for the name of the file of --hq, such as {}x2, X2/{}x2 or "
        "LR_{} (default: the usual names)",
    )
    parser.add_argument(
        "--chain",
        choices=list(CHAIN_KINDS),
        help=f"degrade the images of --hq by this chain; for real_sr (default: {DEFAULT_CHAIN})",
    )
    parser.add_argument(
        "--perceptual",
        choices=[*FEATURE_NETWORKS, "none"],
        help="measure the perceptual distance to --hq by the features of this network; for real_sr (default: "
        f"{DEFAULT_DISTANCE}, if the weights are found)",
    )
    add_restorer_options(parser, f"{SEVERAL}; or a baseline: {', '.join(BASELINES)}")
    parser.add_argument("--json", type=named_path, metavar="FILE", help="write protocol, scores and averages as JSON")
    parser.add_argument("--csv", type=named_path, metavar="FILE", help="write the table of scores as CSV")
    parser.add_argument("--save", type=named_path, metavar="DIR", help="write the restored images into this folder")
    parser.add_argument(
        "--report", type=named_path, metavar="DIR", help="write a page with all images and error maps into this folder"
    )
    add_weight_options(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluates a model and prints one row per image; one that cannot be measured or written is named and left out."""
    task = _task(args)
    level = _level(args, task)
    scale = task.scale(level)
    if task.training == "blind" and args.hq and not args.lq:
        blind_chain(f"{args.chain or DEFAULT_CHAIN}_x{scale}")  # refuses scales without a chain
    pairs, left_out = named_pairs(args, task, scale)
    check_devices()
    network, distance = _network(args, task, scale), _distance(args, task)
    protocol = _protocol(args, task, level, len(pairs), distance)
    title = ", ".join(f"{key} {value}" for key, value in protocol.items())
    check_outputs(args, pairs)
    report = HtmlReport(args.report) if args.report else None
    _say(args, title)
    start = time.perf_counter()
    results, failed = _measure(args, task, level, network, distance, pairs, report)
    averages = average(results)
    if args.json:
        measured = {**protocol, "images": len(results), "device": jax.devices()[0].device_kind}
        write_json(args.json, {**as_dict(measured, results, averages), "failed": failed})
    if not results:
        logger.error("None of the %d images could be measured.", len(failed))
        return code_of(len(failed), 0)
    rows = [_row("average", format_row(averages, averages), f"{time.perf_counter() - start:.2f} in all")]
    paper, notes = published(args.task, args.model, str(args.hq), level), explain(results, averages)
    if paper:
        rows.append(_row("published", format_row(averages, paper), ""))
    _say(args, *rows, *notes)
    if args.csv:
        write_csv(args.csv, results, averages)
    if report:
        report.finish(title, results, averages, paper, notes)
    if failed:
        logger.error("%d of %d images left out of the averages: %s", len(failed), len(pairs), listed(failed))
    if left_out:
        _say(args, left_out)
    return code_of(len(failed), len(results))


def _measure(
    args: argparse.Namespace,
    task: Task,
    level: int,
    network: RestoreImage,
    distance: Distance | None,
    pairs: Mapping[str, Pair],
    report: HtmlReport | None,
) -> tuple[list[Measurement], list[str]]:
    """Measures all images, and prints a row of each; returns the measurements, and the names of those that failed."""
    results: list[Measurement] = []
    failed: list[str] = []
    for name, pair in pairs.items():
        try:
            [(result, images)] = evaluate(task, level, network, [pair], bicubic_of_y=_bicubic_of_y(args, task))
            _write_images(args, report, name, images)
        except InputError as error:
            failed.append(name)
            logger.error("failed: %s", error, exc_info=args.debug)
            continue
        result = dataclasses.replace(result, name=name)
        if task.training == "blind":
            result = judge(result, images, task, level, distance)
        if not results:
            _say(args, _row("image", {metric: heading(metric) for metric in result.scores}, "seconds"))
        results.append(result)
        _say(args, _row(name, format_scores(result), f"{result.seconds:.2f}"))
    return results, failed


def _write_images(args: argparse.Namespace, report: HtmlReport | None, name: str, images: Images) -> None:
    """Writes what --save and --report ask for; raises UnwritableError."""
    if args.save:
        target = restored_file(args.save, name)
        make_folder(target.parent)
        write_picture(target, Picture(images.restored))
    if report:
        report.add(name, images)


def _task(args: argparse.Namespace) -> Task:
    if not args.chain:
        return TASKS[args.task]
    if args.task != "real_sr" or args.lq or not args.hq:
        raise InputError("--chain degrades the ground truth of --task real_sr: it takes --hq, and no --lq.")
    return real_sr(args.chain)


def _distance(args: argparse.Namespace, task: Task) -> Distance | None:
    """Loads the perceptual distance of photographs that are degraded blindly; None without one."""
    if task.training != "blind" or not args.hq:
        if args.perceptual:
            raise InputError("--perceptual compares with the ground truth of --task real_sr: it takes --hq.")
        return None
    if args.perceptual == "none":
        return None
    try:
        return load_distance(_distance_name(args), args.weights_dir, progress=not args.quiet)
    except InputError as error:
        if args.perceptual:
            raise
        logger.warning("no perceptual distance: %s", error)
        return None


def _distance_name(args: argparse.Namespace) -> str:
    return args.perceptual or DEFAULT_DISTANCE


def _level(args: argparse.Namespace, task: Task) -> int:
    level = getattr(args, task.level)
    if level is None:
        raise InputError(f"{args.task} takes --{task.level}.")
    lowest = 0 if task.level == "noise" else 1
    highest = 100 if task.level == "jpeg" else _MAX_LEVEL
    if not lowest <= level <= highest:
        raise InputError(f"--{task.level} {level} is out of range, {lowest} to {highest}.")
    return level


def _network(args: argparse.Namespace, task: Task, scale: int) -> RestoreImage:
    if args.model in BASELINES:
        return baseline(args.model, scale)
    names = model_names(args.model)
    networks = [load_model(args, name) for name in names]
    enlarged = math.prod(model.config.upscale for model, _ in networks)
    if enlarged != scale:
        raise InputError(f"{args.model} enlarges by {enlarged}, not by {scale}.")
    for name, (model, _) in zip(names, networks, strict=True):
        if model.config.in_chans != task.channels:
            raise InputError(
                f"{args.task} is for networks of {task.channels} channels, {name} has {model.config.in_chans}."
            )
    options = {"tile": args.tile, "pad": PAD, "self_ensemble": args.self_ensemble}
    return NetworkChain(networks, scale, blend="average", **options).restore


def _protocol(
    args: argparse.Namespace, task: Task, level: int, count: int, distance: Distance | None
) -> dict[str, Any]:
    """Returns everything that the scores depend on."""
    protocol = {
        "task": args.task,
        task.level: level,
        "model": args.model,
        "images": count,
        "hq": str(args.hq or "none"),
        "lq": str(args.lq) if args.lq else "made from the ground truth",
        "degradation": _degradation(args, task),
        "crop": task.border(level),
    }
    if args.model not in BASELINES:
        settings = {name: getattr(args, name) for name in ("weights", "dtype", "tile", "self_ensemble")}
        given = {name: value for name in ("strength", "shift", *RULES) if (value := getattr(args, name)) is not None}
        protocol |= {"pad": PAD, **settings, **given}
    return {**protocol, "distance": _distance_name(args)} if distance else protocol


def _degradation(args: argparse.Namespace, task: Task) -> str:
    if args.lq:
        return "unknown: LQ files are given"
    return "Y is rounded and resized alone for psnr_y and ssim_y" if _bicubic_of_y(args, task) else task.protocol


def _bicubic_of_y(args: argparse.Namespace, task: Task) -> bool:
    """Returns whether Y is resized alone, as the literature measures bicubic interpolation."""
    return args.model == "bicubic" and task.training == "bicubic" and not args.lq


def _row(name: str, cells: Mapping[str, str], last: str) -> str:
    return f"{printable(name):24}" + "".join(f"{cells[metric]:>{_width(metric)}}" for metric in cells) + f"  {last}"


def _width(metric: str) -> int:
    return max(10, len(heading(metric)) + 2)


def _say(args: argparse.Namespace, *lines: str) -> None:
    if not args.quiet:
        say(*lines)
