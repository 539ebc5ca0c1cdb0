"""Converts official parameter names and layouts into the Flax parameter tree and back, bit for bit."""

import dataclasses
import functools
import itertools
import math
import re
from collections.abc import Mapping
from typing import Any, TypeVar

import flax
import jax
import jax.numpy as jnp
import numpy as np

from swinir_jax.checkpoints.architecture import Tensors
from swinir_jax.config import SwinIRConfig
from swinir_jax.errors import InputError, first_few
from swinir_jax.models import SwinIR
from swinir_jax.models.windows import relative_coordinates, relative_position_index, shift_mask, shift_regions

T = TypeVar("T")

_PROBLEMS_SHOWN = 10  # more than elsewhere, because the names show in what two architectures differ
BUFFERS = ("attn_mask", "relative_position_index", "relative_coords_table")

# By the rank of a `weight`: the Flax name, and the transposition from PyTorch's layout to Flax's.
_LEAVES: Mapping[int, tuple[str, tuple[int, ...]]] = {
    1: ("scale", (0,)),  # LayerNorm
    2: ("kernel", (1, 0)),  # Linear: [out, in] -> [in, out]
    4: ("kernel", (2, 3, 1, 0)),  # Conv2d: OIHW -> HWIO
}


def to_flax(name: str, tensor: np.ndarray) -> tuple[str, np.ndarray]:
    """Converts the name and the layout of an official tensor.

    Args:
      name: official name, such as `layers.0.conv.weight`.
      tensor: tensor in PyTorch's layout.

    Returns:
      The path in the Flax tree, such as `layers_0/conv/kernel`, and a view in Flax's layout.
    """
    *modules, leaf = re.sub(r"\.(\d+)(?=\.)", r"_\1", name).split(".")
    if leaf == "weight" and tensor.ndim in _LEAVES:
        leaf, axes = _LEAVES[tensor.ndim]
        tensor = tensor.transpose(axes)
    return "/".join([*modules, leaf]), tensor


def to_official(path: str, array: np.ndarray) -> tuple[str, np.ndarray]:
    """Converts the path and the layout of a Flax leaf, the inverse of `to_flax`."""
    *modules, leaf = path.split("/")
    for flax_leaf, axes in _LEAVES.values():
        if leaf == flax_leaf and array.ndim == len(axes):
            leaf, array = "weight", array.transpose(np.argsort(axes))
            break
    return ".".join([*(re.sub(r"_(\d+)$", r".\1", module) for module in modules), leaf]), array


@functools.lru_cache(maxsize=16)  # tracing takes longer than reading weights
def parameter_shapes(config: SwinIRConfig) -> Mapping[str, tuple[int, ...]]:
    """Returns the shape of each parameter by path in the Flax tree (`a/b/c`), without making arrays.

    The layers of a block are alike, so one of each block is traced.
    """
    model = SwinIR(dataclasses.replace(config, depths=(1,) * len(config.depths)))
    lq = jax.ShapeDtypeStruct((1, *config.example_sides, config.in_chans), jnp.float32)
    tree = jax.eval_shape(lambda lq: model.init(jax.random.key(0), lq), lq)["params"]  # makes no key, either
    shapes = {}
    for path, leaf in flax.traverse_util.flatten_dict(tree, sep="/").items():
        block = re.match(r"layers(?:_hf)?_(\d+)/residual_group/", path)
        for j in range(config.depths[int(block[1])] if block else 1):
            shapes[path.replace("/blocks_0/", f"/blocks_{j}/")] = leaf.shape
    return {path: shapes[path] for path in sorted(shapes, key=lambda path: path.split("/"))}  # as JAX sorts the tree


def official_shapes(config: SwinIRConfig) -> dict[str, tuple[int, ...]]:
    """Returns the shape of each parameter by official name, in PyTorch's layout."""
    named = (
        to_official(path, np.broadcast_to(np.float32(0), shape)) for path, shape in parameter_shapes(config).items()
    )
    return {name: array.shape for name, array in named}


def official_buffers(config: SwinIRConfig) -> dict[str, np.ndarray]:
    """Returns the buffers of the official class by name, of the kinds in `BUFFERS`."""
    m = config.attention_window
    of_attention = {"relative_position_index": relative_position_index(m)}
    if config.family == "swin2sr":
        of_attention["relative_coords_table"] = relative_coordinates(m).reshape(1, 2 * m - 1, 2 * m - 1, 2)
    mask = None
    if config.shift_size:
        height, width = (math.ceil(side / m) * m for side in config.img_sides)
        make_mask = jax.jit(lambda: shift_mask(shift_regions(height, width, m, config.shift_size)))  # one compilation
        mask = np.asarray(make_mask()).reshape(-1, m * m, m * m)
    buffers = {}
    bodies = ("layers", "layers_hf") if config.upsampler == "pixelshuffle_hf" else ("layers",)
    for body, (i, depth) in itertools.product(bodies, enumerate(config.depths)):
        for j in range(depth):
            block = f"{body}.{i}.residual_group.blocks.{j}"
            if mask is not None and j % 2:
                buffers[f"{block}.attn_mask"] = mask
            buffers |= {f"{block}.attn.{name}": buffer for name, buffer in of_attention.items()}
    return buffers


def split_buffers(tensors: Mapping[str, T]) -> tuple[dict[str, T], dict[str, T]]:
    """Splits a file's tensors into parameters and buffers."""
    buffers = {name: t for name, t in tensors.items() if name.rsplit(".", 1)[-1] in BUFFERS}
    return {name: t for name, t in tensors.items() if name not in buffers}, buffers


def params_from_official(tensors: Tensors, config: SwinIRConfig) -> dict[str, Any]:
    """Builds the Flax parameter tree from official tensors; buffers are checked and dropped.

    Args:
      tensors: parameters and buffers.
      config: network configuration.

    Returns:
      Nested dict of float32 arrays, as `model.init(...)["params"]`.

    Raises:
      InputError: if a tensor is missing, unexpected, not floating, not finite or has a wrong shape, or a buffer differs
        from that of the configuration; the message names the first problems and counts the others.
    """
    parameters, buffers = split_buffers(tensors)
    expected = official_shapes(config)
    problems = shape_problems({name: tensor.shape for name, tensor in parameters.items()}, expected)
    with np.errstate(over="ignore"):
        for name, tensor in parameters.items():
            if not jnp.issubdtype(tensor.dtype, jnp.floating):
                problems.append(f"{name} has dtype {tensor.dtype}, not a floating one")
            elif not np.isfinite(tensor.astype(np.float32)).all():
                problems.append(f"{name} has values that float32 cannot hold or that are not finite")
    problems += _buffer_problems(buffers, config)
    if problems:
        count = f" ({len(problems)} problems)" if len(problems) > 1 else ""
        raise InputError(f"The weights do not fit the model{count}: {first_few(sorted(problems), _PROBLEMS_SHOWN)}")
    leaves = dict(to_flax(name, tensor) for name, tensor in parameters.items())
    flat = {path: np.array(leaf, np.float32, order="C") for path, leaf in leaves.items()}  # no views of a file
    return flax.traverse_util.unflatten_dict(flat, sep="/")


def shape_problems(found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Describes every missing, unexpected or mis-shaped entry."""
    problems = [f"missing {name} {expected[name]}" for name in expected.keys() - found.keys()]
    problems += [f"unexpected {name}" for name in found.keys() - expected.keys()]
    both = expected.keys() & found.keys()
    return problems + [f"{n} has shape {found[n]}, not {expected[n]}" for n in both if found[n] != expected[n]]


def _buffer_problems(buffers: Tensors, config: SwinIRConfig) -> list[str]:
    expected = official_buffers(config) if buffers else {}
    problems = []
    for name, buffer in buffers.items():
        if name not in expected:
            problems.append(f"unexpected buffer {name}")
        elif not _same_buffer(buffer, expected[name].astype(buffer.dtype)):  # masks are saved in any dtype
            problems.append(f"buffer {name} differs from what the architecture makes")
    return problems


def _same_buffer(buffer: np.ndarray, expected: np.ndarray) -> bool:
    """Compares buffers; logarithms may differ by a rounding."""
    if buffer.shape != expected.shape or not jnp.issubdtype(buffer.dtype, jnp.floating):
        return np.array_equal(buffer, expected)
    rounding = 2 * float(jnp.finfo(buffer.dtype).eps)
    return np.allclose(buffer.astype(np.float64), expected.astype(np.float64), rtol=rounding, atol=0)


def check_network(model: SwinIR, params: Mapping[str, Any]) -> None:
    """Refuses arguments that are not a network and its parameters, by shapes alone.

    Raises:
      InputError: if they are swapped, are the variables around the parameters, do not fit each other, or have no
        values, as inside a transformation of JAX; the message names the first problems.
    """
    if not isinstance(model, SwinIR):
        raise InputError(f"The network comes first, the parameters second; got {type(model).__name__} for a SwinIR.")
    leaves = _flatten(params, model.config).values()
    if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
        raise InputError(
            "The parameters have no values inside jax.jit, vmap or grad, which trace them; "
            'there, call model.apply({"params": params}, lq).'
        )
    if any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in leaves):
        raise InputError("The parameters are shapes without values (jax.ShapeDtypeStruct), as of jax.eval_shape.")


def check_params(params: Any) -> None:
    """Refuses what is no nested dictionary, or the variables around the parameters.

    Raises:
      InputError: in these cases.
    """
    if not isinstance(params, Mapping):
        raise InputError(f"Parameters are a nested dictionary, got {type(params).__name__}.")
    if "params" in params:
        raise InputError("These are variables, the parameters are an entry of them: pass variables['params'].")


def _flatten(params: Mapping[str, Any], config: SwinIRConfig) -> dict[str, Any]:
    """Returns the leaves of a Flax parameter tree by path (`a/b/c`), once they fit."""
    check_params(params)
    flat = flax.traverse_util.flatten_dict(dict(params), sep="/")
    problems = shape_problems({path: np.shape(leaf) for path, leaf in flat.items()}, parameter_shapes(config))
    if problems:
        raise InputError(f"The parameters do not fit the model: {first_few(sorted(problems), _PROBLEMS_SHOWN)}")
    return flat


def flat_params(params: Mapping[str, Any], config: SwinIRConfig) -> dict[str, np.ndarray]:
    """Returns the leaves of a Flax parameter tree as NumPy arrays by path (`a/b/c`).

    Raises:
      InputError: if the tree does not fit the configuration; the message names the first problems.
    """
    return {path: np.asarray(leaf) for path, leaf in _flatten(params, config).items()}


def params_to_official(
    params: Mapping[str, Any], config: SwinIRConfig, *, small: bool = False
) -> dict[str, np.ndarray]:
    """Builds official tensors from the Flax parameter tree, the inverse of `params_from_official`.

    The official class loads the result with `strict=True`.

    Args:
      params: Flax parameter tree.
      config: network configuration.
      small: whether masks are those of the smallest image in which windows shift, and integers take a byte each.
        PyTorch's strict loading asks for masks and indices; masks of any image serve all sizes, and numbers of any
        type are converted.

    Returns:
      Contiguous arrays by official name, first the parameters, then the buffers.

    Raises:
      InputError: if the tree does not fit the configuration.
    """
    named = dict(to_official(path, leaf) for path, leaf in flat_params(params, config).items())
    if small and config.shift_size and not config.ape:
        config = dataclasses.replace(config, img_size=2 * config.window_size)
    buffers = official_buffers(config)
    if small:
        buffers = {name: _in_bytes(buffer) for name, buffer in buffers.items()}
    tensors = {**{name: named[name] for name in official_shapes(config)}, **buffers}
    return {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}


def _in_bytes(buffer: np.ndarray) -> np.ndarray:
    """Returns a buffer with a byte per number if that is exact: masks of 0 and -100, indices of small windows."""
    for dtype in (np.uint8, np.int8):
        with np.errstate(invalid="ignore"):  # what does not fit differs
            if np.array_equal(narrow := buffer.astype(dtype), buffer):
                return narrow
    return buffer
