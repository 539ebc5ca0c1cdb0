"""Reads and writes safetensors files."""

import os
from collections.abc import Mapping
from pathlib import Path

import ml_dtypes
import numpy as np
import safetensors.numpy

from swinir_jax.checkpoints.pickled_values import UnreadTensor
from swinir_jax.errors import InputError, one_line

_LARGEST_HEADER = 100_000_000  # bytes, as the format demands

_DTYPES: Mapping[str, np.dtype] = {
    "BOOL": np.dtype(np.bool_),
    **{f"{kind}{8 * size}": np.dtype(f"{kind.lower()}{size}") for kind in "IU" for size in (1, 2, 4, 8)},
    **{f"F{8 * size}": np.dtype(f"f{size}") for size in (2, 4, 8)},
    "C64": np.dtype(np.complex64),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E4M3FNUZ": np.dtype(ml_dtypes.float8_e4m3fnuz),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
    "F8_E5M2FNUZ": np.dtype(ml_dtypes.float8_e5m2fnuz),
    "F8_E8M0": np.dtype(ml_dtypes.float8_e8m0fnu),
}


def is_safetensors(head: bytes) -> bool:
    """Returns whether a file that begins with `head` is a safetensors file: the length of a JSON header, and one."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= _LARGEST_HEADER


def read_safetensors(path: str | os.PathLike[str]) -> dict[str, np.ndarray | UnreadTensor]:
    """Reads the tensors of a safetensors file.

    Returns:
      Arrays by name (bfloat16 and float8 by `ml_dtypes`). An `UnreadTensor` stands for a tensor of another dtype.

    Raises:
      InputError: if the file cannot be read or is damaged.
    """
    try:
        entries = safetensors.deserialize(Path(path).read_bytes())
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(f"{path}: not a readable safetensors file ({one_line(error)}).") from error
    return {name: _tensor(**entry) for name, entry in entries}


def safetensors_bytes(tensors: Mapping[str, np.ndarray], *, float16: bool = False) -> bytes:
    """Returns a safetensors file.

    Args:
      tensors: arrays by name.
      float16: whether arrays of float32 are rounded to float16.

    Raises:
      InputError: if a value is too large for float16.
    """
    if float16:
        tensors = {name: _as_float16(name, tensor) for name, tensor in tensors.items()}
    return safetensors.numpy.save(dict(tensors))


def _as_float16(name: str, tensor: np.ndarray) -> np.ndarray:
    if tensor.dtype != np.float32:
        return tensor
    if np.abs(tensor).max(initial=0) > np.finfo(np.float16).max:
        raise InputError(f"{name} has values that float16 cannot hold.")
    return tensor.astype(np.float16)


def _tensor(dtype: str, shape: list[int], data: bytearray) -> np.ndarray | UnreadTensor:
    if dtype not in _DTYPES:
        return UnreadTensor(dtype)
    return np.frombuffer(data, _DTYPES[dtype]).reshape(shape)
