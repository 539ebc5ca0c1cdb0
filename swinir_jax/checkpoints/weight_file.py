"""Reads official tensors from files, whatever containers they are wrapped in and whatever lies beside them."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from swinir_jax.checkpoints.foreign import HEAD, kind_of_file
from swinir_jax.checkpoints.networks import Tensor, WeightKind, choose_network
from swinir_jax.checkpoints.pickled_values import UnreadTensor
from swinir_jax.checkpoints.safetensors_file import is_safetensors, read_safetensors
from swinir_jax.checkpoints.torch_file import is_torch_file, read_torch_file
from swinir_jax.errors import InputError, first_few

SUFFIXES = (".pth", ".pt", ".ckpt", ".bin", ".safetensors")  # the usual ones; the content tells what a file is

_MODULE = ("_modules", "_parameters", "_buffers")  # attributes of a pickled module that hold its parts
# Names of modules that are wrapped around others, anywhere in a network; no official name has such a key.
_WRAPPERS = {"module", "_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module", "_forward_module"}
_LONGEST_NAME = 256  # characters of a tensor's full name


def read_weight_file(
    path: str | os.PathLike[str], weights: WeightKind = "ema"
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Reads a SwinIR's parameters and buffers by official name.

    The full name of a tensor is the keys of all containers around it and its own, joined by dots, without the keys of
    wrappers. `choose_network` finds the networks among these names, so that prefixes need not be known.

    Args:
      path: a file of `torch.save`, the folder into which one was unpacked, or a safetensors file; any suffix will do.
      weights: "raw" to prefer networks that are not averaged.

    Returns:
      The tensors in PyTorch's layout, and sentences for the log about choices and parts left out. For a file without
      SwinIR, all tensors by full name.

    Raises:
      InputError: if the file cannot be read, or holds no tensors, or no raw ones though these are asked for, or tensors
        of the network are of a kind that is not read.
    """
    path = Path(path)
    content = _read(path)
    network, notes = choose_network(_named_tensors(content), weights, path.name)
    if not network:
        found = ", ".join(name for name, _ in list(_items(content))[:8]) or "nothing"
        raise InputError(f"{path}: no {'raw ' if weights == 'raw' else ''}weights in it; it holds {found}.")
    tensors = {name: tensor for name, tensor in network.items() if isinstance(tensor, np.ndarray)}
    if unread := [f"{name} ({tensor.name})" for name, tensor in network.items() if isinstance(tensor, UnreadTensor)]:
        raise InputError(" ".join([f"{path}: tensors of a kind that is not read: {first_few(unread)}.", *notes]))
    return tensors, notes


def _read(path: Path) -> Any:
    if not path.is_file():  # a folder, or nothing at all
        return read_torch_file(path)
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    if is_safetensors(head):
        return read_safetensors(path)
    if is_torch_file(head):
        return read_torch_file(path)
    unknown = f"neither PyTorch's nor safetensors (weights come as {', '.join(SUFFIXES)}), or damaged"
    raise InputError(f"{path}: {kind_of_file(head) or unknown}.")


def _named_tensors(content: Any) -> dict[str, Tensor]:
    """Returns all tensors in nested containers by full name, in the file's order; enters each container once."""
    found: dict[str, Tensor] = {}
    entered: set[int] = set()
    pending = [("", content)]
    while pending:
        name, value = pending.pop()
        if isinstance(value, np.ndarray | UnreadTensor):
            short = ".".join(key for key in name.split(".") if key not in _WRAPPERS)
            found.setdefault(name if short in found else short, value)
        elif id(value) not in entered:
            entered.add(id(value))
            pending += reversed([(_join(name, key), child) for key, child in _items(value) if _fits(name, key)])
    return found


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    """Yields the items of a container by printable name; the index replaces a key that is not a text.

    A list of pairs, as of `named_parameters`, has names for keys.
    """
    pairs: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping) and value.keys() >= {*_MODULE}:  # plain attributes of a module are no weights
        pairs = [("", value[key]) for key in _MODULE]
    elif isinstance(value, Mapping):
        pairs = value.items()
    elif isinstance(value, list | tuple):
        pairs = value if all(map(_is_item, value)) else enumerate(value)
    for i, (key, child) in enumerate(pairs):
        name = key if isinstance(key, str) else str(i)
        yield name if name.isprintable() else ascii(name), child


def _is_item(element: Any) -> bool:
    return type(element) is tuple and len(element) == 2 and type(element[0]) is str


def _fits(name: str, key: str) -> bool:
    return len(name) + len(key) < _LONGEST_NAME


def _join(name: str, key: str) -> str:
    return f"{name}.{key}" if name and key else name or key
