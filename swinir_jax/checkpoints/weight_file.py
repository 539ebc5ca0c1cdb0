"""Official tensors from the files that hold them, whatever they are wrapped in and whatever lies beside them."""

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

SUFFIXES = (".pth", ".pt", ".ckpt", ".bin", ".safetensors")  # the usual ones; what a file is, its content tells

_ANCHOR = "conv_first.weight"  # a name that each SwinIR has
_BODY = "layers.0.residual_group.blocks.0."  # and few networks else
_AVERAGED = {"ema", "avg", "averaged", "swa", "shadow"}  # words in the names of averaged weights
_INVISIBLE = {"", "_modules", "_parameters", "_buffers"}  # attributes that a pickled module keeps its parts in
_LONGEST_NAME = 256  # characters, with all that the tensors are wrapped in
_MOST_NAMED = 4  # parts of a file in one note


def read_weight_file(path: str | os.PathLike[str], weights: Weights = "ema") -> tuple[dict[str, np.ndarray], list[str]]:
    """Reads the tensors of a file's SwinIR by their official names, parameters and buffers.

    A tensor's full name is all the keys on the way to it, joined by dots; a network is what has the same beginning
    as some `conv_first.weight`. So wrappers and prefixes need not be known. Of several SwinIRs in a file, an averaged
    one is taken, by a word such as `ema` in its beginning, and of those the first.

    Args:
      path: a file of `torch.save`, the folder into which one was unpacked, or a safetensors file, of any ending.
      weights: "raw" to take the first network that is not averaged.

    Returns:
      The tensors in PyTorch's layout, and what was decided and left out, as sentences for the log. Of a file with
      no SwinIR, all tensors by their full names.

    Raises:
      InputError: if the file cannot be read or holds no tensors, or not the wanted ones.
    """
    path = Path(path)
    content = _read(path)
    tensors = _named_tensors(content)
    networks = _networks(tensors)
    averaged = [place for place in networks if _is_averaged(place, tensors)]
    raw = [place for place in networks if place not in averaged]
    candidates = raw if weights == "raw" else averaged or raw
    if not tensors or (networks and not candidates):
        found = ", ".join(name for name, _ in list(_items(content))[:8]) or "nothing"
        raise InputError(f"{path}: no {'raw ' if weights == 'raw' else ''}weights in it; it holds {found}.")
    if not networks:
        return tensors, []
    place = candidates[0]
    notes = []
    if others := [other for other in networks if other != place]:
        what = "averaged (EMA) and raw weights" if averaged and raw else "several networks"
        took = "averaged ones" if place in averaged else "raw ones" if averaged else "first"
        notes.append(f"{path.name} holds {what}; took the {took}, {_title(place)}, and left {_listed(others)}.")
    if beside := _modules_beside(place, tensors, networks):
        notes.append(f"{path.name} holds more than the network, which was left: {_listed(beside)}.")
    return {name.removeprefix(place): tensors[name] for name in networks[place]}, notes


def _read(path: Path) -> Any:
    if not path.is_file():  # a folder, or nothing
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
    """All arrays in nested containers, by their full names and in the file's order; each container is entered once."""
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
    """What a container holds, by printable names; a place stands for a key that is no text."""
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
    """The full names of each network by what they begin with; only SwinIRs, if there are any."""
    places = {name.removesuffix(_ANCHOR) for name in tensors if f".{name}".endswith(f".{_ANCHOR}")}
    found: dict[str, list[str]] = {}
    for name in tensors:
        dots = [i + 1 for i, character in enumerate(name) if character == "."]
        place = next((name[:i] for i in (*reversed(dots), 0) if name[:i] in places), None)
        if place is not None:
            found.setdefault(place, []).append(name)
    swinirs = {place: names for place, names in found.items() if any(name.startswith(place + _BODY) for name in names)}
    return swinirs or found


def _is_averaged(place: str, tensors: Mapping[str, np.ndarray]) -> bool:
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", place)
    counted = f"{place.removesuffix('module.')}n_averaged" in tensors  # PyTorch's AveragedModel
    return counted or any(word.lower() in _AVERAGED for word in words)


def _modules_beside(place: str, tensors: Mapping[str, np.ndarray], networks: Mapping[str, list[str]]) -> list[str]:
    """The modules that belong to no network, such as a loss's; each by the part of its name that tells it apart."""
    taken = {name for names in networks.values() for name in names}
    path = place.split(".")
    found: dict[str, None] = {}
    for name in tensors:
        if name.endswith(".weight") and name not in taken:
            parts = name.split(".")
            common = next((i for i, (ours, its) in enumerate(zip(path, parts, strict=False)) if ours != its), 0)
            found[".".join(parts[: common + 1])] = None
    return [*found]


def _title(place: str) -> str:
    return place.removesuffix(".") or "the one without a name"


def _listed(places: list[str]) -> str:
    more = f" and {len(places) - _MOST_NAMED} more" if len(places) > _MOST_NAMED else ""
    return ", ".join(map(_title, places[:_MOST_NAMED])) + more
