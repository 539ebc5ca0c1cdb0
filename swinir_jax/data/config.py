"""What a training run reads, as one frozen value."""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Literal

from swinir_jax.errors import InputError

# Least and largest level of each kind: scale, noise sigma on the 0..255 scale, JPEG quality.
LEVELS: Mapping[str, tuple[int, int]] = {"bicubic": (1, 16), "noise": (0, 255), "jpeg": (1, 100)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Degradation:
    """What makes LQ of HQ while training; `low` equal to `high` is one fixed level, else each patch draws its own.

    Raises:
      InputError: if a level is none of its kind.
    """

    kind: Literal["bicubic", "noise", "jpeg"]
    low: int  # see LEVELS
    high: int
    jpeg_grid: Literal["aligned", "random"] = "random"  # where the 8x8 blocks begin in a patch

    def __post_init__(self) -> None:
        for name in ("kind", "jpeg_grid"):
            allowed = typing.get_args(typing.get_type_hints(Degradation)[name])
            if getattr(self, name) not in allowed:
                raise InputError(f"data.degradation.{name} must be one of {allowed}, got {getattr(self, name)!r}.")
        least, most = LEVELS[self.kind]
        if not least <= self.low <= self.high <= most or (self.kind == "bicubic" and self.low != self.high):
            raise InputError(f"Levels of {self.kind} lie in {least}..{most}, low <= high: got {self.low}..{self.high}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where training images come from, and how patches are cut from them.

    Raises:
      InputError: if a number is out of its range.
    """

    degradation: Degradation
    patch_size: int  # side of an LQ patch, in pixels
    hq: str = ""
    r"""Needed by a new run: folder:PATH (LQ is made of HQ), folder:HQ,LQ or tfds:NAME[/CONFIG][:SPLIT], or several of
    them with commas between. Each may end with :WEIGHT: how often it is drawn, relative to the others (1 where none is
    given); without any weight, all images are drawn equally often. A comma or a colon of a name is written \, or \:"""
    pairs: str = ""  # how LQ files are called, {} being HQ's name: {}x2, X2/{}x2, LR_{}; empty for the usual names
    skip_small: bool = False  # leave out images smaller than a patch, in place of an error
    max_corrupt: int = 100  # images that may be unreadable; one more ends the run
    threads: int = 2  # that read and degrade ahead of the step, in each process; 0 for when they are asked for
    cache_mb: int = 2048  # for decoded images kept in memory, in each process
    data_dir: str = ""  # of tensorflow-datasets; empty for its own default

    def __post_init__(self) -> None:
        for name, least in (("patch_size", 1), ("max_corrupt", 0), ("threads", 0), ("cache_mb", 0)):
            if getattr(self, name) < least:
                raise InputError(f"data.{name} must be at least {least}, got {getattr(self, name)}.")
