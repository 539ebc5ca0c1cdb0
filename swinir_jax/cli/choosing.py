"""Networks for photographs: those that the purpose calls for, or the one that the user names."""

import argparse
import logging

import jax.numpy as jnp

from swinir_jax.checkpoints.pretrained import load_pretrained
from swinir_jax.checkpoints.purposes import (
    DEFAULT_PURPOSE,
    PURPOSES,
    SCALES,
    Choice,
    Pass,
    choose_models,
    describe_passes,
    further_passes,
)
from swinir_jax.errors import InputError
from swinir_jax.inference.chain import Network

logger = logging.getLogger(__name__)


def add_purpose_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that choose networks where --model names none."""
    group = parser.add_argument_group("choice of the networks")
    labels = ", ".join(f'{name} "{purpose.label}"' for name, purpose in PURPOSES.items())
    group.add_argument("--for", choices=PURPOSES, dest="purpose", help=f"{labels} (default: {DEFAULT_PURPOSE})")
    scales = ", ".join(f"{purpose.scale} for {name}" for name, purpose in PURPOSES.items())
    group.add_argument(
        "--scale", type=int, choices=SCALES, help=f"enlargement (default: {scales}; with --model, the network's own)"
    )
    group.add_argument(
        "--best", action="store_true", help="take large official networks, which are downloaded at first use"
    )
    levels = "; ".join(
        f"{name}: {purpose.level_name} {', '.join(map(str, purpose.levels))} (default: {purpose.level})"
        for name, purpose in PURPOSES.items()
        if purpose.levels
    )
    group.add_argument("--level", type=int, metavar="N", help=f"degradation that the picture has; {levels}")


def choose_by_options(args: argparse.Namespace) -> Choice | None:
    """Chooses networks by the options, and logs the choice in a line; returns None if --model names a network.

    Raises:
      InputError: if an option has a wrong value, or --model is given beside an option that chooses a network.
    """
    if args.model is None:
        choice = choose_models(
            args.purpose or DEFAULT_PURPOSE,
            args.scale,
            quality="best" if args.best else "fast",
            level=args.level,
            weights_dir=args.weights_dir,
        )
        logger.info("%s%s", choice, f", as --best does by {choice.better}" if choice.better else "")
        return choice
    for given, name in ((args.purpose, "--for"), (args.best or None, "--best"), (args.level, "--level")):
        if given is not None:
            raise InputError(f"{name} chooses a network, and --model {args.model} names one; leave out one of the two.")
    return None


def load_others(args: argparse.Namespace, choice: Choice | None, first: Network) -> tuple[list[Network], int]:
    """Loads the networks that follow the first one.

    Args:
      args: options, of which those about weight files concern the first network alone.
      choice: choice by the options; None to enlarge the first network's answer to --scale, which is logged in a line.
      first: the first network.

    Returns:
      Models and parameters in the order in which they run, and the enlargement of the result.

    Raises:
      InputError: as `load_pretrained` does.
    """
    if choice:
        scale, others = choice.scale, choice.passes[1:]
    else:
        own = first[0].config.upscale
        scale = args.scale or own
        others = further_passes(own, scale, args.weights_dir)
        if scale != own:
            logger.info("scale %d: %s", scale, describe_passes((Pass(args.model, own, "given"), *others), scale))
    options = {"dtype": jnp.dtype(args.dtype), "weights_dir": args.weights_dir, "progress": not args.quiet}
    return [first, *(load_pretrained(step.source, **options) for step in others)], scale
