"""Settings of the training data."""

import dataclasses
from collections.abc import Mapping
from typing import Literal

from swinir_jax.data.blind import DEFAULT_CHAIN, ChainKind
from swinir_jax.data.blind.chains import CHAINS
from swinir_jax.errors import InputError
from swinir_jax.fields import check_at_least, check_choices

# Least and greatest level of each degradation: scale, noise sigma on the 0..255 scale, JPEG quality.
LEVELS: Mapping[str, tuple[int, int]] = {"bicubic": (1, 16), "blind": (1, 4), "noise": (0, 255), "jpeg": (1, 100)}
SHRINKING = ("bicubic", "blind")  # degradations whose level is the scale


@dataclasses.dataclass(frozen=True, kw_only=True)
class Degradation:
    """Degradation that makes LQ patches from HQ patches; each patch draws a level from `low` to `high`.

    Attributes:
      kind: degradation: bicubic shrinking, a chain of unknown degradations, Gaussian noise or JPEG compression.
      low: least level: scale, noise sigma on the 0..255 scale, or JPEG quality.
      high: greatest level; equal to `low` for shrinking and for a chain.
      chain: chain of a blind degradation: BSRGAN's, KAIR's extension of it, Real-ESRGAN's, the mild one of photographs
        from phones and the web, or the strong one of old, dark or often passed on photographs.
      jpeg_grid: position of JPEG's 8x8 blocks: aligned with the patch, or random.

    Raises:
      InputError: if a value is not one of the choices, or a level is out of its range in LEVELS.
    """

    kind: Literal["bicubic", "blind", "noise", "jpeg"]
    low: int
    high: int
    chain: ChainKind = DEFAULT_CHAIN
    jpeg_grid: Literal["aligned", "random"] = "random"

    def __post_init__(self) -> None:
        check_choices(self, "data.degradation.")
        least, most = LEVELS[self.kind]
        if not least <= self.low <= self.high <= most:
            raise InputError(
                f"--data.degradation.low and --data.degradation.high of {self.kind} must satisfy "
                f"{least} <= low <= high <= {most}, got {self.low} and {self.high}."
            )
        if self.kind in SHRINKING and self.low != self.high:
            raise InputError(
                f"--data.degradation.low and --data.degradation.high of {self.kind} must be one scale, "
                f"got {self.low} and {self.high}."
            )
        if self.kind == "blind" and f"{self.chain}_x{self.low}" not in CHAINS:
            scales = [name.rpartition("_x")[2] for name in CHAINS if name.startswith(f"{self.chain}_x")]
            raise InputError(
                f"--data.degradation.low and --data.degradation.high of the chain {self.chain} must be one of "
                f"{', '.join(scales)}, got {self.low}."
            )

    @property
    def scale(self) -> int:
        """HQ / LQ side ratio."""
        return self.low if self.kind in SHRINKING else 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    r"""Training images (HQ), their degraded counterparts (LQ), and the patches cut from both.

    Attributes:
      degradation: degradation of images without an LQ file.
      patch_size: side of an LQ patch, in pixels.
      hq: training images, required for a new run: `folder:PATH` (LQ is made from HQ), `folder:HQ,LQ` or
        `tfds:NAME[/CONFIG][:SPLIT]`, or several of them with commas between. Each may end with `:WEIGHT`, the relative
        number of patches from this place (1 if left out); without any weight, all images are drawn equally often. Write
        `\,` and `\:` for a comma and a colon in a name.
      pairs: template of LQ names, where {} stands for the name of HQ: {}x2, X2/{}x2, LR_{}; empty for the usual names.
      skip_small: whether images smaller than a patch are left out; they are an error otherwise.
      max_corrupt: greatest number of unreadable images in a process; one more ends the run.
      threads: threads of each process that read and degrade images ahead of the step; 0 to work only on request.
      cache_mb: memory of each process for decoded images, in MiB.
      data_dir: folder of tensorflow-datasets; empty for the default of that library.

    Raises:
      InputError: if a number is out of its range.
    """

    degradation: Degradation
    patch_size: int
    hq: str = ""
    pairs: str = ""
    skip_small: bool = False
    max_corrupt: int = 100
    threads: int = 2
    cache_mb: int = 2048
    data_dir: str = ""

    def __post_init__(self) -> None:
        check_at_least(self, "data.", patch_size=1, max_corrupt=0, threads=0, cache_mb=0)
