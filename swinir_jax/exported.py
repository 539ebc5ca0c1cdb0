"""Exported networks: one file that holds program, weights and a self-test, and runs without the model's code.

A file is a zip archive of `metadata.json` (config, dtype and the self-test's input), `program.bin` (what `jax.export`
serialises, weights inside) and `expected.npy` (the self-test's answer). Nothing here needs Flax.
"""

import dataclasses
import io
import json
import math
import os
import zipfile
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from swinir_jax.config import SwinIRConfig
from swinir_jax.errors import InputError

FORMAT = "swinir-jax exported network 1"
_METADATA, _PROGRAM, _EXPECTED = "metadata.json", "program.bin", "expected.npy"
_SAMPLES = 4096  # values of the self-test's answer that are kept


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelfTest:
    """An input, of which the network's answer is known.

    Attributes:
      seed: of NumPy's default generator, which draws the input from [0, 1).
      shape: `[B, h, w, C]` of the input.
      tolerance: `||y - expected|| / ||expected||` that rounding on another platform may lead to.
    """

    seed: int
    shape: tuple[int, ...]
    tolerance: float

    def input(self) -> np.ndarray:
        """The input, float32."""
        return np.random.default_rng(self.seed).random(self.shape, dtype=np.float32)


def samples(restored: np.ndarray) -> np.ndarray:
    """Evenly spaced values of an answer, to be compared with those of another."""
    return np.ravel(restored)[:: math.ceil(restored.size / _SAMPLES)]


class ExportedNetwork:
    """A network from a file: `network(lq) -> restored`.

    Can be part of `jax.jit`, `jax.lax.scan` and the like, but not be differentiated or mapped over by `vmap`. It is
    compiled again for each new shape.

    Attributes:
      config: of the network.
      dtype: of its matrix products and convolutions.
      platforms: on which it runs: "cpu", "cuda", "rocm", "tpu".
      shape: `[B, H, W, C]` that the program takes, with letters where any number will do.
      test: the self-test.
    """

    def __init__(self, program: jax.export.Exported, metadata: Mapping[str, Any], expected: np.ndarray):
        self.config = SwinIRConfig.from_dict(metadata["config"])
        self.dtype: str = metadata["dtype"]
        self.test = SelfTest(**{**metadata["self_test"], "shape": tuple(metadata["self_test"]["shape"])})
        self.platforms = program.platforms
        (lq,) = program.in_avals
        self.shape = lq.shape
        self._program, self._expected = program, expected
        self._jitted = jax.jit(self._restore)

    def __call__(self, lq: jax.Array | np.ndarray) -> jax.Array:
        """Restores a batch of images of one size, as `SwinIR` does.

        Args:
          lq: `[B, h, w, C]`, float in [0, 1]. Sides that are no multiples of the window are padded by reflection, and
            the result is cut to size; the padded shape has to be the file's, where that is fixed.

        Returns:
          `[B, h * upscale, w * upscale, C]` float32; about [0, 1], not clipped.

        Raises:
          InputError: if the array is none that the file restores, or the file is for other platforms.
        """
        if not self.runs_here():
            here = jax.default_backend()
            raise InputError(f"This network was exported for {', '.join(self.platforms)}, and JAX runs on {here} here.")
        lq = jnp.asarray(lq)
        if not jnp.issubdtype(lq.dtype, jnp.floating):
            raise InputError(f"A network takes floats in [0, 1], got {lq.dtype}; divide 8-bit images by 255.")
        if lq.ndim != 4 or 0 in lq.shape:
            raise InputError(self._refusal(lq.shape))
        return self._jitted(lq)

    def runs_here(self) -> bool:
        """Whether the file is for JAX's default platform."""
        here = jax.default_backend()
        return not {"gpu": {"cuda", "rocm"}}.get(here, {here}).isdisjoint(self.platforms)

    def self_test(self) -> float:
        """`||y - expected|| / ||expected||` of the self-test here and now; passed if at most `test.tolerance`."""
        found = samples(np.asarray(self(self.test.input()), np.float64))
        return float(np.linalg.norm(found - self._expected) / np.linalg.norm(self._expected))

    def _restore(self, lq: jax.Array) -> jax.Array:
        (_, h, w, _), m, scale = lq.shape, self.config.window_size, self.config.upscale
        padded = jnp.pad(lq.astype(jnp.float32), ((0, 0), (0, -h % m), (0, -w % m), (0, 0)), mode="reflect")
        if any(isinstance(ours, int) and ours != side for ours, side in zip(self.shape, padded.shape, strict=True)):
            raise InputError(self._refusal(lq.shape))
        return self._program.call(padded)[:, : h * scale, : w * scale]

    def _refusal(self, shape: tuple[int, ...]) -> str:
        taken = ", ".join(map(str, self.shape))
        return f"This network takes [{taken}], padded to multiples of the window; got an array of shape {shape}."


def pack(program: jax.export.Exported, config: SwinIRConfig, dtype: str, test: SelfTest, expected: np.ndarray) -> bytes:
    """The content of a file that `load_exported` reads."""
    metadata = {
        "format": FORMAT,
        "jax": jax.__version__,
        "config": config.to_dict(),
        "dtype": dtype,
        "self_test": dataclasses.asdict(test),
    }
    array = io.BytesIO()
    np.save(array, expected.astype(np.float32))
    members = {
        _METADATA: json.dumps(metadata, indent=1).encode(),
        _PROGRAM: bytes(program.serialize()),
        _EXPECTED: array.getvalue(),
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)  # no time: equal exports, equal files
    return file.getvalue()


def load_exported(path: str | os.PathLike[str]) -> ExportedNetwork:
    """Reads a network that `swinir-jax export` or `export_network` wrote.

    `jax.export` promises that a file runs under releases of JAX up to six months newer than the one that wrote it, and
    up to three weeks older. Needs the package `flatbuffers`.

    Args:
      path: the file.

    Returns:
      A function of `[B, h, w, C]` arrays.

    Raises:
      InputError: if there is no such file, it is damaged or none of these, or this JAX is too old or too new for it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            metadata = json.loads(archive.read(_METADATA))
            found = metadata["format"]
            program, expected = archive.read(_PROGRAM), archive.read(_EXPECTED)
        array = np.load(io.BytesIO(expected), allow_pickle=False)
    except OSError as error:
        raise InputError(f"{os.fspath(path)}: cannot be read ({error.strerror or error}).") from error
    except Exception as error:  # of zipfile and zlib, any, where bytes are damaged
        raise InputError(f"{os.fspath(path)}: damaged, or not an exported network ({error}).") from error
    if found != FORMAT:
        raise InputError(f"{os.fspath(path)}: is a {found!r}; this version reads {FORMAT!r}.")
    try:
        return ExportedNetwork(jax.export.deserialize(bytearray(program)), metadata, array)
    except ImportError:
        raise
    except Exception as error:  # whatever the parser stumbles over
        raise InputError(
            f"{os.fspath(path)}: exported by JAX {metadata.get('jax')}, cannot be read by {jax.__version__} ({error})."
        ) from error
