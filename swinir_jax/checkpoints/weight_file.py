"""Official tensors from a `.pth`, `.pt`, `.ckpt` or `.safetensors` file, whatever they are wrapped in."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors
import safetensors.numpy

from swinir_jax.checkpoints.torch_file import read_torch_file
from swinir_jax.errors import InputError

Weights = Literal["ema", "raw"]

# Keys that hold the tensors, the wanted one first; several may be nested.
_WRAPPERS: Mapping[Weights, tuple[str, ...]] = {
    "ema": ("params_ema", "params", "state_dict", "model_state_dict", "model"),
    "raw": ("params", "state_dict", "model_state_dict", "model"),
}
_PREFIXES = ("module.", "model.")
_MAX_DEPTH = 4  # of wrappers in wrappers
_ANCHOR = "conv_first.weight"  # a name that each SwinIR has

SUFFIXES = (".pth", ".pt", ".ckpt", ".safetensors")


def read_weight_file(path: str | os.PathLike[str], weights: Weights = "ema") -> tuple[dict[str, np.ndarray], list[str]]:
    """Reads a file's tensors by their official names, parameters and buffers.

    Understands the wrappers `params_ema`, `params`, `state_dict`, `model_state_dict` and `model`, nested too, and the
    name prefixes `module.` and `model.`.

    Args:
      path: a file of one of SUFFIXES.
      weights: which to take where a file has both averaged (`params_ema`) and raw ones.

    Returns:
      The tensors in PyTorch's layout, and what was decided, as sentences for the log.

    Raises:
      InputError: if the file cannot be read or holds no tensors, or not the wanted ones.
    """
    path = Path(path)
    if path.suffix.lower() == ".safetensors":
        content: Any = _read_safetensors(path)
    else:
        content = read_torch_file(path)
    notes: list[str] = []
    for _ in range(_MAX_DEPTH):  # a file may contain itself
        if not (wrappers := _wrappers(content, weights)):
            break
        if wrappers[:2] == ["params_ema", "params"]:
            notes.append(f"{path.name} holds averaged (EMA) and raw weights; took the averaged ones.")
        content = content[wrappers[0]]
    tensors = {str(name): value for name, value in _items(content) if isinstance(value, np.ndarray)}
    if not tensors:
        found = ", ".join(str(name) for name, _ in list(_items(content))[:8]) or type(content).__name__
        raise InputError(f"{path}: no {'raw ' if weights == 'raw' else ''}weights in it; it holds {found}.")
    return _strip_prefix(tensors), notes


def _items(content: Any) -> Iterable[tuple[Any, Any]]:
    return content.items() if isinstance(content, Mapping) else ()


def _wrappers(content: Any, weights: Weights) -> list[str]:
    return [key for key in _WRAPPERS[weights] if isinstance(dict(_items(content)).get(key), Mapping)]


def _strip_prefix(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    anchors = [name for name in tensors if name.endswith(_ANCHOR)]
    prefix = anchors[0].removesuffix(_ANCHOR) if anchors else ""
    rest = prefix
    for known in _PREFIXES * 2:
        rest = rest.removeprefix(known)
    if rest:  # not a wrapper that is known: leave the names for the error that lists them
        return dict(tensors)
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        return safetensors.numpy.load_file(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file.") from error
    except (OSError, safetensors.SafetensorError, ValueError, KeyError) as error:
        raise InputError(f"{path}: not a readable safetensors file ({' '.join(str(error).split())}).") from error
