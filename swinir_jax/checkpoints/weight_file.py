"""Reads official tensors from files, whatever containers they are wrapped in and whatever lies beside them."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors
import safetensors.numpy

from swinir_jax.checkpoints.foreign import HEAD, kind_of_file
from swinir_jax.checkpoints.torch_file import read_torch_file
from swinir_jax.errors import InputError

Weights = Literal["ema", "raw"]

SUFFIXES = (".pth", ".pt", ".ckpt", ".bin", ".safetensors")  # the usual ones; the content tells what a file is

_ANCHOR = "conv_first.weight"  # a tensor of every SwinIR
_BODY = "layers.0.residual_group.blocks.0."  # prefix of tensors of every SwinIR, and of few other networks
_AVERAGED = {"ema", "avg", "averaged", "swa", "shadow"}  # words in the names of averaged weights
_INVISIBLE = {"", "_modules", "_parameters", "_buffers"}  # attributes of a pickled module that hold its parts
_LONGEST_NAME = 256  # characters of a tensor's full name
_MOST_LISTED = 4  # parts of a file in one note


def read_weight_file(path: str | os.PathLike[str], weights: Weights = "ema") -> tuple[dict[str, np.ndarray], list[str]]:
    """Reads a SwinIR's parameters and buffers by official name.

    The full name of a tensor is the keys of all containers around it and its own, joined by dots. A network is all
    tensors with the same prefix as a `conv_first.weight`, so that wrappers and prefixes need not be known. Of several
    SwinIRs in a file, averaged ones are preferred, known by a word such as `ema` in the prefix, and then the first.

    Args:
      path: a file of `torch.save`, the folder into which one was unpacked, or a safetensors file; any suffix will do.
      weights: "raw" to prefer networks that are not averaged.

    Returns:
      The tensors in PyTorch's layout, and sentences for the log about choices and parts left out. For a file without
      SwinIR, all tensors by full name.

    Raises:
      InputError: if the file cannot be read, or holds no tensors, or no raw ones though these are asked for.
    """
    path = Path(path)
    content = _read(path)
    tensors = _named_tensors(content)
    networks = _networks(tensors)
    averaged = [prefix for prefix in networks if _is_averaged(prefix, tensors)]
    raw = [prefix for prefix in networks if prefix not in averaged]
    candidates = raw if weights == "raw" else averaged or raw
    if not tensors or (networks and not candidates):
        found = ", ".join(name for name, _ in list(_items(content))[:8]) or "nothing"
        raise InputError(f"{path}: no {'raw ' if weights == 'raw' else ''}weights in it; it holds {found}.")
    if not networks:
        return tensors, []
    chosen = candidates[0]
    notes = []
    if others := [prefix for prefix in networks if prefix != chosen]:
        content_kind = "averaged (EMA) and raw weights" if averaged and raw else "several networks"
        choice = "averaged ones" if chosen in averaged else "raw ones" if averaged else "first"
        notes.append(
            f"{path.name} holds {content_kind}; took the {choice}, {_title(chosen)}, and left {_listed(others)}."
        )
    if modules := _modules_beside(chosen, tensors, networks):
        notes.append(f"{path.name} holds more than the network; left {_listed(modules)}.")
    return {name.removeprefix(chosen): tensors[name] for name in networks[chosen]}, notes


def _read(path: Path) -> Any:
    if not path.is_file():  # a folder, or nothing at all
        return read_torch_file(path)
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    if head.startswith((b"PK\x03\x04", b"\x80")):
        return read_torch_file(path)
    if head[8:9] == b"{":
        return _read_safetensors(path)
    kind = kind_of_file(head) or f"neither PyTorch's nor safetensors (weights come as {', '.join(SUFFIXES)})"
    raise InputError(f"{path}: {kind}, or damaged.")


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        return safetensors.numpy.load_file(path)
    except (OSError, safetensors.SafetensorError, ValueError, KeyError) as error:
        raise InputError(f"{path}: not a readable safetensors file ({' '.join(str(error).split())}).") from error


def _named_tensors(content: Any) -> dict[str, np.ndarray]:
    """Returns all arrays in nested containers by full name, in the file's order; enters each container once."""
    found: dict[str, np.ndarray] = {}
    entered: set[int] = set()
    pending = [("", content)]
    while pending:
        name, value = pending.pop()
        if isinstance(value, np.ndarray):
            found.setdefault(name, value)
        elif id(value) not in entered:
            entered.add(id(value))
            pending += reversed([(_join(name, key), child) for key, child in _items(value) if _fits(name, key)])
    return found


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    """Yields the items of a container by printable name; the index replaces a key that is not a text."""
    pairs: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        pairs = value.items()
    elif isinstance(value, list | tuple):
        pairs = enumerate(value)
    for i, (key, child) in enumerate(pairs):
        name = key if isinstance(key, str) else str(i)
        yield name if name.isprintable() else ascii(name), child


def _fits(name: str, key: str) -> bool:
    return len(name) + len(key) < _LONGEST_NAME


def _join(name: str, key: str) -> str:
    return name if key in _INVISIBLE else f"{name}.{key}" if name else key


def _networks(tensors: Mapping[str, np.ndarray]) -> dict[str, list[str]]:
    """Groups the full names of tensors by the prefix of their network; only SwinIRs, if there are any."""
    prefixes = {name.removesuffix(_ANCHOR) for name in tensors if f".{name}".endswith(f".{_ANCHOR}")}
    networks: dict[str, list[str]] = {}
    for name in tensors:
        ends = [i + 1 for i, character in enumerate(name) if character == "."]
        longest = next((name[:end] for end in (*reversed(ends), 0) if name[:end] in prefixes), None)
        if longest is not None:
            networks.setdefault(longest, []).append(name)
    swinirs = {
        prefix: names for prefix, names in networks.items() if any(name.startswith(prefix + _BODY) for name in names)
    }
    return swinirs or networks


def _is_averaged(prefix: str, tensors: Mapping[str, np.ndarray]) -> bool:
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", prefix)
    has_counter = f"{prefix.removesuffix('module.')}n_averaged" in tensors  # of PyTorch's AveragedModel
    return has_counter or any(word.lower() in _AVERAGED for word in words)


def _modules_beside(prefix: str, tensors: Mapping[str, np.ndarray], networks: Mapping[str, list[str]]) -> list[str]:
    """Returns the modules outside of all networks, such as a loss, by name up to the first key not in `prefix`."""
    in_networks = {name for names in networks.values() for name in names}
    prefix_keys = prefix.split(".")
    modules: dict[str, None] = {}
    for name in tensors:
        if name.endswith(".weight") and name not in in_networks:
            keys = name.split(".")
            common = next((i for i, (a, b) in enumerate(zip(prefix_keys, keys, strict=False)) if a != b), 0)
            modules[".".join(keys[: common + 1])] = None
    return [*modules]


def _title(prefix: str) -> str:
    return prefix.removesuffix(".") or "the one without a name"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return ", ".join(map(_title, names[:_MOST_LISTED])) + more
