"""Settings of a training run, as one frozen value."""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any, Literal

from swinir_jax.config import SwinIRConfig
from swinir_jax.data.config import DataConfig
from swinir_jax.errors import InputError, first_few
from swinir_jax.fields import check_at_least, check_choices, check_fractions, check_positive


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Optimiser and learning rate schedule.

    Attributes:
      name: optimiser; adamw is Adam with weight decay; muon orthogonalises the updates of kernels, and is Adam for all
        other parameters.
      learning_rate: greatest learning rate of the schedule.
      schedule: course of the learning rate: halved at the milestones, falling to 0 along a cosine, or constant.
      milestones: fractions of all steps after which `multistep` halves the learning rate.
      warmup_steps: steps in which the learning rate rises linearly from 0.
      b1: decay rate of Adam's average of the gradient.
      b2: decay rate of Adam's average of the squared gradient.
      eps: summand of Adam's denominator, outside the root.
      weight_decay: weight decay of `adamw`, which is Adam at 0.
      clip_norm: greatest norm of the gradient over all parameters; None for no clipping.
      accumulate: micro-batches into which a step divides its batch, to save memory.

    Raises:
      InputError: if a value is out of its range.
    """

    name: Literal["adam", "adamw", "muon"] = "adam"
    learning_rate: float = 2e-4
    schedule: Literal["multistep", "cosine", "constant"] = "multistep"
    milestones: tuple[float, ...] = (0.5, 0.8, 0.9, 0.95)
    warmup_steps: int = 0
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    clip_norm: float | None = None
    accumulate: int = 1

    option_prefix: typing.ClassVar[str] = "optimizer."

    def __post_init__(self) -> None:
        prefix = self.option_prefix
        check_choices(self, prefix)
        check_at_least(self, prefix, warmup_steps=0, weight_decay=0, accumulate=1)
        check_positive(self, prefix, "learning_rate", "eps", "clip_norm")
        check_fractions(self, prefix, "b1", "b2")
        if list(self.milestones) != sorted(set(self.milestones)) or not all(0 < m <= 1 for m in self.milestones):
            raise InputError(f"--{prefix}milestones must be rising fractions in (0, 1], got {self.milestones}.")
        if self.weight_decay and self.name != "adamw":
            raise InputError(f"--{prefix}weight-decay {self.weight_decay} needs --{prefix}name adamw, got {self.name}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DiscriminatorOptimizerConfig(OptimizerConfig):
    """Optimiser of the discriminator and its learning rate schedule; micro-batches are those of the generator."""

    learning_rate: float = 1e-4

    option_prefix: typing.ClassVar[str] = "gan.optimizer."

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.accumulate != 1:
            raise InputError("--gan.optimizer.accumulate has no effect; set --optimizer.accumulate for both networks.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Training loss, computed on values in [0, 1].

    Attributes:
      name: loss of the pixels: mean absolute, mean squared or Charbonnier's error, or l1 with SSIM.
      weight: weight of the pixel loss.
      eps: summand inside the root of `charbonnier`.
      ssim_weight: weight w of `l1_ssim`, (1 - w) * L1 + w * (1 - SSIM).
      perceptual: network whose features the perceptual loss compares, or none.
      perceptual_weight: weight of the perceptual loss.
      weights_dir: folder with the weights of that network; empty for the usual places.

    Raises:
      InputError: if a value is out of its range.
    """

    name: Literal["l1", "l2", "charbonnier", "l1_ssim"] = "l1"
    weight: float = 1.0
    eps: float = 1e-9
    ssim_weight: float = 0.1
    perceptual: Literal["none", "vgg19", "vgg16_hed", "efficientnet_lite0"] = "none"
    perceptual_weight: float = 1.0
    weights_dir: str = ""

    def __post_init__(self) -> None:
        check_choices(self, "loss.")
        check_at_least(self, "loss.", weight=0, perceptual_weight=0)
        check_positive(self, "loss.", "eps")  # at 0 the root has no gradient
        if not 0 <= self.ssim_weight <= 1:
            raise InputError(f"--loss.ssim-weight must lie in [0, 1], got {self.ssim_weight}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class GanConfig:
    """Adversarial training against a discriminator, which begins with a trained network.

    Attributes:
      loss: adversarial loss: vanilla GAN with logits, least squares, or none to train without a discriminator, where
        the other fields have no effect.
      weight: weight of the adversarial loss.
      features: channels of the discriminator at full resolution.
      warmup_steps: steps at the start in which the discriminator learns alone.
      feature_matching: weight of the L1 distance between the discriminator's features of result and truth.
      artifacts: weight of LDL's loss (Liang, Zeng and Zhang 2022), an L1 loss where the network adds artefacts.
      optimizer: optimiser of the discriminator.

    Raises:
      InputError: if a value is out of its range.
    """

    loss: Literal["none", "gan", "lsgan"] = "none"
    weight: float = 0.1
    features: int = 64
    warmup_steps: int = 0
    feature_matching: float = 0.0
    artifacts: float = 0.0
    optimizer: DiscriminatorOptimizerConfig = DiscriminatorOptimizerConfig()

    def __post_init__(self) -> None:
        check_choices(self, "gan.")
        check_at_least(self, "gan.", weight=0, features=1, warmup_steps=0, feature_matching=0, artifacts=0)
        if self.loss == "none" and (self.feature_matching or self.artifacts):
            raise InputError("--gan.feature-matching and --gan.artifacts need a --gan.loss; set them to 0 without one.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ValidationConfig:
    """Measurement of the EMA weights during training.

    Attributes:
      hq: images to measure, named as for `data.hq` or by the path of a folder; empty for no validation.
      pairs: template of LQ names, as for `data.pairs`.
      level: level of the degradation: scale, noise sigma on the 0..255 scale, or JPEG quality.
      every: steps between two validations.
      pictures: restored images to log.
      tile: side of the tiles, in pixels; None for whole images where they fit into memory.

    Raises:
      InputError: if a number is out of its range.
    """

    hq: str = ""
    pairs: str = ""
    level: int
    every: int = 5000
    pictures: int = 3
    tile: int | None = None

    def __post_init__(self) -> None:
        check_at_least(self, "validation.", every=1, pictures=0, tile=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """Times and number of the checkpoints.

    Attributes:
      every: steps between two checkpoints.
      keep_last: latest checkpoints to keep.
      keep_best: best checkpoints to keep, by validation PSNR.

    Raises:
      InputError: if a number is out of its range.
    """

    every: int = 5000
    keep_last: int = 2
    keep_best: int = 1

    def __post_init__(self) -> None:
        check_at_least(self, "checkpoint.", every=1, keep_last=1, keep_best=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """Settings of a training run; the command line can override each field but the name.

    Attributes:
      name: name of the recipe in `swinir_jax.configs`; empty for none.
      task: task of the paper by the official name, such as classical_sr or color_dn.
      network: architecture.
      data: training images and their degradation.
      validation: measurement during training.
      optimizer: optimiser and learning rate.
      loss: training loss.
      gan: adversarial training.
      checkpoint: saving.
      steps: training steps.
      batch_size: patches in a step, over all devices.
      ema_decay: decay rate of the weights' moving average (EMA), which is measured and saved beside the weights.
      ema_warmup: whether the decay rate rises to `ema_decay`, as (1 + t) / (10 + t) after t updates, so that the
        average of a short run follows the weights.
      dtype: dtype of the arithmetic; parameters are float32.
      seed: seed of all random numbers, below 2**32.
      init_from: weights to start from: a run, model folder, weight file or model name; empty for random weights.
      shard_optimizer: devices that share one copy of EMA and optimiser state.
      max_skipped: consecutive steps without a finite gradient that end the run, at the next log entry.
      log_every: steps between two log entries.

    Raises:
      InputError: if a value is out of its range. `check_experiment` checks that the parts fit.
    """

    name: str = ""
    task: str
    network: SwinIRConfig
    data: DataConfig
    validation: ValidationConfig
    optimizer: OptimizerConfig = OptimizerConfig()
    loss: LossConfig = LossConfig()
    gan: GanConfig = GanConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    steps: int = 500_000
    batch_size: int = 32
    ema_decay: float = 0.999
    ema_warmup: bool = True
    dtype: Literal["float32", "bfloat16"] = "float32"
    seed: int = 0
    init_from: str = ""
    shard_optimizer: int = 1
    max_skipped: int = 100
    log_every: int = 100

    def __post_init__(self) -> None:
        check_choices(self, "")
        check_at_least(self, "", steps=1, batch_size=1, seed=0, shard_optimizer=1, max_skipped=1, log_every=1)
        check_fractions(self, "", "ema_decay")
        if self.batch_size % self.optimizer.accumulate:
            raise InputError(
                f"--batch-size {self.batch_size} must be a multiple of --optimizer.accumulate "
                f"{self.optimizer.accumulate}."
            )
        if self.seed >= 2**32:  # JAX would take the rest of the division
            raise InputError(f"--seed must be below 2**32, got {self.seed}.")

    def to_dict(self) -> dict[str, Any]:
        """Returns all values as JSON types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Experiment":
        """Builds an experiment from the result of `to_dict`, or from JSON, where tuples are lists.

        A run stored before `ema_warmup` existed has none.

        Raises:
          InputError: if a name is unknown or missing, or a value is out of its range.
        """
        if isinstance(values, Mapping):  # other values are refused below
            values = {"ema_warmup": False, **values}
        return _from_dict(cls, values, "")


def _from_dict(kind: Any, values: Mapping[str, Any], name: str) -> Any:
    """Builds a dataclass and those nested in it; `name` is the dotted name of its field."""
    hints, owner = typing.get_type_hints(kind), name or "the experiment"
    if not isinstance(values, Mapping):
        raise InputError(f"{owner} must be a JSON object, got {values!r}.")
    dotted = {field: f"{name}.{field}" if name else field for field in values}
    unknown = sorted(dotted[field] for field in values.keys() - hints.keys())
    if unknown:
        raise InputError(f"Unknown fields of an experiment: {first_few(unknown)}.")
    arguments = dict(values)
    for field, value in values.items():
        if dataclasses.is_dataclass(hints[field]):
            arguments[field] = _from_dict(hints[field], value, dotted[field])
        elif isinstance(value, list):
            arguments[field] = tuple(value)
    try:
        return kind(**arguments)
    except TypeError as error:
        raise InputError(f"{owner}: {error}.") from error
