"""Facts on all networks that have a name, for a user who chooses among them."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from swinir_jax.checkpoints.architecture import infer_config
from swinir_jax.checkpoints.download import Place, place_of
from swinir_jax.checkpoints.names import split_buffers
from swinir_jax.checkpoints.purposes import PURPOSES, SCALES, choose_models
from swinir_jax.checkpoints.weight_file import read_weight_file
from swinir_jax.checkpoints.zoo import OFFICIAL, bundled_models, bundled_name, bundled_scores, files_of, license_of
from swinir_jax.tasks import TASKS, Level

Speed = Literal["fast", "medium", "slow"]

_CLASSES: Sequence[tuple[float, Speed]] = ((2e6, "fast"), (20e6, "medium"))  # by parameters, below a number
_LEVELS: Mapping[Level, str] = {"scale": "x", "noise": "noise ", "jpeg": "quality "}  # beginnings of official levels


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """A network that has a name.

    Attributes:
      name: name for `load_pretrained` and --model.
      purpose: name of the purpose that the network serves, a key of `PURPOSES`.
      task: official name of the task.
      level: level of the task, such as `x4`, `noise 25` or `quality 10`; for a bundled network, all that are measured.
      scale: enlargement.
      parameters: number of parameters.
      bytes: size of the weights in bytes.
      speed: "fast" for the paper's small networks, "medium" for its middle ones and "slow" for its large ones.
      place: where the weights are.
      license: licence of the weights.
      scores: scores of a bundled network, as the evaluation wrote them, the main score first.
    """

    name: str
    purpose: str
    task: str
    level: str
    scale: int
    parameters: int
    bytes: int
    speed: Speed
    place: Place
    license: str | None
    scores: Sequence[Mapping[str, Any]] = ()


def list_models() -> list[Entry]:
    """Returns all bundled and official networks by purpose, bundled ones first."""
    scores = bundled_scores()
    entries = [_bundled_entry(name, path, scores[name]) for name, path in bundled_models().items()]
    entries += [_official_entry(name) for name in OFFICIAL]
    return sorted(entries, key=lambda entry: [*PURPOSES].index(entry.purpose))


def list_purposes() -> list[dict[str, Any]]:
    """Returns what can be done with a photograph, as values of JSON.

    Returns:
      For each purpose its fields but `rows` and `tasks`, and under "choices" the fields of the choice for each scale
      and quality, with `is_resized`.
    """
    return [
        {
            "name": purpose.name,
            "label": purpose.label,
            "scale": purpose.scale,
            "levels": list(purpose.levels),
            "level": purpose.level,
            "level_name": purpose.level_name,
            "choices": [
                choose_models(purpose.name, scale, quality=quality).as_dict()
                for scale in SCALES
                for quality in purpose.rows
            ],
        }
        for purpose in PURPOSES.values()
    ]


def purpose_of(name: str) -> str | None:
    """Returns the purpose that a network serves, a key of `PURPOSES`; None for an unknown network.

    Args:
      name: name of a bundled or an official network, path of a copy of a bundled file, or path of an official file
        under the original name.
    """
    stem = Path(name).name.removesuffix(".pth")
    if stem in OFFICIAL:
        return _purpose(OFFICIAL[stem].task)
    known = bundled_name(name)
    return _purpose(bundled_scores()[known][0]["task"]) if known else None


def _bundled_entry(name: str, path: Path, scores: Sequence[Mapping[str, Any]]) -> Entry:
    files = files_of(path)
    tensors, _ = read_weight_file(files[0])  # the ends of a model with two are alike
    parameters = sum(tensor.size for tensor in split_buffers(tensors)[0].values())
    scale = infer_config(tensors).upscale
    task = scores[0]["task"]
    return Entry(
        name=name,
        purpose=_purpose(task),
        task=task,
        level=_level(task, scores),
        scale=scale,
        parameters=parameters,
        bytes=sum(file.stat().st_size for file in files),
        speed=_speed(parameters),
        place="bundled",
        license=license_of(name),
        scores=scores,
    )


def _official_entry(name: str) -> Entry:
    model = OFFICIAL[name]
    return Entry(
        name=name,
        purpose=_purpose(model.task),
        task=model.task,
        level=model.level,
        scale=model.config.upscale,
        parameters=model.parameters,
        bytes=model.file_bytes,
        speed=_speed(model.parameters),
        place=place_of(name),
        license=license_of(name),
    )


def _purpose(task: str) -> str:
    return next(name for name, purpose in PURPOSES.items() if task in purpose.tasks)


def _level(task: str, scores: Sequence[Mapping[str, Any]]) -> str:
    """Formats the measured levels like those of official models: `x2`, `noise 15, 25, 50`."""
    return _LEVELS[TASKS[task].level] + ", ".join(map(str, sorted({measured["level"] for measured in scores})))


def _speed(parameters: int) -> Speed:
    return next((speed for limit, speed in _CLASSES if parameters < limit), "slow")
