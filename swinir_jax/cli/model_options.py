"""Options about models that several commands share; imports JAX only to load a model."""

import argparse
import math
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from swinir_jax.checkpoints.architecture import RULES
from swinir_jax.checkpoints.download import is_address
from swinir_jax.checkpoints.folders import is_two_ended
from swinir_jax.checkpoints.zoo import DEFAULT_MODEL, OFFICIAL, bundled_models, model_path, unknown_model
from swinir_jax.errors import InputError, option

if TYPE_CHECKING:
    from swinir_jax.models import SwinIR

SEVERAL = ", or several with commas between, which run in turn"
"""End of the help on --model for commands that take several networks."""

# Arguments of the network that no weight file holds.
_MEANINGS = {
    "img_range": "multiply pixel values by X inside the network",
    "qk_scale": "multiply the scores of attention by X",
}


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
        help=f"take this network: the name of a model, a model folder, a weight file or its https address{others} "
        f"(default: {default or 'by the picture, see --for'})",
    )
    parser.add_argument(
        "--dtype",
        choices=["float32", "bfloat16"],
        default="float32",
        help="compute in bfloat16, which is coarser, and faster on GPUs, TPUs and some CPUs (default: %(default)s)",
    )


def add_weight_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Adds the options of `load_pretrained` about weight files; returns the group of advanced options."""
    group = parser.add_argument_group("weights")
    group.add_argument(
        "--weights",
        choices=["ema", "raw"],
        default="ema",
        help="take the averaged weights (ema) or those of the last step (raw) from a file with both (default: ema)",
    )
    group.add_argument("--weights-dir", metavar="DIR", help="search this folder first for official weights")
    group.add_argument(
        "--strength",
        type=float,
        metavar="0..1",
        help="choose between the two ends of the networks for photographs, or of a model that `convert --ends` wrote: "
        "0 keeps more, grain and texture, too, 1 takes more out (default: the model's)",
    )
    advanced = parser.add_argument_group("advanced")
    advanced.add_argument(
        "--shift",
        action=argparse.BooleanOptionalAction,
        help="say whether windows shift, if the weight file does not; a network that was trained on patches of one "
        "window has --no-shift (default: --shift)",
    )
    for name, rule in RULES.items():
        advanced.add_argument(option(name), type=float, metavar="X", help=f"{_MEANINGS[name]} (default: {rule})")
    return advanced


def add_restorer_options(
    parser: argparse.ArgumentParser, others: str = "", *, default: str | None = DEFAULT_MODEL
) -> None:
    """Adds the model, as `add_model_options`, and the options of `Restorer` that all commands share."""
    add_model_options(parser, others, default=default)
    parser.add_argument(
        "--self-ensemble",
        action="store_true",
        help="average over 8 flips and rotations of the image: a little better, 8 times slower",
    )
    add_tile_option(parser)


def add_tile_option(parser: argparse.ArgumentParser) -> None:
    """Adds the size of tiles."""
    parser.add_argument(
        "--tile",
        type=_tile,
        default="auto",
        metavar="auto|N|0",
        help="restore in tiles of at most N pixels a side; 0 takes whole images; auto takes whole images that fit in "
        "memory, and others in tiles (default: %(default)s)",
    )


def add_memory_option(parser: argparse.ArgumentParser) -> None:
    """Adds the memory that the process may take."""
    parser.add_argument(
        "--memory",
        type=size_in_bytes,
        metavar="SIZE",
        help="use at most this much memory, such as 2GB or 500MB; larger images are restored by rows, and continued "
        "after a crash (default: a share of the free memory)",
    )


def add_pixels_option(parser: argparse.ArgumentParser, *, default: int | None = None) -> None:
    """Adds the largest number of pixels of a picture; None for no limit."""
    parser.add_argument(
        "--max-pixels",
        type=pixels_in_millions,
        default=default,
        metavar="MILLIONS",
        help=f"refuse pictures of more millions of pixels (default: {f'{default / 1e6:g}' if default else 'no limit'})",
    )


def split_names(text: str) -> list[str]:
    """Splits the value of an option at commas.

    A comma behind a backslash belongs to a name, and so do all commas of a file or folder that exists. Spaces around
    names do not count.
    """
    if os.path.exists(text):
        return [text]
    return [name.strip().replace(r"\,", ",") for name in re.split(r"(?<!\\),", text)]


def model_names(text: str) -> list[str]:
    """Splits the value of --model, as `split_names`; raises InputError for an empty name among several."""
    names = split_names(text)
    if "" in names:
        raise InputError(f"--model {text}: a name is empty; several names have single commas between them.")
    return names


def check_model(name: str, strength: float | None) -> None:
    """Checks what can be known of a model before it is loaded.

    Args:
      name: name for `load_pretrained`.
      strength: value of --strength; None if it is not given.

    Raises:
      InputError: if there is no such file, folder or model, or the strength is out of its range or not the model's.
      OSError: if the name is no path that the system allows.
    """
    path = model_path(name)
    if not (is_address(name) or "://" in name or name.removesuffix(".pth") in OFFICIAL):
        try:
            os.stat(path)
        except FileNotFoundError as error:
            raise unknown_model(name) from error
    if strength is None:
        return
    if not 0 <= strength <= 1:
        raise InputError(f"--strength must be 0 to 1, got {strength:g}.")
    if not (is_two_ended(path) or is_address(name)):
        ended = ", ".join(known for known, folder in bundled_models().items() if is_two_ended(folder))
        raise InputError(
            f"--strength {strength:g}: {name} cannot be made more faithful or stronger, of the bundled models, "
            f"{ended} can; leave --strength out."
        )


def weight_options(args: argparse.Namespace) -> dict[str, Any]:
    """Returns the options about weight files as keyword arguments of `load_pretrained`."""
    return {name: getattr(args, name) for name in ("weights", "weights_dir", "shift", "strength", *RULES)}


def load_model(args: argparse.Namespace, name: str | None = None) -> tuple["SwinIR", Mapping[str, Any]]:
    """Loads the model that `name` or --model names; raises the errors of `load_pretrained`."""
    import jax.numpy as jnp

    from swinir_jax.checkpoints.pretrained import load_pretrained
    from swinir_jax.cli.devices import check_devices

    check_devices()
    dtype = jnp.dtype(args.dtype)
    return load_pretrained(name or args.model, dtype=dtype, progress=not args.quiet, **weight_options(args))


def size_in_bytes(text: str) -> int:
    """Parses a size such as `2GB` or `500 MB`; raises argparse's error for other texts."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kmgt])(i?)b?", text.lower())
    if not match:
        raise argparse.ArgumentTypeError(f"a size is like 2GB or 500MB, not {text!r}")
    number, unit, binary = match.groups()
    size = int(float(number) * (1024 if binary else 1000) ** (1 + "kmgt".index(unit)))
    if not size:
        raise argparse.ArgumentTypeError(f"a size is above 0, not {text!r}")
    return size


def pixels_in_millions(text: str) -> int:
    """Parses millions of pixels, such as `200` or `0.5`, to pixels; raises argparse's error for other texts."""
    try:
        millions = float(text)
    except ValueError:
        millions = math.nan
    if not 0 < millions < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of millions above 0, got {text!r}")
    return math.ceil(millions * 1e6)


def _tile(text: str) -> int | str:
    if text != "auto" and not re.fullmatch(r"-?\d+", text):
        raise argparse.ArgumentTypeError(f"must be auto or a number of pixels, not {text!r}")
    return text if text == "auto" else int(text)
