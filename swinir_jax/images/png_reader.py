"""PNG, decoded by libpng: Pillow cuts 16-bit colours to 8 bits and misreads tRNS in gray of 2 or 4 bits."""

import dataclasses
import io
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, NamedTuple

import imagecodecs
import numpy as np
from PIL import Image

from swinir_jax.errors import InputError
from swinir_jax.images import iptc, pillow_reader, png_chunks
from swinir_jax.images.colour import (
    SRGB,
    Point,
    are_specified,
    is_profile,
    profile_of_code_points,
    profile_of_gamma,
)
from swinir_jax.images.exif import EXIF_PREFIX
from swinir_jax.images.header import Header
from swinir_jax.images.metadata import RAW_PROFILE, collect, from_raw_profile
from swinir_jax.images.picture import CUT_AFTER_PIXELS, Picture

_BITS_POSITION = 24  # offset of the bit depth in the file, and then of the colour type
_GRAY_TYPES = (0, 4)  # without alpha and with
_PILLOW_CHUNKS = {b"IHDR", b"PLTE", b"tRNS", b"pHYs", b"acTL", b"fcTL"}
_PIXEL_CHUNKS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_METADATA_CHUNKS = {b"eXIf", b"tEXt", b"zTXt", b"iTXt"}
_RESOLUTION_BYTES = 9  # of a pHYs chunk that is not damaged
_XMP_PREFIX = b"http://ns.adobe.com/xap/1.0/\0"  # of a segment in a JPEG
_FIXED_POINT = 100_000  # units of 1 in gAMA and cHRM


def read_header(file: BinaryIO) -> tuple[Header, int]:
    """Reads the header of the stored picture and the EXIF orientation; raises Pillow's errors."""
    image = _open(file, _raw_metadata(file))
    _check_sides(image.width)
    file.seek(_BITS_POSITION)
    bits, colour_type = file.read(2)
    header = pillow_reader.header_of(image, 16 if bits == 16 else 8)
    if colour_type in _GRAY_TYPES:
        header = dataclasses.replace(header, channels=1)  # Pillow reads gray of 16 bits with alpha as RGB
    return header, pillow_reader.orientation_of(image)[0]


def read(file: io.BytesIO) -> Picture:
    """Decodes a whole file; raises the decoders' errors."""
    raw = _raw_metadata(file)
    image = _open(file, raw)
    _check_sides(*image.size)
    metadata, notes = collect(raw.exif, raw.xmp, raw.text, raw.iptc)
    if raw.is_damaged:
        notes += ("damaged PNG texts ignored",)
    codes, profile, unknown = _colours(file)
    samples, cut = _samples(file)
    notes += unknown + cut
    return pillow_reader.assemble(image, samples, profile, code_points=codes, metadata=metadata, notes=notes)


class _Raw(NamedTuple):
    exif: bytes
    xmp: str
    iptc: bytes
    text: list[tuple[str, str]]
    is_damaged: bool


def _open(file: BinaryIO, raw: _Raw) -> Image.Image:
    """Opens the chunks that Pillow needs: it refuses files for damage in other chunks."""
    parts = [png_chunks.MAGIC]
    for kind, length in png_chunks.heads(file):
        if kind in (b"IDAT", b"IEND"):
            break
        if kind in _PILLOW_CHUNKS and (kind != b"pHYs" or length == _RESOLUTION_BYTES):
            parts.append(png_chunks.chunk(kind, file.read(length)))
    parts += [png_chunks.chunk(kind, b"") for kind in (b"IDAT", b"IEND")]
    image = pillow_reader.open_image(io.BytesIO(b"".join(parts)))
    image.info.update(exif=raw.exif, xmp=raw.xmp.encode())  # for the orientation
    return image


def _check_sides(*sides: int) -> None:
    """Refuses sides that libpng refuses; only the width matters to a picture that is read by rows."""
    if max(sides) > png_chunks.MAX_SIDE:
        raise InputError(f"a side of {max(sides)} pixels is above libpng's limit of {png_chunks.MAX_SIDE}")


def _samples(file: BinaryIO) -> tuple[np.ndarray, tuple[str, ...]]:
    """Decodes samples, and notes a missing end."""
    # libpng gets no other chunks, as it would print warnings about profiles and texts.
    parts, kind, has_pixels = [png_chunks.MAGIC], b"", False
    for kind, length in png_chunks.heads(file):
        if kind not in _PIXEL_CHUNKS:
            continue
        payload = file.read(length)
        checksum = file.read(4)
        if len(payload) < length:
            raise InputError("the file is cut short")
        has_pixels |= kind == b"IDAT" and length > 0
        whole = png_chunks.chunk(kind, payload)
        parts.append(whole if len(checksum) < 4 else whole[:-4] + checksum)
    if not has_pixels:
        raise InputError("the file is cut short: it has no pixels")
    is_cut = kind != b"IEND" or len(checksum) < 4
    if kind != b"IEND":
        parts.append(png_chunks.chunk(b"IEND", b""))
    return imagecodecs.png_decode(b"".join(parts)), (CUT_AFTER_PIXELS,) if is_cut else ()


def _colours(file: BinaryIO) -> tuple[bytes | None, bytes | None, tuple[str, ...]]:
    """Returns code points, profile and notes; builds a profile from code points or gamma if the file embeds none."""
    sound, notes = _sound_colours(file)
    codes, profile = sound.get(b"cICP"), sound.get(b"iCCP")
    if codes and are_specified(codes):
        named, unknown = profile_of_code_points(codes)
        return codes, profile or named, notes + unknown
    if not profile and b"sRGB" in sound:
        return SRGB, None, notes
    if not profile and sound.keys() & {b"gAMA", b"cHRM"}:
        profile = profile_of_gamma(sound.get(b"gAMA"), *sound.get(b"cHRM", (None, None)))
    return codes, profile, notes


def _sound_colours(file: BinaryIO) -> tuple[dict[bytes, Any], tuple[str, ...]]:
    """Parses each colour chunk by itself; leaves out damaged ones, and notes them."""
    sound: dict[bytes, Any] = {}
    notes: tuple[str, ...] = ()
    for kind, payload in png_chunks.read_chunks(file, _COLOUR_CHUNKS):
        try:
            sound[kind] = _COLOUR_CHUNKS[kind](payload)
        except Exception:  # the pixels can still be read
            notes = ("damaged colour information ignored",)
    return sound, notes


def _parse_code_points(payload: bytes) -> bytes:
    return bytes(struct.unpack(">4B", payload))


def _parse_profile(payload: bytes) -> bytes:
    profile = png_chunks.parse_profile(payload)
    if not is_profile(profile):
        raise ValueError("not a colour profile")
    return profile


def _parse_gamma(payload: bytes) -> float:
    gamma = struct.unpack(">I", payload)[0] / _FIXED_POINT
    profile_of_gamma(gamma, None, None)  # raises for a gamma that no profile holds
    return gamma


def _parse_chromaticities(payload: bytes) -> tuple[Point, tuple[Point, ...]]:
    values = [value / _FIXED_POINT for value in struct.unpack(">8I", payload)]
    white, *primaries = zip(values[::2], values[1::2], strict=True)
    profile_of_gamma(None, white, tuple(primaries))  # raises for points that are not chromaticities
    return white, tuple(primaries)


# Chunk -> parser that raises for damaged content.
_COLOUR_CHUNKS: Mapping[bytes, Callable[[bytes], Any]] = {
    b"cICP": _parse_code_points,
    b"iCCP": _parse_profile,
    b"sRGB": bytes,
    b"gAMA": _parse_gamma,
    b"cHRM": _parse_chromaticities,
}


def _raw_metadata(file: BinaryIO) -> _Raw:
    """Reads the metadata chunks before and after the pixels."""
    exif, xmp, text, is_damaged = b"", "", [], False
    raw_profiles: dict[str, bytes] = {}  # by kind
    for kind, payload in png_chunks.read_chunks(file, _METADATA_CHUNKS):
        if kind == b"eXIf":
            exif = payload
            continue
        try:
            keyword, value = png_chunks.parse_text(kind, payload)
        except (ValueError, zlib.error):  # the pixels can still be read
            is_damaged = True
            continue
        if keyword == png_chunks.XMP_KEYWORD:
            xmp = value
        elif keyword.lower().startswith(RAW_PROFILE.lower()):
            raw_profiles[keyword[len(RAW_PROFILE) :].lower()] = from_raw_profile(value)
        else:
            text.append((keyword, value))
    segment = raw_profiles.get("app1", b"")  # of the JPEG that the picture once was
    exif = exif or raw_profiles.get("exif") or (segment if segment.startswith(EXIF_PREFIX) else b"")
    in_segment = segment[len(_XMP_PREFIX) :] if segment.startswith(_XMP_PREFIX) else b""
    xmp = xmp or raw_profiles.get("xmp", in_segment).decode("utf-8", "replace")
    resources = raw_profiles.get("iptc") or raw_profiles.get("8bim", b"")
    return _Raw(exif, xmp, iptc.from_resources(resources) or resources, text, is_damaged)
