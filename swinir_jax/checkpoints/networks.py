"""Finds the SwinIR networks among the tensors of a file, and chooses one."""

import itertools
import re
from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np

from swinir_jax.checkpoints.names import split_buffers
from swinir_jax.checkpoints.pickled_values import UnreadTensor

WeightKind = Literal["ema", "raw"]
Tensor = np.ndarray | UnreadTensor
Tensors = dict[str, Tensor]  # parameters and buffers by official name

_ANCHOR = re.compile(r"(?:\A|(?<=\.))conv_first\.(1\.)?weight\Z")  # a tensor of every SwinIR
_BODY = "layers.0.residual_group.blocks.0."  # prefix of tensors of every SwinIR, and of few other networks
# The first key of an official name; other tensors beside these are not the network's.
_PARTS = re.compile(
    r"((conv_first|layers|conv_after_body|conv_before_upsample|upsample|conv_last)(_hf)?|patch_embed|absolute_pos_embed"
    r"|norm|conv_up\d+|conv_hr|conv_bicubic|conv_aux|conv_after_aux)(\.|\Z)"
)
_AVERAGED = {"ema", "avg", "average", "averaged", "swa", "shadow", "polyak", "slow"}  # words in names of averages
_NEGATIONS = {"no", "non", "not", "without", "before", "pre"}  # directly before such a word
_BEGINNINGS = {"init", "pretrained"}  # words in names of what a training began from
_COUNTER = "n_averaged"  # of PyTorch's AveragedModel
# Trainers that save the average as `state_dict`: a tensor that marks their files, and the prefix of the raw weights.
_EXCHANGED = {
    "ema_state_dict.steps": "ema_state_dict.",  # MMEngine's EMAHook
    f"averaging_state.{_COUNTER}": "current_model_state.",  # Lightning's WeightAveraging
}
_MOMENTS = re.compile(r"exp_avg|square_avg|avg_sq")  # an optimiser's averages of gradients
_MOST_LISTED = 4  # parts of a file in one note


def choose_network(tensors: Mapping[str, Tensor], weights: WeightKind, file_name: str) -> tuple[Tensors, list[str]]:
    """Chooses the SwinIR that is wanted among the tensors of a file.

    A network is all tensors with the same prefix as a `conv_first.weight` whose names go on as official names do.

    Args:
      tensors: tensors of the file by full name.
      weights: "ema" to prefer averaged networks, "raw" for networks that are not averaged.
      file_name: name of the file, for the sentences.

    Returns:
      The network, and sentences about choices and parts left out. For a file without SwinIR, all tensors; if raw
      networks are asked for and all are averaged, an empty network.
    """
    networks = _networks(tensors)
    if not networks:
        return {name: tensor for name, tensor in tensors.items() if isinstance(tensor, np.ndarray)} or dict(tensors), []
    averaged, raw = _averaged_and_raw(tensors, networks)
    if not (candidates := raw if weights == "raw" else averaged or raw):
        return {}, []
    chosen = min(candidates, key=_is_beginning)  # the first that a training made, if any did
    in_networks = {prefix + name for prefix, network in networks.items() for name in [*network, _COUNTER]}
    beside = {name: tensor for name, tensor in tensors.items() if name not in in_networks}
    notes = []
    if weights == "ema" and not averaged and (containers := _averaged_containers(beside)):
        parameters, buffers = split_buffers(networks[chosen])
        copies = {container: _averaged_copy(found, parameters, chosen) for container, found in containers.items()}
        container, copy = next(((name, copy) for name, copy in copies.items() if copy), ("", None))
        if copy:
            chosen = f"{container}."
            networks[chosen] = {**copy, **buffers}
            averaged = [chosen]
            beside = {name: tensor for name, tensor in beside.items() if name.rpartition(".")[0] != container}
        else:
            notes.append(
                f"{file_name}: {_listed([*containers])} may hold averaged weights, but number, names or shapes are not "
                f"those of the network's parameters; took {_title(chosen)}."
            )
    if others := [prefix for prefix in networks if prefix != chosen]:
        content, choice, hint = _describe_choice(chosen, candidates[0], averaged, raw)
        notes.append(
            f"{file_name} holds {content}; took the {choice}, {_title(chosen)}{hint}, and left {_listed(others)}."
        )
    if modules := _modules_beside(chosen, beside):
        notes.append(f"{file_name} holds more than the network; left {_listed(modules)}.")
    return networks[chosen], notes


def _networks(tensors: Mapping[str, Tensor]) -> dict[str, Tensors]:
    """Groups tensors by the prefix of their network; only SwinIRs, if there are any."""
    anchored = {name[: match.start()] for name in tensors if (match := _ANCHOR.search(name))}
    swinirs = anchored & {name[:i] for name in tensors if (i := f".{name}".find(f".{_BODY}")) >= 0}
    prefixes = swinirs or anchored
    networks: dict[str, Tensors] = {}
    for name, tensor in tensors.items():
        for end in (*(i + 1 for i in range(len(name) - 1, -1, -1) if name[i] == "."), 0):
            if name[:end] in prefixes and (not swinirs or _PARTS.match(name, end)):
                networks.setdefault(name[:end], {})[name[end:]] = tensor
                break
    return networks


def _averaged_and_raw(tensors: Mapping[str, Tensor], networks: Mapping[str, Tensors]) -> tuple[list[str], list[str]]:
    """Divides the prefixes of networks into those of averages and the others."""
    averaged = [prefix for prefix in networks if _is_averaged(prefix, tensors, networks)]
    if not averaged and any(_told(prefix) == "raw" for prefix in networks):  # the others are averages
        averaged = [prefix for prefix in networks if _told(prefix) is None]
    return averaged, [prefix for prefix in networks if prefix not in averaged]


def _describe_choice(chosen: str, first: str, averaged: list[str], raw: list[str]) -> tuple[str, str, str]:
    """Returns what a file of several networks holds, which are taken, and how to get the raw ones, in words."""
    content = "averaged (EMA) and raw weights" if averaged and raw else "several networks"
    if chosen in averaged:
        return content, "averaged ones", " (weights='raw' or --weights raw takes raw ones)" if raw else ""
    if averaged:
        return content, "raw ones", ""
    return content, "first" if chosen == first else "first trained one", ""


def _is_averaged(prefix: str, tensors: Mapping[str, Tensor], networks: Mapping[str, Tensors]) -> bool:
    for mark, raw in _EXCHANGED.items():
        if mark in tensors and prefix.startswith(("state_dict.", raw)):
            return not prefix.startswith(raw)
    return prefix + _COUNTER in tensors or _told(prefix) == "ema" or _is_teacher(prefix, networks)


def _told(prefix: str) -> WeightKind | None:
    """Returns what a name tells of weights: "ema" by a word for averages, "raw" by a negation before the word."""
    words = ["", *_words(_MOMENTS.sub("", prefix))]
    negated = [before in _NEGATIONS for before, word in itertools.pairwise(words) if word in _AVERAGED]
    return None if not negated else "raw" if all(negated) else "ema"


def _is_beginning(prefix: str) -> bool:
    return not _BEGINNINGS.isdisjoint(_words(prefix))


def _words(prefix: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", prefix)]


def _is_teacher(prefix: str, networks: Mapping[str, Tensors]) -> bool:
    """Returns whether a student of the same shapes lies beside a network, which is the student's average then."""
    student = prefix.replace("teacher", "student").replace("Teacher", "Student")
    return student != prefix and student in networks and _shapes(networks[student]) == _shapes(networks[prefix])


def _shapes(network: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    parameters, _ = split_buffers(network)
    return {name: tensor.shape for name, tensor in parameters.items()}


def _averaged_containers(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Groups tensors below a container that sounds averaged: by container, then by last key."""
    containers: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        container, _, key = name.rpartition(".")
        if tensor.shape and _told(container) == "ema":
            containers.setdefault(container, {})[key] = tensor
    return containers


def _averaged_copy(tensors: Mapping[str, Tensor], parameters: Tensors, prefix: str) -> Tensors | None:
    """Returns `tensors` by the names of parameters, if they are numbered in the same order or named without dots.

    Names without dots may begin with a part of the network's prefix.
    """
    if len(tensors) < len(parameters):
        return None
    found = {_letters(key): tensor for key, tensor in tensors.items()}
    plain = [_letters(name) for name in parameters]
    beginnings = [_letters(prefix[i:]) for i in range(len(prefix) + 1) if i == 0 or prefix[i - 1] == "."]
    namings = [[start + name for name in plain] for start in beginnings if start + plain[0] in found]
    if len(found) == len(parameters):
        namings.append([str(i) for i in range(len(parameters))])
    for keys in namings:
        copies = {name: found[key] for name, key in zip(parameters, keys, strict=True) if key in found}
        if _shapes(copies) == _shapes(parameters):
            return copies
    return None


def _letters(name: str) -> str:
    return re.sub(r"[._]", "", name)


def _modules_beside(prefix: str, names: Iterable[str]) -> list[str]:
    """Returns what lies beside a network, such as a loss, by name up to the first key not in `prefix`.

    Outside of the container of the network, names without a `.weight` are left out, such as an optimiser's.
    """
    prefix_keys = prefix.split(".")
    modules: dict[str, None] = {}
    for name in names:
        if name.startswith(prefix) or name.endswith(".weight"):
            keys = name.split(".")
            common = next((i for i, (a, b) in enumerate(zip(prefix_keys, keys, strict=False)) if a != b), 0)
            modules[".".join(keys[: common + 1])] = None
    return [*modules]


def _title(prefix: str) -> str:
    return prefix.removesuffix(".") or "the one without a name"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return ", ".join(map(_title, names[:_MOST_LISTED])) + more
