"""`swinir-jax convert`, also `python convert_weights.py`."""

import argparse
import logging
from pathlib import Path

from swinir_jax.checkpoints.convert import convert
from swinir_jax.cli.model_options import add_weight_options, weight_options

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "source", help="weight file (.pth, .safetensors, ...) or its https address, model folder, or name of a model"
    )
    parser.add_argument("target", type=Path, help="new model folder, or .safetensors file with the official names")
    parser.add_argument(
        "--small", action="store_true", help="write attention masks of the smallest image, which serve all sizes"
    )
    parser.add_argument(
        "--to-img-range",
        type=float,
        metavar="X",
        help="rescale the first and last convolution for another img_range; results stay the same",
    )
    add_weight_options(parser)


def run(args: argparse.Namespace) -> int:
    """Converts weights."""
    config, parameters = convert(
        args.source,
        args.target,
        small=args.small,
        to_img_range=args.to_img_range,
        progress=not args.quiet,
        **weight_options(args),
    )
    logger.info("%s: %s, %s parameters", args.target, config, f"{parameters:,}")
    return 0
