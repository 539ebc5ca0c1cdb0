"""`swinir-jax convert`, also `python convert_weights.py`."""

import argparse
import logging
from pathlib import Path

from swinir_jax.checkpoints.convert import convert
from swinir_jax.cli.model_options import add_weight_options, weight_options
from swinir_jax.config import SwinIRConfig

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
    logger.info("%s: %s, %s parameters", args.target, _describe(config), f"{parameters:,}")
    return 0


def _describe(config: SwinIRConfig) -> str:
    """Describes an architecture: `enlarges by 2 (pixelshuffledirect), 3 channels, 4 RSTBs of 60 features`."""
    task = f"enlarges by {config.upscale} ({config.upsampler})" if config.upsampler else "keeps the size"
    channels = "1 channel" if config.in_chans == 1 else f"{config.in_chans} channels"
    blocks = "1 RSTB" if len(config.depths) == 1 else f"{len(config.depths)} RSTBs"
    return f"{task}, {channels}, {blocks} of {config.embed_dim} features"
