"""Export of a network to a file that runs without the model's code."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from swinir_jax.checkpoints.names import check_network
from swinir_jax.errors import InputError, is_int
from swinir_jax.exported import SelfTest, pack, samples
from swinir_jax.files import write_bytes
from swinir_jax.inference.network import network_for
from swinir_jax.inference.restorer import check_answer
from swinir_jax.models import SwinIR

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")

TOLERANCES: Mapping[str, float] = {"float32": 1e-4, "bfloat16": 1e-2}
"""Dtype -> tolerance of the self-test, well above rounding errors (1e-6 and 1e-3) and well below wrong results."""


def export_network(
    model: SwinIR,
    params: Mapping[str, Any],
    path: str | os.PathLike[str],
    *,
    platforms: Sequence[str] = PLATFORMS,
    shape: Sequence[int] | None = None,
) -> None:
    """Writes a network with its weights to a file for `load_exported`.

    The program is lowered for each platform, which this machine need not have, and compiled where it runs, once for
    each shape. A file for CPUs only contains the program of `swinir_jax.cpu`, which is two to three times as fast on a
    CPU as the program for all platforms.

    Args:
      model: network from `load_pretrained`; float32 or bfloat16.
      params: parameters from `load_pretrained`.
      path: file to write or replace.
      platforms: platforms of the program, from `PLATFORMS`.
      shape: fixed `[B, H, W, C]` of the input, H and W multiples of the window; None for any batch and size.

    Raises:
      InputError: if the parameters do not fit the network, its answer is not finite, it cannot be exported with this
        shape, dtype or platform, or the file cannot be written.
    """
    check_network(model, params)
    config, dtype = model.config, jnp.dtype(model.dtype).name
    unknown = [name for name in platforms if name not in PLATFORMS]
    if unknown or not platforms:
        raise InputError(f"Platforms are {', '.join(PLATFORMS)}, got {', '.join(unknown) or 'none'}.")
    if dtype not in TOLERANCES:
        raise InputError(f"Networks are exported in {' or '.join(TOLERANCES)}, got {dtype}.")
    m = config.side_multiple
    if shape is None and config.ape:
        height, width = config.example_sides
        raise InputError(f"This network, with ape, takes only one size: shape=(B, {height}, {width}, C).")
    if shape is not None:
        _check_shape(shape, model)
        shape = tuple(map(int, shape))  # of integers of NumPy, too

    network = network_for(model, "cpu", fast=set(platforms) == {"cpu"})
    weights = network.prepare(params)

    def restore(lq: jax.Array) -> Any:
        return network.restore(weights, lq)

    dims = jax.export.symbolic_shape(f"b, {m}*h, {m}*w, {config.in_chans}") if shape is None else shape
    with _without_source_lines(), jax.disable_jit(False):  # nothing could be lowered under `disable_jit`
        program = jax.export.export(jax.jit(restore), platforms=platforms)(jax.ShapeDtypeStruct(dims, jnp.float32))
    # The input of the default self-test needs padding, and has shifted windows.
    test_shape = (2, 2 * m + 3, 3 * m - 2, config.in_chans) if shape is None else shape
    test = SelfTest(seed=0, shape=test_shape, tolerance=TOLERANCES[dtype])
    expected = np.asarray(jax.jit(restore)(test.input()))
    check_answer(expected)
    write_bytes(Path(path), pack(program, config, dtype, test, samples(expected)))


@contextlib.contextmanager
def _without_source_lines() -> Iterator[None]:
    """Keeps source paths out of programs, so that equal exports are equal files on all machines."""
    name = "jax_traceback_in_locations_limit"
    limit = getattr(jax.config, name)
    jax.config.update(name, 0)
    try:
        yield
    finally:
        jax.config.update(name, limit)


def _check_shape(shape: Sequence[int], model: SwinIR) -> None:
    config, text = model.config, ",".join(map(str, shape))
    if len(shape) != 4 or not all(map(is_int, shape)) or min(shape) < 1 or shape[3] != config.in_chans:
        raise InputError(f"The shape must be [B, H, W, {config.in_chans}] for this network, got {text}.")
    if shape[1] % config.side_multiple or shape[2] % config.side_multiple:
        raise InputError(f"H and W of a shape must be multiples of {config.side_multiple}, got {text}.")
    if config.ape and (shape[1], shape[2]) != config.example_sides:
        height, width = config.example_sides
        raise InputError(f"This network, with ape, takes only H={height} and W={width}, got {text}.")
