"""Exported networks: files with program, weights and a self-test, which run without the model's code.

A file is a zip archive of `metadata.json` (config, dtype and the self-test's input), `program.bin` (a program with its
weights, serialised by `jax.export`) and `expected.npy` (the self-test's result). This module does not need Flax.
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

from swinir_jax.arrays import as_batch
from swinir_jax.config import SwinIRConfig
from swinir_jax.errors import InputError

FORMAT = "swinir-jax exported network 1"
_METADATA, _PROGRAM, _EXPECTED = "metadata.json", "program.bin", "expected.npy"
_SAMPLES = 4096  # largest number of stored values of the self-test's result


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelfTest:
    """An input whose result is stored.

    Attributes:
      seed: seed of NumPy's default generator, which draws the input from [0, 1).
      shape: shape `[B, h, w, C]` of the input.
      tolerance: largest `||y - expected|| / ||expected||` that rounding on another platform may cause.
    """

    seed: int
    shape: tuple[int, ...]
    tolerance: float

    def input(self) -> np.ndarray:
        """Returns the float32 input."""
        return np.random.default_rng(self.seed).random(self.shape, dtype=np.float32)


def samples(restored: np.ndarray) -> np.ndarray:
    """Returns evenly spaced values of a result, for comparison with another result."""
    return np.ravel(restored)[:: math.ceil(restored.size / _SAMPLES)]


class ExportedNetwork:
    """A network from a file: `network(lq) -> restored`.

    The network can be called inside `jax.jit` or `jax.lax.scan`, but not under `jax.grad` or `jax.vmap`. It is compiled
    once for each shape.

    Attributes:
      config: network configuration.
      dtype: dtype of matrix products and convolutions.
      platforms: platforms of the program: "cpu", "cuda", "rocm", "tpu".
      shape: input shape `[B, H, W, C]` of the program, with letters for variable sizes.
      test: self-test; `test.tolerance` is the largest result of `self_test` that rounding may cause.
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
          lq: `[B, h, w, C]`, float in [0, 1]. Images are padded by reflection to multiples of the window; if the file
            has a fixed shape, the padded images must have it. Values are checked if `lq` is a NumPy array; reading
            those of JAX's arrays would wait for the device.

        Returns:
          `[B, h * upscale, w * upscale, C]` float32, about [0, 1], not clipped.

        Raises:
          InputError: if the file is for other platforms or other arrays, or values are not finite or clearly not in
            [0, 1].
        """
        if not self.runs_here():
            platforms = ", ".join(self.platforms)
            raise InputError(f"This network was exported for {platforms}, and JAX runs on {jax.default_backend()}.")
        return self._jitted(as_batch(lq, self.config.in_chans))

    def runs_here(self) -> bool:
        """Returns whether the file is for JAX's default platform."""
        platform = jax.default_backend()
        if platform == "gpu":
            is_amd = getattr(jax.devices()[0], "compute_capability", "").startswith("gfx")
            platform = "rocm" if is_amd else "cuda"
        return platform in self.platforms

    def self_test(self) -> float:
        """Runs the self-test; returns `||y - expected|| / ||expected||`, which must be at most `test.tolerance`."""
        found = samples(np.asarray(self(self.test.input()), np.float64))
        return float(np.linalg.norm(found - self._expected) / np.linalg.norm(self._expected))

    def _restore(self, lq: jax.Array) -> jax.Array:
        (_, h, w, _), m, scale = lq.shape, self.config.side_multiple, self.config.upscale
        padded = jnp.pad(lq.astype(jnp.float32), ((0, 0), (0, -h % m), (0, -w % m), (0, 0)), mode="reflect")
        if any(isinstance(fixed, int) and fixed != side for fixed, side in zip(self.shape, padded.shape, strict=True)):
            raise InputError(self._refusal(lq.shape))
        return self._program.call(padded)[:, : h * scale, : w * scale]

    def _refusal(self, shape: tuple[int, ...]) -> str:
        expected = ", ".join(map(str, self.shape))
        return f"This network takes [{expected}], padded to multiples of the window; got an array of shape {shape}."


def pack(program: jax.export.Exported, config: SwinIRConfig, dtype: str, test: SelfTest, expected: np.ndarray) -> bytes:
    """Returns the content of a file for `load_exported`."""
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
            # A ZipInfo has a fixed date, so that equal exports are equal files.
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def load_exported(path: str | os.PathLike[str]) -> ExportedNetwork:
    """Loads a network that `swinir-jax export` or `export_network` wrote.

    `jax.export` promises that a file runs under releases of JAX up to six months newer and three weeks older than the
    one that wrote it. The package `flatbuffers` must be installed.

    Args:
      path: exported file.

    Returns:
      A network for `[B, h, w, C]` arrays.

    Raises:
      InputError: if the file does not exist, is damaged or not an exported network, or needs another release of JAX.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            metadata = json.loads(archive.read(_METADATA))
            found = metadata["format"]
            program, expected = archive.read(_PROGRAM), archive.read(_EXPECTED)
        array = np.load(io.BytesIO(expected), allow_pickle=False)
    except OSError as error:
        raise InputError(f"{os.fspath(path)}: cannot be read ({error.strerror or error}).") from error
    except Exception as error:  # damaged bytes make zipfile, zlib and NumPy raise errors of nearly any class
        raise InputError(f"{os.fspath(path)}: damaged, or not an exported network ({error}).") from error
    if found != FORMAT:
        raise InputError(f"{os.fspath(path)}: is a {found!r}; this version reads {FORMAT!r}.")
    try:
        return ExportedNetwork(jax.export.deserialize(bytearray(program)), metadata, array)
    except ImportError:
        raise
    except Exception as error:  # the parser's errors have no common class
        raise InputError(
            f"{os.fspath(path)}: exported by JAX {metadata.get('jax')}, cannot be read by {jax.__version__} ({error})."
        ) from error
