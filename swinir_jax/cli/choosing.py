"""Networks for photographs: those that the purpose calls for, or those that the user names.

Imports JAX only to load networks, so that mistakes in options are told at once.
"""

import argparse
import dataclasses
import logging
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from swinir_jax.checkpoints.download import place_of
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
from swinir_jax.checkpoints.zoo import OFFICIAL, weight_metadata
from swinir_jax.cli.model_options import check_model, load_model, model_names
from swinir_jax.errors import InputError
from swinir_jax.machine import gains_by_bfloat16

if TYPE_CHECKING:
    from swinir_jax.inference.chain import Network

logger = logging.getLogger(__name__)

_NAMED = "named by --model"


def add_purpose_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that choose networks where --model names none."""
    group = parser.add_argument_group("choice of the networks")
    labels = "; ".join(f"{name}: {_faults(purpose.label)}" for name, purpose in PURPOSES.items())
    group.add_argument(
        "--for",
        choices=PURPOSES,
        dest="purpose",
        help=f"say what the pictures are; {labels} (default: {DEFAULT_PURPOSE})",
    )
    scales = ", ".join(f"{purpose.scale} for {name}" for name, purpose in PURPOSES.items())
    group.add_argument(
        "--scale", type=int, choices=SCALES, help=f"enlarge by this factor (default: {scales}; that of --model)"
    )
    group.add_argument(
        "--best", action="store_true", help="take large official networks, which are downloaded at first use"
    )
    levels = "; ".join(
        f"{name}: {purpose.level_name} {', '.join(map(str, purpose.levels))} (default: {purpose.level})"
        for name, purpose in PURPOSES.items()
        if purpose.levels
    )
    group.add_argument("--level", type=int, metavar="N", help=f"say how strong the fault is; {levels}")


def _faults(label: str) -> str:
    """Returns the end of a purpose's label: `grain of high ISO` of `Noise: grain of high ISO`."""
    text = label.rpartition(": ")[2]
    return text[0].lower() + text[1:]


@dataclasses.dataclass(frozen=True)
class Chosen:
    """Networks that restore a photograph one after the other.

    Attributes:
      names: names of the networks in the order in which they run.
      networks: their models and parameters.
      scale: enlargement of the result.
      reason: why these networks, in a few words.
    """

    names: tuple[str, ...]
    networks: "list[Network]"
    scale: int
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """Returns the choice without models and parameters, as values of JSON."""
        return {"networks": list(self.names), "scale": self.scale, "reason": self.reason}


def describe_licenses(names: Sequence[str]) -> str:
    """Returns the end of a line on networks: `; licence of the weights: ...`; empty if no licence is known."""
    licenses = dict.fromkeys(weight_metadata(name).get("license") for name in names)
    known = [text for text in licenses if text]
    return f"; licence of the weights: {' and '.join(known)}" if known else ""


def choose(args: argparse.Namespace) -> Choice | None:
    """Chooses networks by the purpose and logs the choice in a line; loads nothing.

    Returns:
      None if --model names networks.

    Raises:
      InputError: if an option has a wrong value, --model is given beside an option that chooses a network, or there is
        no model of a name.
    """
    if args.model is None:
        choice = choose_models(
            args.purpose or DEFAULT_PURPOSE,
            args.scale,
            quality="best" if args.best else "fast",
            level=args.level,
            weights_dir=args.weights_dir,
        )
        if args.strength is not None:
            check_model(choice.passes[0].model, args.strength)
        logger.info("%s%s", choice, _hint(choice, args.weights_dir))
        return choice
    for given, name in ((args.purpose, "--for"), (args.best or None, "--best"), (args.level, "--level")):
        if given is not None:
            raise InputError(f"{name} chooses a network, and --model {args.model} names one; leave out one of the two.")
    for name in model_names(args.model):
        check_model(name, args.strength)
    return None


def _hint(choice: Choice, weights_dir: str | None) -> str:
    """Returns the end of the line on a choice: `; for noise and blur, too: --best (67 MB download)`; often empty."""
    if not choice.better:
        return ""
    size = OFFICIAL[choice.better].file_bytes / 1e6
    download = f" ({size:.0f} MB download)" if place_of(choice.better, weights_dir) == "to be fetched" else ""
    return f"; for {choice.left}, too: --best{download}"


def describe(args: argparse.Namespace, choice: Choice | None) -> dict[str, Any]:
    """Returns what `Chosen.as_dict` does, for a run that needs no network; without those that --scale adds."""
    if choice is None:
        return Chosen(tuple(model_names(args.model)), [], args.scale, _NAMED).as_dict()
    return Chosen(tuple(step.model for step in choice.passes), [], choice.scale, choice.reason).as_dict()


def load_chosen(args: argparse.Namespace, choice: Choice | None) -> Chosen:
    """Loads the networks of a choice, or else those that --model names.

    The options about weight files hold for all networks of --model, or for the first one of the purpose. On a
    processor that is no faster in bfloat16, --dtype becomes float32.

    Raises:
      InputError: if weights cannot be loaded, or the scale cannot be reached.
    """
    args.dtype = _useful_dtype(args.dtype)
    if choice:
        networks = [load_model(args, choice.passes[0].source)]
        networks += [_load_further(args, step) for step in choice.passes[1:]]
        return Chosen(tuple(step.model for step in choice.passes), networks, choice.scale, choice.reason)
    names = model_names(args.model)
    networks = [load_model(args, name) for name in names]
    scales = [model.config.upscale for model, _ in networks]
    own = math.prod(scales)
    scale = args.scale or own
    others = further_passes(own, scale, args.weights_dir)
    networks += [_load_further(args, step) for step in others]
    passes = (*(Pass(name, scale, "given") for name, scale in zip(names, scales, strict=True)), *others)
    if len(passes) > 1 or scale != own:
        logger.info("scale %d: %s", scale, describe_passes(passes, scale))
    return Chosen(tuple(step.model for step in passes), networks, scale, _NAMED)


def _useful_dtype(dtype: str) -> str:
    """Returns the dtype that was asked for, or float32 with a word where bfloat16 gains nothing."""
    import jax

    from swinir_jax.cli.devices import check_devices

    check_devices()
    if dtype != "bfloat16" or jax.default_backend() != "cpu" or gains_by_bfloat16():
        return dtype
    logger.warning(
        "--dtype bfloat16: this processor is no faster in bfloat16 (Intel's need AMX, AMD's AVX512-BF16), which is "
        "coarser; computing in float32"
    )
    return "float32"


def _load_further(args: argparse.Namespace, step: Pass) -> "Network":
    """Loads a network to which the options about weight files do not apply."""
    import jax.numpy as jnp

    from swinir_jax.checkpoints.pretrained import load_pretrained

    dtype = jnp.dtype(args.dtype)
    return load_pretrained(step.source, dtype=dtype, weights_dir=args.weights_dir, progress=not args.quiet)
