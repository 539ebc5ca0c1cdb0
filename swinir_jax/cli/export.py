"""`swinir-jax export`."""

import argparse
import logging
from pathlib import Path

from swinir_jax.cli.model_options import add_model_options, add_weight_options, load_model
from swinir_jax.export import PLATFORMS, export_network
from swinir_jax.exported import ExportedNetwork, load_exported
from swinir_jax.files import check_file_target, make_folder

logger = logging.getLogger(__name__)

EXIT_TEST_FAILED = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    file = parser.add_mutually_exclusive_group(required=True)
    file.add_argument(
        "--out", type=Path, metavar="FILE", help="file to write; its self-test follows if it runs on this machine"
    )
    file.add_argument("--check", type=Path, metavar="FILE", help="run the self-test of an exported file")
    add_model_options(parser)
    parser.add_argument(
        "--platforms",
        type=_names,
        default=PLATFORMS,
        metavar="NAME,...",
        help=f"platforms of the exported network (default: {','.join(PLATFORMS)})",
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--shape",
        type=_shape,
        metavar="B,H,W,C",
        help="fixed shape of the input; H and W are multiples of the window",
    )
    size.add_argument(
        "--dynamic", dest="shape", action="store_const", const=None, help="input of any batch and size (default)"
    )
    add_weight_options(parser)


def run(args: argparse.Namespace) -> int:
    """Exports a network, or tests an exported one."""
    if args.check:
        return _test(load_exported(args.check), args.check)
    model, params = load_model(args)
    # The target is checked before the export, but after loading: the new folder may have the model's name.
    make_folder(args.out.parent)
    check_file_target(args.out)
    export_network(model, params, args.out, platforms=args.platforms, shape=args.shape)
    network = load_exported(args.out)
    logger.info(
        "%s: %.1f MB, %s, [%s], for %s",
        args.out, args.out.stat().st_size / 1e6, network.dtype, ", ".join(map(str, network.shape)),
        ", ".join(network.platforms),
    )  # fmt: skip
    if not network.runs_here():
        logger.info("%s: not tested, as this machine is not one of these platforms", args.out)
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
