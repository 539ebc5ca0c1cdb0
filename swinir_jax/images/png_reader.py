"""PNG, decoded by libpng: Pillow cuts 16-bit colours to 8 bits and misreads tRNS in gray of 2 or 4 bits."""

import io
import struct
import zlib
from typing import BinaryIO, NamedTuple

import imagecodecs
import numpy as np
from PIL import Image

from swinir_jax.errors import InputError
from swinir_jax.images import pillow_reader, png_chunks
from swinir_jax.images.colour import SRGB, profile_of_code_points, profile_of_gamma
from swinir_jax.images.header import Header
from swinir_jax.images.metadata import collect, from_raw_profile
from swinir_jax.images.picture import CUT_AFTER_PIXELS, Picture

_BITS_POSITION = 24  # offset of the bit depth in the file
_PILLOW_CHUNKS = {b"IHDR", b"PLTE", b"tRNS", b"pHYs", b"acTL", b"fcTL"}
_PIXEL_CHUNKS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_METADATA_CHUNKS = {b"eXIf", b"tEXt", b"zTXt", b"iTXt"}
_COLOUR_CHUNKS = {b"iCCP", b"cICP", b"sRGB", b"gAMA", b"cHRM"}
_RAW_PROFILE = "raw profile type "  # keyword, in any case, of texts in which ImageMagick stores other data


def read_header(file: BinaryIO) -> tuple[Header, int]:
    """Reads the header of the stored picture and the EXIF orientation; raises Pillow's errors."""
    image = _open(file, _raw_metadata(file))
    file.seek(_BITS_POSITION)
    bits = 16 if file.read(1) == b"\x10" else 8
    return pillow_reader.header_of(image, bits), pillow_reader.orientation_of(image)[0]


def read(file: io.BytesIO) -> Picture:
    """Decodes a whole file; raises the decoders' errors."""
    raw = _raw_metadata(file)
    metadata, notes = collect(raw.exif, raw.xmp, raw.text)
    if raw.is_damaged:
        notes += ("damaged PNG texts ignored",)
    codes, profile, unknown = _colours(file)
    samples, cut = _samples(file)
    notes += unknown + cut
    return pillow_reader.assemble(_open(file, raw), samples, profile, code_points=codes, metadata=metadata, notes=notes)


class _Raw(NamedTuple):
    exif: bytes
    xmp: str
    text: list[tuple[str, str]]
    is_damaged: bool


def _open(file: BinaryIO, raw: _Raw) -> Image.Image:
    """Opens the chunks that Pillow needs: it refuses files for damage in other chunks."""
    parts = [png_chunks.MAGIC]
    for kind, length in png_chunks.heads(file):
        if kind in (b"IDAT", b"IEND"):
            break
        if kind in _PILLOW_CHUNKS:
            parts.append(png_chunks.chunk(kind, file.read(length)))
    parts += [png_chunks.chunk(kind, b"") for kind in (b"IDAT", b"IEND")]
    image = pillow_reader.open_image(io.BytesIO(b"".join(parts)))
    image.info.update(exif=raw.exif, xmp=raw.xmp)  # for the orientation
    return image


def _samples(file: BinaryIO) -> tuple[np.ndarray, tuple[str, ...]]:
    """Decodes samples, and notes a missing end."""
    # libpng gets no other chunks, as it would print warnings about profiles and texts.
    parts, kind = [png_chunks.MAGIC], b""
    for kind, length in png_chunks.heads(file):
        if kind not in _PIXEL_CHUNKS:
            continue
        payload = file.read(length)
        checksum = file.read(4)
        if len(payload) < length:
            raise InputError("the file is cut short")
        whole = png_chunks.chunk(kind, payload)
        parts.append(whole if len(checksum) < 4 else whole[:-4] + checksum)
    is_cut = kind != b"IEND" or len(checksum) < 4
    if kind != b"IEND":
        parts.append(png_chunks.chunk(b"IEND", b""))
    return imagecodecs.png_decode(b"".join(parts)), (CUT_AFTER_PIXELS,) if is_cut else ()


def _colours(file: BinaryIO) -> tuple[bytes | None, bytes | None, tuple[str, ...]]:
    """Returns code points, profile and notes; builds a profile from code points or gamma if the file embeds none."""
    chunks = dict(png_chunks.read_chunks(file, _COLOUR_CHUNKS))
    try:
        profile = png_chunks.parse_profile(chunks[b"iCCP"]) if b"iCCP" in chunks else None
        if b"cICP" in chunks:
            named, notes = profile_of_code_points(chunks[b"cICP"])
            return chunks[b"cICP"], profile or named, notes
        if profile:
            return None, profile, ()
        if b"sRGB" in chunks:
            return SRGB, None, ()
        if b"gAMA" in chunks or b"cHRM" in chunks:
            return None, _gamma_profile(chunks.get(b"gAMA"), chunks.get(b"cHRM")), ()
    except Exception:  # the pixels can still be read
        return None, None, ("damaged colour information ignored",)
    return None, None, ()


def _gamma_profile(gamma: bytes | None, chromaticities: bytes | None) -> bytes:
    """Builds a profile from the contents of gAMA and cHRM, which are in units of 1 / 100000."""
    exponent = None if gamma is None else struct.unpack(">I", gamma)[0] / 100_000
    if chromaticities is None:
        return profile_of_gamma(exponent, None, None)
    values = [value / 100_000 for value in struct.unpack(">8I", chromaticities)]
    white, *primaries = zip(values[::2], values[1::2], strict=True)
    return profile_of_gamma(exponent, white, tuple(primaries))


def _raw_metadata(file: BinaryIO) -> _Raw:
    """Reads the metadata chunks before and after the pixels."""
    exif, xmp, text, is_damaged = b"", "", [], False
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
        elif keyword.lower().startswith(_RAW_PROFILE):
            exif = exif or (from_raw_profile(value) if keyword.lower() == f"{_RAW_PROFILE}exif" else b"")
        else:
            text.append((keyword, value))
    return _Raw(exif, xmp, text, is_damaged)
