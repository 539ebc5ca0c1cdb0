"""`swinir-jax evaluate`."""

import argparse
import time
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp

from swinir_jax.checkpoints.pretrained import load_pretrained
from swinir_jax.checkpoints.zoo import DEFAULT_MODEL
from swinir_jax.cli.model_options import add_weight_options, tile_option, weight_options
from swinir_jax.errors import InputError
from swinir_jax.evaluation.pairs import image_files, match_pairs
from swinir_jax.evaluation.protocol import BASELINES, ImageResult, Network, Pair, average, baseline, evaluate
from swinir_jax.evaluation.published import published
from swinir_jax.evaluation.report import as_dict, format_score, write_csv, write_json, write_report
from swinir_jax.files import make_folder
from swinir_jax.images import Picture, write_picture
from swinir_jax.inference.restorer import Restorer
from swinir_jax.tasks import TASKS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("--task", required=True, choices=list(TASKS))
    level = parser.add_mutually_exclusive_group(required=True)
    level.add_argument("--scale", type=int, help="of super-resolution")
    level.add_argument("--noise", type=int, metavar="SIGMA", help="of denoising, on the 0..255 scale")
    level.add_argument("--jpeg", type=int, metavar="QUALITY", help="of JPEG artefact removal")
    parser.add_argument("--model", default=DEFAULT_MODEL, help=f"as for restore, or a baseline: {', '.join(BASELINES)}")
    parser.add_argument("--hq", type=Path, metavar="DIR", help="ground truth")
    parser.add_argument("--lq", type=Path, metavar="DIR", help="degraded images (default: made from the ground truth)")
    parser.add_argument(
        "--tile", type=tile_option, default="auto", metavar="auto|N|0", help="as for restore (default: auto)"
    )
    parser.add_argument("--self-ensemble", action="store_true", help="the paper's +: average over 8 flips and turns")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write protocol, scores and averages")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table")
    parser.add_argument("--save", type=Path, metavar="DIR", help="write the restored images")
    parser.add_argument("--report", type=Path, metavar="DIR", help="write a page with all images and error maps")
    add_weight_options(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluates, printing a row an image while it goes."""
    task = TASKS[args.task]
    level = getattr(args, task.level)
    if level is None:
        raise InputError(f"{args.task} takes --{task.level}.")
    scale = level if task.level == "scale" else 1
    pairs = _pairs(args, scale)
    network = _network(args, task.channels, scale)
    literature = args.model == "bicubic" and args.lq is None
    details = "psnr_y and ssim_y of Y resized by itself" if literature else task.protocol
    protocol = {
        "task": args.task,
        task.level: level,
        "model": args.model,
        "images": len(pairs),
        "hq": str(args.hq),
        "lq": str(args.lq) if args.lq else "made from the ground truth",
        "crop": scale if task.crops_scale else 0,
        "padding": "mirrored to the next multiple of the window",
        "details": details,
    }
    title = ", ".join(f"{key} {value}" for key, value in protocol.items())
    _say(args, title)
    start = time.perf_counter()
    results: list[ImageResult] = []
    for result in evaluate(args.task, level, network, pairs, bicubic_of_y=literature):
        if not results:
            _say(args, _row("image", {metric: metric for metric in result.scores}, "seconds"))
        results.append(result)
        _say(args, _row(result.name, _formatted(result.scores, result.scores), f"{result.seconds:.2f}"))
        if args.save:
            make_folder(args.save)
            write_picture(args.save / f"{result.name}.png", Picture(result.restored))
    averages = average(results)
    paper = published(args.task, args.model, str(args.hq), level)
    _say(args, _row("average", _formatted(averages, averages), f"{time.perf_counter() - start:.2f} in all"))
    if paper:
        _say(args, _row("published", _formatted(averages, paper), ""))
    _write(args, protocol, title, results, averages, paper)
    return 0


def _pairs(args: argparse.Namespace, scale: int) -> list[Pair]:
    if TASKS[args.task].degrade is None:
        if args.lq is None:
            raise InputError(f"{args.task} takes --lq: there is no ground truth to degrade.")
        return [(None, path) for path in image_files(args.lq)]
    if args.hq is None:
        raise InputError(f"{args.task} takes --hq, the ground truth.")
    hq = image_files(args.hq)
    return [*match_pairs(hq, image_files(args.lq), scale)] if args.lq else [(path, None) for path in hq]


def _network(args: argparse.Namespace, channels: int, scale: int) -> Network:
    if args.model in BASELINES:
        return baseline(args.model, scale)
    model, params = load_pretrained(
        args.model, dtype=jnp.dtype(args.dtype), progress=not args.quiet, **weight_options(args)
    )
    if model.config.upscale != scale:
        raise InputError(f"{args.model} enlarges by {model.config.upscale}, not by {scale}.")
    restorer = Restorer(model, params, tile=args.tile, pad="official", self_ensemble=args.self_ensemble)
    return restorer.restore


def _write(
    args: argparse.Namespace,
    protocol: Mapping[str, object],
    title: str,
    results: list[ImageResult],
    averages: Mapping[str, float],
    paper: Mapping[str, float],
) -> None:
    for path in (args.json, args.csv):
        if path:
            make_folder(path.parent)
    if args.json:
        device = jax.devices()[0].device_kind
        write_json(args.json, as_dict({**protocol, "device": device}, results, averages))
    if args.csv:
        write_csv(args.csv, results, averages)
    if args.report:
        write_report(args.report, title, results, averages, paper)


def _formatted(metrics: Mapping[str, float], scores: Mapping[str, float]) -> dict[str, str]:
    return {metric: format_score(metric, scores.get(metric)) for metric in metrics}


def _row(name: str, cells: Mapping[str, str], last: str) -> str:
    return f"{name:24}" + "".join(f"{cell:>10}" for cell in cells.values()) + f"  {last}"


def _say(args: argparse.Namespace, line: str) -> None:
    if not args.quiet:
        print(line, flush=True)
