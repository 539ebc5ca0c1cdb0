"""The state before the first step, with random weights or those of another network."""

import logging
import math
import os
import re
from collections.abc import Mapping
from typing import Any

import flax
import numpy as np
from jax.sharding import Mesh

from swinir_jax.checkpoints.convert import with_img_range
from swinir_jax.checkpoints.pretrained import load_pretrained
from swinir_jax.config import SwinIRConfig
from swinir_jax.errors import InputError
from swinir_jax.training.experiment import Experiment
from swinir_jax.training.sharding import place_state
from swinir_jax.training.state import TrainState, create_state

logger = logging.getLogger(__name__)

_BODY = "layers_"
_TABLE = "/relative_position_bias_table"


def first_state(experiment: Experiment, mesh: Mesh) -> TrainState:
    """Returns the state before the first step, on the devices of a mesh; logs what `init_from` has given.

    Raises:
      InputError: as `initialise_from`.
    """
    state = create_state(experiment)
    if experiment.init_from:
        params, taken, drawn = initialise_from(experiment.init_from, experiment.network, state.params)
        logger.info("Taken from %s, %d arrays: %s", experiment.init_from, len(taken), _brief(taken))
        logger.info("Drawn at random, %d arrays: %s", len(drawn), _brief(drawn) or "none")
        state = create_state(experiment, params)
    return place_state(mesh, state)


def initialise_from(
    name: str | os.PathLike[str], config: SwinIRConfig, params: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str], list[str]]:
    """Replaces parameters by those of another network with the same names and shapes.

    From x2 to x4, all parameters but the upsampler's are replaced. The weights are first converted to the new
    `img_range`, and position tables of larger windows are cropped to the middle.

    Args:
      name: weights, as for `load_pretrained`.
      config: configuration of the network to train.
      params: random parameters of the network to train.

    Returns:
      The parameters, and the sorted paths (such as `conv_first/kernel`) of the replaced and of the random ones.

    Raises:
      InputError: if the weights cannot be loaded, or fit no layer of the body.
    """
    model, source = load_pretrained(name)
    source = with_img_range(source, model.config, config.img_range)
    target = flax.traverse_util.flatten_dict(dict(params), sep="/")
    found = flax.traverse_util.flatten_dict(source, sep="/")
    for path, values in found.items():
        if path.endswith(_TABLE) and path in target:
            found[path] = _crop(values, np.shape(target[path]))
    carried = sorted(path for path in target if path in found and found[path].shape == np.shape(target[path]))
    # Biases and position tables of unrelated networks can have equal shapes, and all kernels of two families.
    same_family = model.config.family == config.family
    if not same_family or not any(path.startswith(_BODY) and path.endswith("/kernel") for path in carried):
        source_sizes, target_sizes = (
            f"family={c.family}, embed_dim={c.embed_dim}, depths={c.depths}" for c in (model.config, config)
        )
        raise InputError(f"{name}: no layer of this network ({source_sizes}) fits the one to train ({target_sizes}).")
    target |= {path: found[path] for path in carried}
    return flax.traverse_util.unflatten_dict(target, sep="/"), carried, sorted(target.keys() - set(carried))


def _crop(table: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Crops a table `[(2 * M - 1) ** 2, heads]`, with one row for each offset in a window of side M, to the middle."""
    side, new_side = math.isqrt(table.shape[0]), math.isqrt(shape[0])
    if new_side > side:
        return table
    middle = slice((side - new_side) // 2, (side + new_side) // 2)
    return table.reshape(side, side, -1)[middle, middle].reshape(new_side**2, -1)


def _brief(paths: list[str]) -> str:
    """Joins the first names of paths, with `*` for numbers, as in `conv_first, layers_*, norm`."""
    return ", ".join(dict.fromkeys(re.sub(r"_\d+", "_*", path.partition("/")[0]) for path in paths))
