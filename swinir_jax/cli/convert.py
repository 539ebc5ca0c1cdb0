"""`swinir-jax convert`, also `python convert_weights.py`."""

import argparse
import logging

from swinir_jax.checkpoints.convert import convert, convert_ends
from swinir_jax.checkpoints.ends import DEFAULT_STRENGTH
from swinir_jax.cli.devices import check_devices
from swinir_jax.cli.model_options import add_weight_options, split_names, weight_options
from swinir_jax.cli.paths import named_path
from swinir_jax.config import SwinIRConfig
from swinir_jax.errors import InputError

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "source",
        nargs="?",
        help="read this weight file (.pth, .safetensors, ...) or its https address, model folder, run or named model",
    )
    parser.add_argument(
        "target",
        nargs="?",
        type=named_path,
        help="write a new model folder, or a .safetensors file with the official names",
    )
    parser.add_argument(
        "--out", type=named_path, metavar="TARGET", help="write the target here, in place of a name behind SOURCE"
    )
    several = parser.add_mutually_exclusive_group()
    several.add_argument(
        "--blend",
        type=_weighted,
        metavar="A:0.7,B:0.3",
        help=r"take the weighted mean of networks of one ancestor, in place of SOURCE; \, is a comma in a name",
    )
    several.add_argument(
        "--ends",
        type=_two,
        metavar="FAITHFUL,STRONG",
        help="write a model with two ends, in place of SOURCE; --strength chooses between them: the value here is "
        f"the default of the model (default: {DEFAULT_STRENGTH})",
    )
    parser.add_argument(
        "--small", action="store_true", help="write attention masks of the smallest image, which serve all sizes"
    )
    parser.add_argument(
        "--float16",
        action="store_true",
        help="write a .safetensors file, or a model with two ends, of half the size, rounded to float16",
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
    if sum(value is not None for value in (args.source, args.blend, args.ends)) != 1:
        raise InputError("Name one source: SOURCE, --blend or --ends; behind these two, the target is --out TARGET.")
    if (args.target is None) == (args.out is None):
        raise InputError("Name one target: SOURCE TARGET, or --out TARGET.")
    check_devices()
    target = args.target or args.out
    options = {
        "float16": args.float16,
        "to_img_range": args.to_img_range,
        "progress": not args.quiet,
        **weight_options(args),
    }
    if args.ends:
        config, parameters = convert_ends(args.ends, target, **options)
    else:
        config, parameters = convert(args.blend or [(args.source, 1.0)], target, small=args.small, **options)
    logger.info("%s: %s, %s parameters", target, _describe(config), f"{parameters:,}")
    return 0


def _weighted(text: str) -> list[tuple[str, float]]:
    parts = [part.rpartition(":") for part in split_names(text)]
    try:
        sources = [(name, float(weight)) for name, _, weight in parts]
    except ValueError:
        sources = []
    if len(sources) < 2 or not all(name for name, _ in sources):
        raise argparse.ArgumentTypeError(f"a blend is two or more of NAME:WEIGHT with commas between, not {text!r}")
    return sources


def _two(text: str) -> tuple[str, str]:
    names = split_names(text)
    if len(names) != 2 or not all(names):
        raise argparse.ArgumentTypeError(f"the ends are two names with a comma between, not {text!r}")
    return names[0], names[1]


def _describe(config: SwinIRConfig) -> str:
    """Describes an architecture: `enlarges by 2 (pixelshuffledirect), 3 channels, 4 RSTBs of 60 features`."""
    task = f"enlarges by {config.upscale} ({config.upsampler})" if config.upsampler else "keeps the size"
    channels = "1 channel" if config.in_chans == 1 else f"{config.in_chans} channels"
    blocks = "1 RSTB" if len(config.depths) == 1 else f"{len(config.depths)} RSTBs"
    return f"{task}, {channels}, {blocks} of {config.embed_dim} features"
