"""The formats of written pictures, and what each format can hold."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from swinir_jax.errors import InputError
from swinir_jax.images.formats import READABLE, format_by_name
from swinir_jax.images.header import Header
from swinir_jax.images.png_chunks import MAX_SIDE


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits of a format, as this package writes it.

    Attributes:
      max_side: longest side in pixels.
      bits: largest number of bits per channel; deeper pictures are rounded.
      alpha: whether the format has an alpha channel.
      lossless: whether samples are read back unchanged.
      gray: whether the format holds gray pictures; otherwise they become RGB.
      profile: whether the format holds a colour profile; otherwise colours are converted to sRGB.
      metadata: whether the format holds EXIF and XMP data.
      text: whether the format holds texts with keywords.
      iptc: whether the format holds IPTC data.
      resolution: whether the format holds pixels per inch.
      by_rows: whether pictures larger than memory can be written.
    """

    max_side: int
    bits: int = 8
    alpha: bool = True
    lossless: bool = True
    gray: bool = True
    profile: bool = True
    metadata: bool = True
    text: bool = False
    iptc: bool = False
    resolution: bool = True
    by_rows: bool = False

    def lacks(self, header: Header) -> str:
        """Names the parts of a picture that the format cannot hold; empty if it can hold all."""
        side = max(header.height, header.width)
        problems = [f"a side of {side} pixels"] if side > self.max_side else []
        problems += ["alpha"] if header.has_alpha and not self.alpha else []
        return ", ".join(problems)

    def objection(self, name: str, header: Header, *, by_rows: bool, rounding: bool) -> str:
        """Explains why the format does not suit a result; empty if it does.

        Args:
          name: name of the format.
          header: the result.
          by_rows: whether the result is larger than memory.
          rounding: whether 16 bits may become 8.
        """
        if missing := self.lacks(header):
            return f"{name} cannot hold {missing}"
        if header.bits > self.bits and not rounding:
            return f"{name} cannot hold {header.bits} bits per channel"
        if by_rows and not self.by_rows:
            return f"{name} cannot be written by rows, as results larger than memory are"
        return ""


LIMITS: Mapping[str, Limits] = MappingProxyType(
    {
        "PNG": Limits(MAX_SIDE, bits=16, text=True, iptc=True, by_rows=True),
        "JPEG": Limits(65_500, alpha=False, lossless=False, iptc=True),  # limit of libjpeg
        "WebP": Limits(16_383, gray=False, resolution=False),
        "TIFF": Limits(2**31 - 1, bits=16, iptc=True, by_rows=True),
        "BMP": Limits(2**31 - 1, profile=False, metadata=False),
        "AVIF": Limits(65_536, lossless=False, gray=False, resolution=False),
        # imagecodecs does not pass profiles to libjxl.
        "JPEG XL": Limits(2**30 - 1, bits=16, profile=False, resolution=False),
    }
)
"""Format -> limits, for all formats that can be written."""

WRITABLE: Mapping[str, str] = MappingProxyType({end: name for end, name in READABLE.items() if name in LIMITS})
"""Ending in lower case -> format, for all formats that can be written."""

FIRST_ENDINGS = tuple(next(end for end, name in WRITABLE.items() if name == wanted) for wanted in LIMITS)
"""The usual ending of each format that can be written."""
_FALLBACKS = (".png", ".tif")  # formats for any picture; TIFF also for sides too long for PNG


def cannot_hold(path: str | os.PathLike[str], header: Header) -> str:
    """Explains why a picture cannot be written under a name.

    Args:
      path: file name, or an ending such as ".png".
      header: picture to write, without `has_alpha` if alpha is opaque or will be flattened.

    Returns:
      A sentence like `WebP cannot hold a side of 20000 pixels; use .png instead`; empty if the format holds the
      picture.

    Raises:
      InputError: if no written format has the ending.
    """
    name = target_format(path)
    missing = LIMITS[name].lacks(header)
    return missing and f"{name} cannot hold {missing}; use {fitting_ending(path, header)} instead"


def fitting_ending(path: str | os.PathLike[str], header: Header) -> str:
    """Chooses an ending whose format holds a picture with all bits and alpha.

    Args:
      path: file name with any ending, or an ending such as ".png"; preferred if the format holds the picture.
      header: picture to write.

    Returns:
      The ending of `path`, ".png", or ".tif" for a picture too large for PNG.
    """
    for ending in (_ending(path), *_FALLBACKS):
        limits = LIMITS.get(WRITABLE.get(ending.lower(), ""))
        if limits and not limits.lacks(header) and limits.bits >= header.bits:
            return ending
    return _FALLBACKS[-1]


def result_ending(name: Path, result: Header, *, by_rows: bool = False) -> tuple[str, tuple[str, ...]]:
    """Chooses the ending of a result: that of the input if the format is lossless and holds the result.

    Args:
      name: name of the input's file.
      result: size and kind of the result.
      by_rows: whether the result is larger than memory.

    Returns:
      The ending of the input, ".png", or ".tif" for a picture too large for PNG; and a note if the input's format is
      lossless but does not suit the result.
    """
    own, fallback = WRITABLE.get(name.suffix.lower()), fitting_ending(".png", result)
    if own is None or not LIMITS[own].lossless:
        return fallback, ()
    if objection := LIMITS[own].objection(own, result, by_rows=by_rows, rounding=False):
        return fallback, (f"written as {fallback}: {objection}",)
    return name.suffix, ()


def result_stem(name: Path) -> str:
    """Returns the name of a result without the ending: that of the input, without the ending of a picture."""
    return name.stem if format_by_name(name) else name.name


def target_format(path: str | os.PathLike[str]) -> str:
    """Returns the format that a file's ending stands for, a key of `LIMITS`.

    Raises:
      InputError: if no written format has the ending.
    """
    name = WRITABLE.get(_ending(path).lower())
    if name is None:
        raise InputError(f"{os.fspath(path)}: unknown ending; use one of {', '.join(FIRST_ENDINGS)}")
    return name


def _ending(path: str | os.PathLike[str]) -> str:
    text = os.fspath(path)
    return text if text.startswith(".") and "/" not in text and text.count(".") == 1 else Path(text).suffix
