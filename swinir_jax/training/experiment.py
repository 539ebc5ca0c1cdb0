"""A training run from its data to its schedule, as one frozen value."""

import dataclasses
import math
import typing
from collections.abc import Mapping
from typing import Any, Literal

from swinir_jax.config import SwinIRConfig
from swinir_jax.data.config import DataConfig
from swinir_jax.errors import InputError, first_few, option


def _check_choices(config: Any, prefix: str) -> None:
    """Checks fields that are one of several words."""
    for name, kind in typing.get_type_hints(type(config)).items():
        allowed = typing.get_args(kind) if typing.get_origin(kind) is Literal else None
        if allowed and getattr(config, name) not in allowed:
            raise InputError(
                f"{option(_dotted(prefix, name))} must be one of {allowed}, got {getattr(config, name)!r}."
            )


def _check_ranges(config: Any, prefix: str, **least: int) -> None:
    for name, bound in least.items():
        value = getattr(config, name)
        if value is not None and not bound <= value < math.inf:
            raise InputError(f"{option(_dotted(prefix, name))} must be at least {bound}, got {value}.")


def _dotted(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Adam and its learning rate.

    Raises:
      InputError: if a value is out of its range.
    """

    name: Literal["adam", "adamw"] = "adam"
    learning_rate: float = 2e-4
    schedule: Literal["multistep", "cosine", "constant"] = "multistep"
    milestones: tuple[float, ...] = (0.5, 0.8, 0.9, 0.95)  # shares of all steps after which the rate is halved
    warmup_steps: int = 0
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0  # of adamw
    clip_norm: float | None = None  # of the gradient over all parameters
    accumulate: int = 1  # micro-batches that one step's gradient is averaged over

    def __post_init__(self) -> None:
        _check_choices(self, "optimizer")
        _check_ranges(self, "optimizer", warmup_steps=0, weight_decay=0, accumulate=1)
        for name in ("learning_rate", "eps", "clip_norm"):
            if getattr(self, name) is not None and not 0 < getattr(self, name) < math.inf:
                raise InputError(f"{option(f'optimizer.{name}')} must be above 0, got {getattr(self, name)}.")
        for name in ("b1", "b2"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"--optimizer.{name} must lie in [0, 1), got {getattr(self, name)}.")
        if list(self.milestones) != sorted(set(self.milestones)) or not all(0 < m <= 1 for m in self.milestones):
            raise InputError(f"--optimizer.milestones are rising shares in (0, 1], got {self.milestones}.")
        if self.weight_decay and self.name != "adamw":
            raise InputError(f"--optimizer.weight-decay is of adamw, not of {self.name}: got {self.weight_decay}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossConfig:
    """What is made small; values in [0, 1].

    Raises:
      InputError: if a value is out of its range.
    """

    name: Literal["l1", "l2", "charbonnier", "l1_ssim"] = "l1"
    eps: float = 1e-9  # of charbonnier, inside the root
    ssim_weight: float = 0.1  # of l1_ssim: (1 - w) * L1 + w * (1 - SSIM)

    def __post_init__(self) -> None:
        _check_choices(self, "loss")
        if not 0 < self.eps < math.inf:  # the root has no gradient at 0
            raise InputError(f"--loss.eps must be above 0, got {self.eps}.")
        if not 0 <= self.ssim_weight <= 1:
            raise InputError(f"--loss.ssim-weight must lie in [0, 1], got {self.ssim_weight}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ValidationConfig:
    """Measuring the EMA weights while training.

    Raises:
      InputError: if a number is out of its range.
    """

    hq: str = ""  # what data.hq takes, or the path of a folder of clean images; empty for no validation
    pairs: str = ""  # how LQ files are called, as data.pairs says
    level: int  # scale, noise sigma or JPEG quality to measure at
    every: int = 5000  # steps
    pictures: int = 3  # restored ones that are logged
    tile: int | None = None  # side of tiles; None for whole images where they fit into memory

    def __post_init__(self) -> None:
        _check_ranges(self, "validation", every=1, pictures=0, tile=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """When training is saved and what is kept.

    Raises:
      InputError: if a number is out of its range.
    """

    every: int = 5000  # steps
    keep_last: int = 2
    keep_best: int = 1  # by validation PSNR

    def __post_init__(self) -> None:
        _check_ranges(self, "checkpoint", every=1, keep_last=1, keep_best=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """All that decides a training run; each field can be overridden from the command line.

    Raises:
      InputError: if a value is out of its range; whether the parts fit is `check_experiment`'s to say.
    """

    name: str = ""  # of the recipe that it began with
    task: str  # a key of TASKS
    network: SwinIRConfig
    data: DataConfig
    validation: ValidationConfig
    optimizer: OptimizerConfig = OptimizerConfig()
    loss: LossConfig = LossConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    steps: int = 500_000
    batch_size: int = 32  # over all devices
    ema_decay: float = 0.999
    dtype: Literal["float32", "bfloat16"] = "float32"  # of the arithmetic; parameters are float32
    seed: int = 0
    init_from: str = ""  # anything that load_pretrained takes
    shard_optimizer: int = 1  # devices that share one copy of EMA and optimiser state
    max_skipped: int = 100  # steps in a row without a finite gradient that end the run
    log_every: int = 100  # steps

    def __post_init__(self) -> None:
        _check_choices(self, "")
        _check_ranges(
            self, "", steps=1, batch_size=1, ema_decay=0, seed=0, shard_optimizer=1, max_skipped=1, log_every=1
        )
        if not self.ema_decay < 1:
            raise InputError(f"--ema-decay must lie in [0, 1), got {self.ema_decay}.")
        if self.batch_size % self.optimizer.accumulate:
            raise InputError(
                f"--batch-size {self.batch_size} is no multiple of --optimizer.accumulate {self.optimizer.accumulate}."
            )

    def to_dict(self) -> dict[str, Any]:
        """All values as JSON can hold them."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Experiment":
        """The inverse of `to_dict`, of lists for tuples too.

        Raises:
          InputError: if a name is unknown or missing, or a value is out of its range.
        """
        return _from_dict(cls, values, "")


def _from_dict(kind: Any, values: Mapping[str, Any], prefix: str) -> Any:
    hints = typing.get_type_hints(kind)
    if not isinstance(values, Mapping):
        raise InputError(f"{prefix or 'An experiment'} has fields by name, got {values!r}.")
    unknown = sorted(_dotted(prefix, name) for name in values.keys() - hints.keys())
    if unknown:
        raise InputError(f"Unknown fields of an experiment: {first_few(unknown)}.")
    arguments = dict(values)
    for name, value in values.items():
        if dataclasses.is_dataclass(hints[name]):
            arguments[name] = _from_dict(hints[name], value, _dotted(prefix, name))
        elif isinstance(value, list):
            arguments[name] = tuple(value)
    try:
        return kind(**arguments)
    except TypeError as error:
        raise InputError(f"{prefix or 'An experiment'}: {error}.") from error
