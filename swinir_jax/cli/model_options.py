"""Options about models that several commands share."""

import argparse
from typing import Any


def add_weight_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `load_pretrained`."""
    group = parser.add_argument_group("weights")
    group.add_argument(
        "--weights", choices=["ema", "raw"], default="ema", help="which to take of a file that has both (default: ema)"
    )
    group.add_argument("--weights-dir", metavar="DIR", help="folder in which official weights are looked for first")
    group.add_argument(
        "--img-range",
        type=float,
        metavar="X",
        help="in place of the rule: 255 for a window of 7 without upsampler, else 1",
    )
    group.add_argument("--qk-scale", type=float, metavar="X", help="in place of the rule: 1 / sqrt(head dimension)")


def weight_options(args: argparse.Namespace) -> dict[str, Any]:
    """The parsed options, as keyword arguments of `load_pretrained`."""
    return {name: getattr(args, name) for name in ("weights", "weights_dir", "img_range", "qk_scale")}


def tile_option(text: str) -> int | str:
    """Parses `--tile`: "auto" or a number of pixels."""
    return text if text == "auto" else int(text)
