"""`swinir-jax export`."""

import argparse
import logging
from pathlib import Path

import jax.numpy as jnp

from swinir_jax.checkpoints.pretrained import load_pretrained
from swinir_jax.checkpoints.zoo import DEFAULT_MODEL
from swinir_jax.cli.model_options import add_weight_options, weight_options
from swinir_jax.export import PLATFORMS, TOLERANCES, export_network
from swinir_jax.exported import ExportedNetwork, load_exported
from swinir_jax.files import check_file_target, make_folder

logger = logging.getLogger(__name__)

EXIT_TEST_FAILED = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--out", type=Path, metavar="FILE", help="write this file, and repeat its self-test if it runs here"
    )
    what.add_argument("--check", type=Path, metavar="FILE", help="repeat the self-test of a file")
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        help="a name, a folder, a weight file or its https address (default: %(default)s)",
    )
    parser.add_argument(
        "--platforms",
        type=_names,
        default=PLATFORMS,
        metavar="NAME,...",
        help=f"on which it is to run (default: {','.join(PLATFORMS)})",
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--shape", type=_shape, metavar="B,H,W,C", help="that it is to take, sides in multiples of the window"
    )
    size.add_argument("--dynamic", dest="shape", action="store_const", const=None, help="any batch and size (default)")
    parser.add_argument(
        "--dtype", choices=list(TOLERANCES), default="float32", help="of matrix products and convolutions"
    )
    add_weight_options(parser)


def run(args: argparse.Namespace) -> int:
    """Exports, or tests what was exported."""
    if args.check:
        return _test(load_exported(args.check), args.check)
    model, params = load_pretrained(
        args.model, dtype=jnp.dtype(args.dtype), progress=not args.quiet, **weight_options(args)
    )
    make_folder(args.out.parent)  # now, not after the work; but behind the model, whose name may be that of the folder
    check_file_target(args.out)
    export_network(model, params, args.out, platforms=args.platforms, shape=args.shape)
    network = load_exported(args.out)
    logger.info(
        "%s: %.1f MB, %s, [%s], for %s",
        args.out, args.out.stat().st_size / 1e6, network.dtype, ", ".join(map(str, network.shape)),
        ", ".join(network.platforms),
    )  # fmt: skip
    if not network.runs_here():
        logger.info("%s: not tested, this machine is none of these", args.out)
        return 0
    return _test(network, args.out)


def _test(network: ExportedNetwork, path: Path) -> int:
    difference, tolerance = network.self_test(), network.test.tolerance
    if difference <= tolerance:
        logger.info("%s: self-test passed, relative difference %.1e (at most %.0e)", path, difference, tolerance)
        return 0
    logger.error("%s: self-test failed, relative difference %.1e, at most %.0e allowed", path, difference, tolerance)
    return EXIT_TEST_FAILED


def _names(text: str) -> list[str]:
    return text.split(",")


def _shape(text: str) -> list[int]:
    return [int(side) for side in text.split(",")]
