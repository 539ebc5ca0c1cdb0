"""Networks as files that run without the code of the model: the side that writes."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from swinir_jax.errors import InputError
from swinir_jax.exported import SelfTest, pack, samples
from swinir_jax.files import write_bytes
from swinir_jax.inference.network import network_for
from swinir_jax.models import SwinIR

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")

# Of the self-test, by dtype: well above what another order of sums leads to (1e-6 and 1e-3), well below a wrong result.
TOLERANCES: Mapping[str, float] = {"float32": 1e-4, "bfloat16": 1e-2}


def export_network(
    model: SwinIR,
    params: Mapping[str, Any],
    path: str | os.PathLike[str],
    *,
    platforms: Sequence[str] = PLATFORMS,
    shape: Sequence[int] | None = None,
) -> None:
    """Writes a network with its weights as a file for `load_exported`.

    The platforms need not be there: the program is lowered for each, and compiled where it runs, anew for each shape.
    A file for CPUs alone has the program of `swinir_jax.cpu`, two to three times as fast there as the one for all.

    Args:
      model: from `load_pretrained`; float32 or bfloat16.
      params: from `load_pretrained`.
      path: of the file, which is replaced if it exists.
      platforms: of `PLATFORMS`, on which it is to run.
      shape: `[B, H, W, C]` that it is to take, sides in multiples of the window; None for any batch and size.

    Raises:
      InputError: if the network has no program of this shape, dtype or platform, or the file cannot be written.
    """
    config, dtype = model.config, jnp.dtype(model.dtype).name
    unknown = [name for name in platforms if name not in PLATFORMS]
    if unknown or not platforms:
        raise InputError(f"platforms are of {', '.join(PLATFORMS)}, got {', '.join(unknown) or 'none'}.")
    if dtype not in TOLERANCES:
        raise InputError(f"Networks are exported in {' or '.join(TOLERANCES)}, got {dtype}.")
    m = config.window_size
    if shape is None and config.ape:
        height, width = config.img_sides
        raise InputError(f"This network, with ape, takes one size alone: shape=(B, {height}, {width}, C).")
    if shape is not None:
        _check_shape(shape, model)

    network = network_for(model, "cpu", fast=set(platforms) == {"cpu"})
    weights = network.prepare(params)

    def restore(lq: jax.Array) -> Any:
        return network.restore(weights, lq)

    dims = jax.export.symbolic_shape(f"b, {m}*h, {m}*w, {config.in_chans}") if shape is None else tuple(shape)
    with _without_source_lines():
        program = jax.export.export(jax.jit(restore), platforms=platforms)(jax.ShapeDtypeStruct(dims, jnp.float32))
    # Of any shape, a test of padding, too, and of shifted windows.
    test_shape = (2, 2 * m + 3, 3 * m - 2, config.in_chans) if shape is None else tuple(shape)
    test = SelfTest(seed=0, shape=test_shape, tolerance=TOLERANCES[dtype])
    expected = samples(np.asarray(jax.jit(restore)(test.input())))
    write_bytes(Path(path), pack(program, config, dtype, test, expected))


@contextlib.contextmanager
def _without_source_lines() -> Iterator[None]:
    """Keeps the paths of this machine out of programs; equal exports are equal files then, too."""
    option = "jax_traceback_in_locations_limit"
    before = getattr(jax.config, option)
    jax.config.update(option, 0)
    try:
        yield
    finally:
        jax.config.update(option, before)


def _check_shape(shape: Sequence[int], model: SwinIR) -> None:
    config, text = model.config, ",".join(map(str, shape))
    if len(shape) != 4 or min(shape) < 1 or shape[3] != config.in_chans:
        raise InputError(f"A shape is [B, H, W, {config.in_chans}] for this network, got {text}.")
    if shape[1] % config.window_size or shape[2] % config.window_size:
        raise InputError(f"Sides of a fixed shape are multiples of the window, {config.window_size}: got {text}.")
    if config.ape and (shape[1], shape[2]) != config.img_sides:
        height, width = config.img_sides
        raise InputError(f"This network, with ape, takes {height}x{width} pixels alone, got {text}.")
