"""Options about models that several commands share."""

import argparse
import re
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from swinir_jax.checkpoints.architecture import RULES
from swinir_jax.checkpoints.pretrained import load_pretrained
from swinir_jax.checkpoints.zoo import DEFAULT_MODEL
from swinir_jax.errors import option
from swinir_jax.models import SwinIR


def add_model_options(
    parser: argparse.ArgumentParser, others: str = "", *, default: str | None = DEFAULT_MODEL
) -> None:
    """Adds the model and the dtype.

    Args:
      parser: parser of the command.
      others: end of the help, with names that are not models.
      default: model of a user who names none; None if other options choose it.
    """
    parser.add_argument(
        "--model",
        default=default,
        help=f"name of a model, model folder, weight file or its https address{others} (default: "
        f"{default or 'by the picture, see --for'})",
    )
    parser.add_argument(
        "--dtype",
        choices=["float32", "bfloat16"],
        default="float32",
        help="dtype of matrix products and convolutions (default: %(default)s)",
    )


def add_weight_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `load_pretrained` about weight files."""
    group = parser.add_argument_group("weights")
    group.add_argument(
        "--weights", choices=["ema", "raw"], default="ema", help="weights to take from a file with both (default: ema)"
    )
    group.add_argument("--weights-dir", metavar="DIR", help="folder that is searched first for official weights")
    group.add_argument(
        "--shift",
        action=argparse.BooleanOptionalAction,
        help="whether windows shift, if no file says so; --no-shift for training patches of one window (default: yes)",
    )
    group.add_argument(
        "--strength",
        type=float,
        metavar="0..1",
        help="for a model with two ends: 0 is faithful, 1 sharp, the rest between (default: the model's)",
    )
    for name, rule in RULES.items():
        group.add_argument(option(name), type=float, metavar="X", help=f"value in place of the rule: {rule}")


def add_restorer_options(
    parser: argparse.ArgumentParser, others: str = "", *, default: str | None = DEFAULT_MODEL
) -> None:
    """Adds the model, as `add_model_options`, and the options of `Restorer` that all commands share."""
    add_model_options(parser, others, default=default)
    parser.add_argument(
        "--self-ensemble",
        action="store_true",
        help="average over 8 flips and rotations (the paper's +): better, 8 times slower",
    )
    add_tile_option(parser)


def add_tile_option(parser: argparse.ArgumentParser) -> None:
    """Adds the size of tiles."""
    parser.add_argument(
        "--tile",
        type=_tile,
        default="auto",
        metavar="auto|N|0",
        help="longest side of tiles in pixels; 0: whole images; auto: whole images if they fit in memory (default)",
    )


def add_memory_option(parser: argparse.ArgumentParser) -> None:
    """Adds the memory that the process may take."""
    parser.add_argument(
        "--memory",
        type=size_in_bytes,
        metavar="SIZE",
        help="such as 2GB or 500MB; larger images are restored by rows, and continued after a crash "
        "(default: a share of the free memory)",
    )


def weight_options(args: argparse.Namespace) -> dict[str, Any]:
    """Returns the options about weight files as keyword arguments of `load_pretrained`."""
    return {name: getattr(args, name) for name in ("weights", "weights_dir", "shift", "strength", *RULES)}


def load_model(args: argparse.Namespace, name: str | None = None) -> tuple[SwinIR, Mapping[str, Any]]:
    """Loads the model that `name` or --model names; raises the errors of `load_pretrained`."""
    dtype = jnp.dtype(args.dtype)
    return load_pretrained(name or args.model, dtype=dtype, progress=not args.quiet, **weight_options(args))


def size_in_bytes(text: str) -> int:
    """Parses a size such as `2GB` or `500 MB`; raises argparse's error for other texts."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kmgt])(i?)b?", text.lower())
    if not match:
        raise argparse.ArgumentTypeError(f"a size is like 2GB or 500MB, not {text!r}")
    number, unit, binary = match.groups()
    return int(float(number) * (1024 if binary else 1000) ** (1 + "kmgt".index(unit)))


def _tile(text: str) -> int | str:
    return text if text == "auto" else int(text)
