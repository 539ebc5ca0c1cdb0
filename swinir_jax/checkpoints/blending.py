"""Blends networks of one ancestor: weighted means of their parameters."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import flax
import numpy as np

from swinir_jax.checkpoints.names import check_params, shape_problems
from swinir_jax.errors import InputError, first_few


def blend(networks: Sequence[tuple[Mapping[str, Any], float]]) -> dict[str, Any]:
    """Blends the parameters of several networks.

    The result restores well if the networks descend from one ancestor, such as a network and its fine-tuned copy.

    Args:
      networks: parameters, as from `load_pretrained`, and weight of each network; the weights sum to 1. All networks
        have one architecture and one `img_range`.

    Returns:
      The weighted mean, float32; a network of weight 1 beside weights of 0 stays the same bit for bit.

    Raises:
      InputError: if the weights do not sum to 1, names or shapes of parameters differ, or something else is given for
        parameters.
    """
    check_weights([weight for _, weight in networks])
    for params, _ in networks:
        check_params(params)
    trees = [flax.traverse_util.flatten_dict(dict(params), sep="/") for params, _ in networks]
    shapes = [{path: np.shape(leaf) for path, leaf in tree.items()} for tree in trees]
    for number, found in enumerate(shapes[1:], 2):
        if problems := shape_problems(found, shapes[0]):
            raise InputError(f"Network {number} does not fit the first one: {first_few(sorted(problems))}.")
    mean = {
        path: _mean([(tree[path], weight) for tree, (_, weight) in zip(trees, networks, strict=True) if weight])
        for path in trees[0]
    }
    return flax.traverse_util.unflatten_dict(mean, sep="/")


def check_weights(weights: Sequence[float]) -> None:
    """Raises InputError if the weights of a blend do not sum to 1."""
    total = sum(weights)
    if not math.isclose(total, 1, abs_tol=1e-6):  # also if a weight is not finite
        terms = " + ".join(f"{weight:g}" for weight in weights) or "no weight"
        raise InputError(f"The weights of a blend must sum to 1, but {terms} is {total:g}.")


def _mean(leaves: Sequence[tuple[Any, float]]) -> np.ndarray:
    first, *others = (weight * np.asarray(leaf, np.float64) for leaf, weight in leaves)
    return sum(others, start=first).astype(np.float32)  # `start`, because 0 + -0.0 is 0.0
