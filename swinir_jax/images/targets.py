"""The formats that pictures are written in, and what each of them can hold."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from swinir_jax.errors import InputError
from swinir_jax.images.formats import READABLE
from swinir_jax.images.header import Header


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a format can hold.

    Attributes:
      max_side: pixels.
      bits: per channel, at most; deeper pictures are rounded.
      alpha: whether it has an alpha channel.
      lossless: whether every sample comes back as it was.
      gray: whether it holds gray pictures; they become RGB otherwise.
      profile: whether it holds a colour profile, as we write it; colours are converted to sRGB otherwise.
      metadata: whether it holds EXIF and XMP data.
      text: whether it holds texts by keywords.
    """

    max_side: int
    bits: int = 8
    alpha: bool = True
    lossless: bool = True
    gray: bool = True
    profile: bool = True
    metadata: bool = True
    text: bool = False

    def lacks(self, header: Header) -> str:
        """What of a picture has no place in the format; empty if it all has."""
        side = max(header.height, header.width)
        problems = {
            f"a side of {side} pixels": side > self.max_side,
            "alpha": header.has_alpha and not self.alpha,
        }
        return ", ".join(problem for problem, holds in problems.items() if holds)


LIMITS: Mapping[str, Limits] = MappingProxyType(
    {
        "PNG": Limits(1_000_000, bits=16, text=True),  # the limit of libpng
        "JPEG": Limits(65_500, alpha=False, lossless=False),  # the limit of libjpeg
        "WebP": Limits(16_383, gray=False),
        "TIFF": Limits(2**31 - 1, bits=16),
        "BMP": Limits(2**31 - 1, profile=False, metadata=False),
        "AVIF": Limits(65_536, lossless=False, gray=False),
        "JPEG XL": Limits(2**30 - 1, bits=16, profile=False),  # libjxl is not told of profiles by imagecodecs
    }
)
"""Format -> what it can hold, for each that can be written."""

WRITABLE: Mapping[str, str] = MappingProxyType({end: name for end, name in READABLE.items() if name in LIMITS})
"""Endings, in lower case, of files that can be written -> their formats."""

_FIRST_ENDINGS = tuple(next(end for end, name in WRITABLE.items() if name == wanted) for wanted in LIMITS)
_FALLBACKS = (".png", ".tif")  # hold everything, up to some size and up to any


def cannot_hold(path: str | os.PathLike[str], header: Header) -> str:
    """Tells why a picture cannot be written under a name.

    Args:
      path: a file's name, or an ending with its point.
      header: of the picture to write. Without `has_alpha` for one whose alpha will be flattened or is opaque.

    Returns:
      One sentence without the name: `WebP cannot hold a side of 20000 pixels; use .png instead`. Empty if it can.

    Raises:
      InputError: if the ending is that of no format that can be written.
    """
    name = target_format(path)
    missing = LIMITS[name].lacks(header)
    return missing and f"{name} cannot hold {missing}; use {fitting_ending(path, header)} instead"


def fitting_ending(path: str | os.PathLike[str], header: Header, *, lossless: bool = False) -> str:
    """Chooses the ending under which all of a picture can be written.

    Args:
      path: a file's name, or an ending with its point; any.
      header: of the picture to write.
      lossless: whether the samples shall come back as they were.

    Returns:
      The ending of `path` if its format can be written and holds the picture in its depth, else that of PNG; of TIFF,
      for what is too large for PNG.
    """
    for ending in (_ending(path), *_FALLBACKS):
        limits = LIMITS.get(WRITABLE.get(ending.lower(), ""))
        if limits and not limits.lacks(header) and limits.bits >= header.bits and limits.lossless >= lossless:
            return ending
    return _FALLBACKS[-1]


def target_format(path: str | os.PathLike[str]) -> str:
    """The format that a file is written in by its ending, a key of `LIMITS`.

    Raises:
      InputError: if the ending is that of no format that can be written.
    """
    name = WRITABLE.get(_ending(path).lower())
    if name is None:
        raise InputError(f"{os.fspath(path)}: unknown ending; use one of {', '.join(_FIRST_ENDINGS)}")
    return name


def _ending(path: str | os.PathLike[str]) -> str:
    text = os.fspath(path)
    return text if text.startswith(".") and "/" not in text and text.count(".") == 1 else Path(text).suffix
