"""ICC colour profiles: built from code points or from gamma, and adapted to gray or RGB."""

import dataclasses
import functools
import struct
from collections.abc import Mapping

import imagecodecs
import numpy as np

from swinir_jax.images.picture import Picture

Point = tuple[float, float]  # chromaticity x, y

# Signature of an ICC profile's colour space -> channels, 0 where no picture is stored in the space.
# A profile of another colour space is kept as it is.
_CHANNELS = {b"RGB ": 3, b"GRAY": 1, b"CMYK": 4, b"CMY ": 0, b"Lab ": 0, b"Luv ": 0, b"XYZ ": 0, b"YCbr": 0, b"Yxy ": 0}
_D65, _SRGB_PRIMARIES = (0.3127, 0.3290), ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
_RGB_CURVES = (b"rTRC", b"gTRC", b"bTRC")

# Code points of ITU-T H.273, used by cICP in PNG and nclx in AVIF and HEIF -> white and primaries.
_PRIMARIES = {
    1: (_D65, _SRGB_PRIMARIES),
    5: (_D65, ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06))),
    6: (_D65, ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070))),
    7: (_D65, ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070))),
    9: (_D65, ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))),
    11: ((0.314, 0.351), ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))),
    12: (_D65, ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))),
}
_HEADER_BYTES, _SIGNATURE = 128, b"acsp"  # of an ICC profile
_UNSPECIFIED = 2
_HDR = {16: "PQ", 18: "HLG"}
SRGB = bytes([1, 13, 0, 1])
"""Code points of sRGB, which are primaries, curve, matrix (0 for RGB) and full range."""


def _curve(gamma: float, *abcd: float) -> bytes:
    """Packs a parametric ICC curve: x ** gamma; with a, b, c, d: (a x + b) ** gamma, and c x below d."""
    values = (round(value * 65536) for value in (gamma, *abcd))
    return struct.pack(f">4s4xH2x{1 + len(abcd)}i", b"para", 3 if abcd else 0, *values)


_SRGB_CURVE = _curve(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_VIDEO_CURVE = _curve(1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
_CURVES = {  # code point -> curve
    1: _VIDEO_CURVE,
    4: _curve(2.2),
    5: _curve(2.8),
    6: _VIDEO_CURVE,
    8: _curve(1.0),
    13: _SRGB_CURVE,
    14: _VIDEO_CURVE,
    15: _VIDEO_CURVE,
}


def is_profile(data: bytes) -> bool:
    """Returns whether bytes begin like an ICC profile."""
    return len(data) > _HEADER_BYTES and data[36:40] == _SIGNATURE


def are_specified(codes: bytes) -> bool:
    """Returns whether code points, in the layout of cICP, name primaries and curve."""
    return _UNSPECIFIED not in codes[:2]


def profile_of_code_points(codes: bytes) -> tuple[bytes | None, tuple[str, ...]]:
    """Builds the colour profile that code points stand for.

    Args:
      codes: primaries, curve, matrix and range, in the layout of cICP.

    Returns:
      The profile and notes. The profile is None for sRGB, which needs none, and for unspecified or unknown code
      points; unknown ones are noted.
    """
    primaries, curve = codes[:2]
    if codes[:2] == SRGB[:2] or not are_specified(codes):
        return None, ()
    if primaries not in _PRIMARIES or curve not in _CURVES:
        name = _HDR.get(curve, f"code points {primaries}/{curve}")
        return None, (f"colours of {name} kept as they are; only PNG can name them",)
    return _rgb_profile(*_PRIMARIES[primaries], _CURVES[curve]), ()


def profile_of_gamma(gamma: float | None, white: Point | None, primaries: tuple[Point, ...] | None) -> bytes:
    """Builds the colour profile that PNG's gAMA and cHRM stand for.

    Args:
      gamma: exponent of the encoding, such as 1 / 2.2; None for the curve of sRGB.
      white: white point; None for the white of sRGB.
      primaries: red, green and blue; None for the primaries of sRGB.

    Raises:
      ValueError: if a point is not a chromaticity.
    """
    curve = _SRGB_CURVE if gamma is None else _curve(1 / gamma)
    return _rgb_profile(white or _D65, primaries or _SRGB_PRIMARIES, curve)


def fit_profile(profile: bytes | None, channels: int) -> tuple[bytes | None, tuple[str, ...]]:
    """Adapts a profile to a number of channels.

    Args:
      profile: profile of any colour space, or damaged data.
      channels: 1 for gray, 3 for RGB.

    Returns:
      A profile with the same look of gray, and notes; None and a note if no profile fits.
    """
    if not profile:
        return None, ()
    if not is_profile(profile):
        return None, ("damaged colour profile ignored",)
    space = _CHANNELS.get(profile[16:20], channels)
    if space == channels:
        return profile, ()
    try:
        curves = {bytes(_tags(profile)[name]) for name in (_RGB_CURVES if space == 3 else (b"kTRC",))}
        if space in (1, 3) and len(curves) == 1:
            (curve,) = curves
            return (_rgb_profile(_D65, _SRGB_PRIMARIES, curve) if channels == 3 else _gray_profile(curve)), ()
    except (KeyError, struct.error, ValueError):  # the profile has a table in place of curves, or is damaged
        pass
    kinds = {1: "gray", 3: "RGB"}
    kind = kinds.get(space, profile[16:20].decode("latin-1").strip())
    return None, (f"colour profile of {kind} left out, because the picture is {kinds[channels]}",)


def to_srgb(picture: Picture) -> tuple[Picture, tuple[str, ...]]:
    """Converts a picture to sRGB, for formats without profiles; notes whether colours changed."""
    profile, notes = fit_profile(picture.icc_profile, picture.channels)
    if profile is None:
        return dataclasses.replace(picture, icc_profile=None), notes
    is_gray = picture.channels == 1
    space, target = ("gray", _gray_profile(_SRGB_CURVE)) if is_gray else ("rgb", imagecodecs.cms_profile("srgb"))
    try:
        pixels = imagecodecs.cms_transform(
            np.ascontiguousarray(picture.pixels), profile, target, colorspace=space, outcolorspace=space
        ).reshape(picture.pixels.shape)
        notes = () if np.array_equal(pixels, picture.pixels) else ("colours converted to sRGB",)
    except Exception:  # LittleCMS refuses the profile
        pixels, notes = picture.pixels, ("colour profile left out",)
    return dataclasses.replace(picture, pixels=pixels, icc_profile=None), notes


@functools.lru_cache(16)
def _rgb_profile(white: Point, primaries: tuple[Point, ...], curve: bytes) -> bytes:
    if not all(0 < y <= 1 and 0 <= x <= 1 for x, y in (white, *primaries)):
        raise ValueError(f"not chromaticities: {white}, {primaries}")
    coordinates = [value for point in primaries for value in (*point, 1)]
    profile = imagecodecs.cms_profile("rgb", whitepoint=[*white, 1], primaries=coordinates, gamma=1.0)
    return _with_tags(profile, dict.fromkeys(_RGB_CURVES, curve))


@functools.lru_cache(16)
def _gray_profile(curve: bytes) -> bytes:
    profile = imagecodecs.cms_profile("gray", whitepoint=[*_D65, 1], gamma=1.0)
    return _with_tags(profile, {b"kTRC": curve})


def _tags(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, 128)
    entries = (struct.unpack_from(">4sII", profile, 132 + 12 * i) for i in range(min(count, 100)))
    return {name: profile[offset : offset + size] for name, offset, size in entries}


def _with_tags(profile: bytes, changes: Mapping[bytes, bytes]) -> bytes:
    """Replaces the contents of tags; equal contents are stored once."""
    tags = {**_tags(profile), **changes}
    table, contents, offsets = struct.pack(">I", len(tags)), b"", dict[bytes, int]()
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        if content not in offsets:
            offsets[content] = start + len(contents)
            contents += content + bytes(-len(content) % 4)
        table += struct.pack(">4sII", name, offsets[content], len(content))
    size = struct.pack(">I", start + len(contents))
    date = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # fixed, so that equal profiles are equal bytes
    header = size + profile[4:24] + date + profile[36:84] + bytes(16) + profile[100:128]  # the checksum may be 0
    return header + table + contents
