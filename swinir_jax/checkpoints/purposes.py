"""What a photograph needs, and which networks give it: one table of purpose, quality and scale."""

import dataclasses
import math
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, get_args

from swinir_jax.checkpoints.download import Place, place_of
from swinir_jax.checkpoints.zoo import bundled_models
from swinir_jax.errors import InputError, is_int

SCALES = (1, 2, 3, 4, 8)
"""Enlargements that can be asked for; every purpose has an answer for each."""

Quality = Literal["fast", "best"]


@dataclasses.dataclass(frozen=True)
class Row:
    """The networks for one purpose in one quality.

    Attributes:
      networks: name of the network by scale, with `{level}` for the level that the network was trained for.
      reason: what these networks are good for, in a few words, with `{level}` likewise.
      left: faults of the purpose that only the networks of quality "best" remove; empty if there are none.
    """

    networks: Mapping[int, str]
    reason: str
    left: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Purpose:
    """One thing to do with a photograph.

    Attributes:
      name: name on the command line.
      label: the purpose in the words of a photographer.
      scale: enlargement of a user who asks for none.
      rows: networks by quality: "fast" takes bundled ones where there are any, "best" the largest official ones.
      levels: strengths of the degradation for which official networks exist; empty if they are made for all.
      level: level of a user who names none; None without levels.
      level_name: what a level counts.
      tasks: official names of the tasks whose networks belong to the purpose.
    """

    name: str
    label: str
    scale: int
    rows: Mapping[Quality, Row]
    levels: tuple[int, ...] = ()
    level: int | None = None
    level_name: str = ""
    tasks: tuple[str, ...]


_ENLARGING = {scale: f"lightweight_x{scale}" for scale in (2, 3, 4)}
_CLASSICAL = {s: f"001_classicalSR_DF2K_s64w8_SwinIR-M_x{s}" for s in (2, 3, 4, 8)}
_GRAY_NOISE = {1: "004_grayDN_DFWB_s128w8_SwinIR-M_noise{level}"}

_PURPOSES = (
    Purpose(
        name="photo",
        label="Photograph: noise, JPEG and blur",
        scale=2,
        rows={
            # Measured by benchmarks/photo_networks.py: the best of the bundled networks.
            "fast": Row(
                {1: "real_denoise", 2: "real_x2", 4: "real_x4"}, "removes noise, JPEG and mild blur", "strong blur"
            ),
            "best": Row(
                {
                    2: "003_realSR_BSRGAN_DFO_s64w8_SwinIR-M_x2_GAN",
                    4: "003_realSR_BSRGAN_DFOWMFC_s64w8_SwinIR-L_x4_GAN",
                },
                "removes noise, JPEG and blur that nobody knows",
            ),
        },
        tasks=("real_sr",),
    ),
    Purpose(
        name="clean",
        label="Clean picture: rendered, scanned or without visible faults",
        scale=2,
        rows={
            "fast": Row(_ENLARGING, "for clean pictures, small"),
            "best": Row(_CLASSICAL, "for clean pictures, large"),
        },
        tasks=("lightweight_sr", "classical_sr"),
    ),
    Purpose(
        name="jpeg",
        label="JPEG: blocks and rings of strong compression",
        scale=1,
        rows={
            "fast": Row({1: "jpeg_light"}, "for JPEG of any quality from 10 to 90"),
            "best": Row({1: "006_colorCAR_DFWB_s126w7_SwinIR-M_jpeg{level}"}, "for JPEG of quality {level}"),
        },
        levels=(10, 20, 30, 40),
        level=40,  # the one that smooths least
        level_name="quality",
        tasks=("color_jpeg_car", "jpeg_car", "compressed_sr"),
    ),
    Purpose(
        name="noise",
        label="Noise: grain of high ISO",
        scale=1,
        rows={
            "fast": Row({1: "color_denoise_light"}, "for noise of any sigma from 5 to 50"),
            "best": Row({1: "005_colorDN_DFWB_s128w8_SwinIR-M_noise{level}"}, "for noise of sigma {level}"),
        },
        levels=(15, 25, 50),
        level=25,
        level_name="sigma",
        tasks=("color_dn",),
    ),
    Purpose(
        name="gray-noise",
        label="Noise of a black-and-white photograph",
        scale=1,
        rows={
            "fast": Row(_GRAY_NOISE, "for gray noise of sigma {level}; no bundled network is"),
            "best": Row(_GRAY_NOISE, "for gray noise of sigma {level}"),
        },
        levels=(15, 25, 50),
        level=25,
        level_name="sigma",
        tasks=("gray_dn",),
    ),
)

PURPOSES: Mapping[str, Purpose] = MappingProxyType({purpose.name: purpose for purpose in _PURPOSES})
"""The purposes by name, in the order in which they are shown; the first is the default."""

DEFAULT_PURPOSE = next(iter(PURPOSES))


@dataclasses.dataclass(frozen=True)
class Pass:
    """One network that a photograph goes through.

    Attributes:
      model: name of the network.
      scale: the network's own enlargement.
      place: where the weights are.
    """

    model: str
    scale: int
    place: Place

    @property
    def source(self) -> str:
        """Name for `load_pretrained`; a folder of the same name does not hide a bundled network."""
        return str(bundled_models().get(self.model, self.model))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """The networks for a photograph.

    Attributes:
      purpose: name of the purpose.
      scale: enlargement that was asked for.
      quality: "fast" or "best".
      level: level that the networks were chosen for; None if the purpose has none.
      passes: networks in the order in which they run.
      reason: why these networks, in a few words.
      better: name of the network of quality "best", if it removes faults that the chosen ones leave; else None.
      left: those faults, in a few words.
    """

    purpose: str
    scale: int
    quality: Quality
    level: int | None
    passes: tuple[Pass, ...]
    reason: str
    better: str | None
    left: str = ""

    @property
    def is_resized(self) -> bool:
        """Whether MATLAB's bicubic reduces the last answer to the scale."""
        return math.prod(step.scale for step in self.passes) != self.scale

    def as_dict(self) -> dict[str, Any]:
        """Returns the fields and `is_resized`, as values of JSON."""
        return {**dataclasses.asdict(self), "is_resized": self.is_resized}

    def __str__(self) -> str:
        """Describes the choice in a line: `photo, scale 2: real_x2 (bundled); removes noise, JPEG and mild blur`."""
        return f"{self.purpose}, scale {self.scale}: {describe_passes(self.passes, self.scale)}; {self.reason}"


def choose_models(
    purpose: str = DEFAULT_PURPOSE,
    scale: int | None = None,
    *,
    quality: Quality = "fast",
    level: int | None = None,
    weights_dir: str | os.PathLike[str] | None = None,
) -> Choice:
    """Chooses the networks for a photograph; loads and downloads nothing.

    A scale that no network of the purpose has is reached by the next larger network and MATLAB's bicubic; beyond the
    largest, the answer, which is clean, goes through the networks for clean pictures.

    Args:
      purpose: a key of `PURPOSES`.
      scale: one of `SCALES`; None for the purpose's default.
      quality: "fast" for small networks, bundled where there are any; "best" for large official ones.
      level: sigma of the noise or quality of the JPEG, one of the purpose's `levels`; None for the default.
      weights_dir: folder in which official files are looked for first.

    Returns:
      The choice, for `load_restorer`; `str(choice)` describes it in a line.

    Raises:
      InputError: if an argument has another value.
    """
    if purpose not in PURPOSES:
        raise InputError(f"The purpose must be one of {', '.join(PURPOSES)}, got {purpose!r}.")
    if quality not in get_args(Quality):
        raise InputError(f"The quality must be one of {', '.join(get_args(Quality))}, got {quality!r}.")
    entry = PURPOSES[purpose]
    scale = entry.scale if scale is None else scale
    if not is_int(scale) or scale not in SCALES:
        raise InputError(f"The scale must be one of {', '.join(map(str, SCALES))}, got {scale!r}.")
    if level is not None and level not in entry.levels:
        known = f"takes the levels {', '.join(map(str, entry.levels))}" if entry.levels else "takes no level"
        raise InputError(f"Wrong level {level!r} (--level): the purpose {purpose} (--for) {known}.")
    level = entry.level if level is None else level
    row = entry.rows[quality]
    names = _in_turn(row.networks, scale, quality)
    better = _in_turn(entry.rows["best"].networks, scale, "best")[0][0] if row.left else None
    return Choice(
        purpose=purpose,
        scale=scale,
        quality=quality,
        level=level,
        passes=tuple(_pass(name.format(level=level), own, weights_dir) for name, own in names),
        reason=row.reason.format(level=level),
        better=better and better.format(level=level),
        left=row.left,
    )


def further_passes(reached: int, scale: int, weights_dir: str | os.PathLike[str] | None = None) -> tuple[Pass, ...]:
    """Returns the fast passes that enlarge a clean picture, already enlarged by `reached`, to `scale` at least."""
    return tuple(_pass(name, own, weights_dir) for name, own in _beyond(reached, scale, "fast"))


def describe_passes(passes: tuple[Pass, ...], scale: int) -> str:
    """Describes passes that end at a scale: `lightweight_x4 (bundled), then MATLAB's bicubic to scale 3`."""
    steps = [f"{step.model} ({step.place})" for step in passes]
    if math.prod(step.scale for step in passes) != scale:
        steps.append(f"MATLAB's bicubic to scale {scale}")
    return ", then ".join(steps)


def _in_turn(networks: Mapping[int, str], scale: int, quality: Quality) -> list[tuple[str, int]]:
    """Returns names and own scales of the networks that together enlarge by `scale` or by the next larger number."""
    # The largest comes first: for x8 of Set5, x4 and then x2 give 26.21 dB, the other order 26.15 dB.
    own = min((s for s in networks if s >= scale), default=max(networks))
    return [(networks[own], own), *_beyond(own, scale, quality)]


def _beyond(reached: int, scale: int, quality: Quality) -> list[tuple[str, int]]:
    missing = math.ceil(scale / reached)
    return _in_turn(PURPOSES["clean"].rows[quality].networks, missing, quality) if missing > 1 else []


def _pass(name: str, scale: int, weights_dir: str | os.PathLike[str] | None) -> Pass:
    return Pass(name, scale, place_of(name, weights_dir))
