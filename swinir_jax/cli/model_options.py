"""Options about models that several commands share."""

import argparse
import re
from typing import Any

from swinir_jax.checkpoints.architecture import RULES
from swinir_jax.checkpoints.zoo import DEFAULT_MODEL


def add_weight_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `load_pretrained`."""
    group = parser.add_argument_group("weights")
    group.add_argument(
        "--weights", choices=["ema", "raw"], default="ema", help="of a file that has both (default: ema)"
    )
    group.add_argument("--weights-dir", metavar="DIR", help="folder in which official weights are looked for first")
    group.add_argument(
        "--shift",
        action=argparse.BooleanOptionalAction,
        help="whether windows shift, where no file tells; not if trained on patches of one window (default: yes)",
    )
    for name, rule in RULES.items():
        option = f"--{name.replace('_', '-')}"
        group.add_argument(option, type=float, metavar="X", help=f"in place of the rule: {rule}")


def weight_options(args: argparse.Namespace) -> dict[str, Any]:
    """The parsed options, as keyword arguments of `load_pretrained`."""
    return {name: getattr(args, name) for name in ("weights", "weights_dir", "shift", *RULES)}


def add_restorer_options(parser: argparse.ArgumentParser, also: str = "") -> None:
    """Adds the model and how it runs."""
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        help=f"a name, a folder, a weight file or its https address{also} (default: %(default)s)",
    )
    parser.add_argument(
        "--self-ensemble",
        action="store_true",
        help="average over 8 flips and turns (the paper's +): better, 8 times slower",
    )
    parser.add_argument(
        "--dtype", choices=["float32", "bfloat16"], default="float32", help="of matrix products and convolutions"
    )
    parser.add_argument(
        "--tile",
        type=_tile,
        default="auto",
        metavar="auto|N|0",
        help="largest side of tiles in pixels; 0: whole images; auto: whole where they fit in memory (default)",
    )


def add_memory_option(parser: argparse.ArgumentParser) -> None:
    """Adds how much memory the process may take."""
    parser.add_argument(
        "--memory",
        type=_bytes,
        metavar="SIZE",
        help="2GB, 500MB: larger images are restored by rows, and go on if killed (default: a share of what is free)",
    )


def _bytes(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kmgt])(i?)b?", text.lower())
    if not match:
        raise argparse.ArgumentTypeError(f"a size is like 2GB or 500MB, not {text!r}")
    number, unit, binary = match.groups()
    return int(float(number) * (1024 if binary else 1000) ** (1 + "kmgt".index(unit)))


def _tile(text: str) -> int | str:
    return text if text == "auto" else int(text)
