"""Export of a network to an ONNX file."""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from swinir_jax.checkpoints.names import check_network
from swinir_jax.config import SwinIRConfig
from swinir_jax.errors import InputError, is_int
from swinir_jax.files import write_bytes
from swinir_jax.inference.network import network_for
from swinir_jax.inference.restorer import check_answer
from swinir_jax.models import SwinIR
from swinir_jax.onnx.check import METADATA, OnnxSelfTest
from swinir_jax.onnx.file import needed, onnx_file


def export_onnx(
    model: SwinIR,
    params: Mapping[str, Any],
    path: str | os.PathLike[str],
    *,
    shape: Sequence[int] | None = None,
    float16: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> float:
    """Writes a network with its weights to an ONNX file, which runs without this package.

    The file takes `image`, `[1, C, h, w]` float32 in [0, 1], and gives `restored`, `[1, C, h * upscale, w * upscale]`,
    about [0, 1], not clipped. The file pads the image to multiples of the window, and holds JAX's answers to
    random images, for `check_onnx`. Swin2SR's networks with several answers give the first alone.

    Args:
      model: network from `load_pretrained`, float32.
      params: parameters from `load_pretrained`.
      path: file to write or replace.
      shape: fixed (h, w) of the image; None for any size.
      float16: whether kernels and tables of the weights are stored as float16, in half of the space; the arithmetic
        stays float32.
      metadata: entries for the file's metadata, such as the model's name and licence.

    Returns:
      Relative change `||y - exact|| / ||exact||` that float16 storage makes in JAX's answers; 0 for float32.

    Raises:
      InputError: if the parameters do not fit the network, its answer is not finite, it cannot be exported with this
        shape or dtype, weights are too large for float16, the package `onnx` is not installed, or the file cannot be
        written.
    """
    needed("onnx")
    check_network(model, params)
    c, dtype = model.config, jnp.dtype(model.dtype).name
    if dtype != "float32":
        raise InputError(f"ONNX files compute in float32, not in {dtype}.")
    _check_shape(shape, c)
    shape = None if shape is None else [*map(int, shape)]

    exact = jax.tree.map(_as_float32, dict(params))
    stored = jax.tree.map(_as_float16, exact) if float16 else exact
    tests, change = _self_tests(model, exact, stored, shape)
    entries = {
        **(metadata or {}),
        "scale": str(c.upscale),
        "channels": str(c.in_chans),
        "window": str(c.side_multiple),
        "weights": "float16" if float16 else "float32",
        "config": json.dumps(c.to_dict()),
        METADATA: json.dumps([dataclasses.asdict(test) for test in tests]),
    }
    write_bytes(Path(path), onnx_file(c, stored, shape=shape, metadata=entries))
    return change


def _check_shape(shape: Sequence[int] | None, config: SwinIRConfig) -> None:
    if shape is not None and (len(shape) != 2 or not all(map(is_int, shape)) or min(shape) < 1):
        raise InputError(f"The shape of an ONNX file's image is HxW, such as 256x256; got {','.join(map(str, shape))}.")
    if config.ape and (shape is None or tuple(s + -s % config.side_multiple for s in shape) != config.example_sides):
        height, width = config.example_sides
        got = "any size" if shape is None else "x".join(map(str, shape))
        raise InputError(f"This network, with ape, takes one size: the shape must be {height}x{width}, got {got}.")


def _as_float16(values: np.ndarray) -> np.ndarray:
    """Rounds kernels and tables to float16; vectors of any rank, which take little space, stay float32."""
    if values.squeeze().ndim < 2:
        return values
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float16)
    if not np.isfinite(rounded).all():
        raise InputError("Weights of this network are above 65504 or not finite; store them as float32.")
    return rounded


def _self_tests(
    model: SwinIR, exact: Mapping[str, Any], stored: Mapping[str, Any], shape: Sequence[int] | None
) -> tuple[list[OnnxSelfTest], float]:
    """Returns tests with JAX's answers by stored weights, and the relative change from those by exact weights.

    The first image needs padding and has shifted windows; the second is smaller than its padding.
    """
    c, m = model.config, model.config.side_multiple
    sizes = [(2 * m + 3, 3 * m - 2), (max(1, m // 3), 2 * m + 1)] if shape is None else [tuple(shape)]
    network = network_for(model, "cpu")
    restore = jax.jit(network.restore)
    weights = [network.prepare(jax.tree.map(_as_float32, params)) for params in (exact, stored)]
    tests, changes = [], []
    for seed, size in enumerate(sizes):
        test = OnnxSelfTest(seed=seed, shape=(1, c.in_chans, *size))
        lq = test.image().transpose(0, 2, 3, 1)
        by_exact, by_stored = (np.asarray(restore(w, lq)) for w in weights)
        check_answer(by_stored)
        tests.append(test.answered(by_stored.transpose(0, 3, 1, 2)))
        changes.append(np.linalg.norm(by_stored - by_exact) / np.linalg.norm(by_exact))
    return tests, float(np.max(changes))


def _as_float32(values: Any) -> np.ndarray:
    return np.asarray(values, np.float32)
