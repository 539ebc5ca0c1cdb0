"""Starting a network from another one's weights."""

import math
import os
from collections.abc import Mapping
from typing import Any

import flax
import numpy as np

from swinir_jax.checkpoints.convert import with_img_range
from swinir_jax.checkpoints.pretrained import load_pretrained
from swinir_jax.config import SwinIRConfig
from swinir_jax.errors import InputError

_BODY = "layers_"
_TABLE = "/relative_position_bias_table"


def initialise_from(
    name: str | os.PathLike[str], config: SwinIRConfig, params: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str], list[str]]:
    """Takes over each parameter that the other network has under the same name and in the same shape.

    From x2 to x4, that is all but the upsampler. A network of another `img_range` is rewritten to the new one first; of
    position tables for larger windows the middle is taken.

    Args:
      name: anything that `load_pretrained` takes.
      config: of the network to train.
      params: its parameters as drawn at random.

    Returns:
      The parameters, and the sorted paths (`conv_first/kernel`) of those carried over and of the others.

    Raises:
      InputError: if the weights cannot be loaded, or share no layer of the body.
    """
    model, source = load_pretrained(name)
    source, _ = with_img_range(source, model.config, config.img_range)
    target = flax.traverse_util.flatten_dict(dict(params), sep="/")
    found = flax.traverse_util.flatten_dict(source, sep="/")
    for path, values in found.items():
        if path.endswith(_TABLE) and path in target:
            found[path] = _cut(values, np.shape(target[path]))
    carried = sorted(path for path in target if path in found and found[path].shape == np.shape(target[path]))
    # Biases and position tables of unrelated networks have the same shape now and then.
    if not any(path.startswith(_BODY) and path.endswith("/kernel") for path in carried):
        theirs, ours = (f"embed_dim={c.embed_dim}, depths={c.depths}" for c in (model.config, config))
        raise InputError(f"{name}: no layer of this network ({theirs}) fits the one to train ({ours}).")
    target |= {path: found[path] for path in carried}
    return flax.traverse_util.unflatten_dict(target, sep="/"), carried, sorted(target.keys() - set(carried))


def _cut(table: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The middle of a table `[(2 * M - 1) ** 2, heads]`, one entry for each offset in a window of side M."""
    theirs, ours = math.isqrt(table.shape[0]), math.isqrt(shape[0])
    if ours > theirs:
        return table
    middle = slice((theirs - ours) // 2, (theirs + ours) // 2)
    return table.reshape(theirs, theirs, -1)[middle, middle].reshape(ours**2, -1)
