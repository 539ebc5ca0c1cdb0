"""`swinir-jax export`."""

import argparse
import importlib.util
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from swinir_jax.checkpoints.zoo import weight_metadata
from swinir_jax.cli.exit_codes import TEST_FAILED
from swinir_jax.cli.model_options import add_model_options, add_weight_options, load_model
from swinir_jax.cli.paths import named_path
from swinir_jax.errors import InputError
from swinir_jax.export import PLATFORMS, export_network
from swinir_jax.exported import load_exported
from swinir_jax.files import check_file_target, make_folder
from swinir_jax.models import SwinIR
from swinir_jax.onnx.check import TOLERANCE, check_onnx
from swinir_jax.onnx.export import export_onnx

logger = logging.getLogger(__name__)

STABLEHLO, ONNX = "stablehlo", "onnx"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    file = parser.add_mutually_exclusive_group(required=True)
    file.add_argument(
        "--out", type=named_path, metavar="FILE", help="write this file, and test it if it runs on this machine"
    )
    file.add_argument(
        "--check", type=named_path, metavar="FILE", help="test an exported file by the input and output that it holds"
    )
    parser.add_argument(
        "--format",
        choices=[STABLEHLO, ONNX],
        help="write a program for JAX (stablehlo), or a graph for other runtimes (onnx; default: by the ending .onnx)",
    )
    add_model_options(parser)
    parser.add_argument(
        "--platforms",
        type=_names,
        metavar="NAME,...",
        help=f"compile for these platforms; for stablehlo (default: {','.join(PLATFORMS)})",
    )
    parser.add_argument(
        "--float16", action="store_true", help="store weights as float16, in half of the space; for onnx"
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--shape",
        type=_shape,
        metavar="SHAPE",
        help="fix the shape of the input: HxW for onnx; B,H,W,C for stablehlo, with H and W multiples of the window",
    )
    size.add_argument(
        "--dynamic", dest="shape", action="store_const", const=None, help="take inputs of any size (default)"
    )
    add_weight_options(parser)


def run(args: argparse.Namespace) -> int:
    """Exports a network, or tests an exported one."""
    path = args.out or args.check
    format = args.format or (ONNX if path.suffix.lower() == ".onnx" else STABLEHLO)
    export, test = (_export_onnx, _test_onnx) if format == ONNX else (_export_stablehlo, _test_stablehlo)
    if args.check:
        return test(args.check)
    if args.platforms and format == ONNX:
        raise InputError("--platforms is for stablehlo files; an ONNX file runs on all platforms.")
    if args.float16 and format == STABLEHLO:
        raise InputError("--float16 is for ONNX files; take --dtype bfloat16 for a stablehlo file of fewer bits.")
    model, params = load_model(args)
    # The target is checked before the export, but after loading: the new folder may have the model's name.
    make_folder(args.out.parent)
    check_file_target(args.out)
    untested = export(args, model, params)
    if untested:
        logger.info("%s: not tested, as %s", args.out, untested)
        return 0
    return test(args.out)


def _export_stablehlo(args: argparse.Namespace, model: SwinIR, params: Mapping[str, Any]) -> str:
    """Writes the file; returns why the self-test cannot run here, or nothing."""
    export_network(model, params, args.out, platforms=args.platforms or PLATFORMS, shape=args.shape)
    network = load_exported(args.out)
    logger.info(
        "%s: %.1f MB, %s, [%s], for %s",
        args.out, args.out.stat().st_size / 1e6, network.dtype, ", ".join(map(str, network.shape)),
        ", ".join(network.platforms),
    )  # fmt: skip
    return "" if network.runs_here() else "this machine is not one of these platforms"


def _test_stablehlo(path: Path) -> int:
    network = load_exported(path)
    return _report(path, network.self_test(), network.test.tolerance)


def _export_onnx(args: argparse.Namespace, model: SwinIR, params: Mapping[str, Any]) -> str:
    """Writes the file; returns why the self-test cannot run here, or nothing."""
    metadata = weight_metadata(args.model)
    change = export_onnx(model, params, args.out, shape=args.shape, float16=args.float16, metadata=metadata)
    size = "x".join(map(str, args.shape)) if args.shape else "any size"
    logger.info("%s: %.2f MB, ONNX, images of %s", args.out, args.out.stat().st_size / 1e6, size)
    if args.float16:
        logger.info("%s: storing weights as float16 changes the result by %.1e (relative)", args.out, change)
    return "" if importlib.util.find_spec("onnxruntime") else "onnxruntime is not installed"


def _test_onnx(path: Path) -> int:
    return _report(path, check_onnx(path), TOLERANCE)


def _report(path: Path, difference: float, tolerance: float) -> int:
    if difference <= tolerance:
        logger.info("%s: self-test passed, relative difference %.1e (at most %.0e)", path, difference, tolerance)
        return 0
    logger.error("%s: self-test failed, relative difference %.1e, at most %.0e allowed", path, difference, tolerance)
    return TEST_FAILED


def _names(text: str) -> list[str]:
    return text.split(",")


def _shape(text: str) -> list[int]:
    if not re.fullmatch(r"\d+([x,]\d+)*", text):
        raise argparse.ArgumentTypeError(f"a shape is like 256x256 or 1,256,256,3, not {text!r}")
    return [int(side) for side in re.split("[x,]", text)]
