"""PNG by libpng: Pillow cuts 16-bit colours to 8 and misplaces tRNS in gray of 2 or 4 bits."""

import io
import struct
import zlib
from typing import BinaryIO, NamedTuple

import imagecodecs
import numpy as np
from PIL import Image

from swinir_jax.errors import InputError
from swinir_jax.images import metadata, pillow_reader, png_chunks
from swinir_jax.images.colour import SRGB, profile_of_code_points, profile_of_gamma
from swinir_jax.images.header import Header
from swinir_jax.images.picture import Picture

_BITS = 24  # position in the file
_SEEN_BY_PILLOW = {b"IHDR", b"PLTE", b"tRNS", b"pHYs", b"acTL", b"fcTL"}
_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_METADATA = {b"eXIf", b"tEXt", b"zTXt", b"iTXt"}
_RAW_PROFILE = "raw profile type "  # in capitals or not: other data in hexadecimal digits, as ImageMagick writes them
_COLOURS = {b"iCCP", b"cICP", b"sRGB", b"gAMA", b"cHRM"}


def read_header(file: BinaryIO) -> tuple[Header, int]:
    """Reads the header of the stored picture, and EXIF orientation; raises whatever Pillow does."""
    image = _open(file, _raw_metadata(file))
    file.seek(_BITS)
    bits = 16 if file.read(1) == b"\x10" else 8
    return pillow_reader.header_of(image, bits), pillow_reader.orientation_of(image)[0]


def read(file: io.BytesIO) -> Picture:
    """Decodes a whole file; raises whatever the decoders do."""
    raw = _raw_metadata(file)
    about, notes = metadata.collect(raw.exif, raw.xmp, raw.text)
    if raw.is_damaged:
        notes += ("damaged PNG texts ignored",)
    codes, profile, unknown = _colours(file)
    samples, cut = _samples(file)
    return pillow_reader.assemble(
        _open(file, raw), samples, profile, code_points=codes, metadata=about, notes=notes + unknown + cut
    )


class _Raw(NamedTuple):
    exif: bytes
    xmp: str
    text: list[tuple[str, str]]
    is_damaged: bool


def _open(file: BinaryIO, raw: _Raw) -> Image.Image:
    """Opens what Pillow is to see of the file: it refuses pictures for damage that has nothing to do with them."""
    parts = [png_chunks.MAGIC]
    for kind, length in png_chunks.heads(file):
        if kind in (b"IDAT", b"IEND"):
            break
        if kind in _SEEN_BY_PILLOW:
            parts.append(png_chunks.chunk(kind, file.read(length)))
    parts += [png_chunks.chunk(kind, b"") for kind in (b"IDAT", b"IEND")]
    image = pillow_reader.open_image(io.BytesIO(b"".join(parts)))
    image.info.update(exif=raw.exif, xmp=raw.xmp)  # for the orientation
    return image


def _samples(file: BinaryIO) -> tuple[np.ndarray, tuple[str, ...]]:
    # Without the other chunks libpng has nothing to say on stderr about profiles and texts.
    parts, kind = [png_chunks.MAGIC], b""
    for kind, length in png_chunks.heads(file):
        if kind not in _PIXELS:
            continue
        payload = file.read(length)
        checksum = file.read(4)
        if len(payload) < length:
            raise InputError("the file is cut short")
        whole = png_chunks.chunk(kind, payload)
        parts.append(whole if len(checksum) < 4 else whole[:-4] + checksum)
    cut = kind != b"IEND" or len(checksum) < 4
    if kind != b"IEND":
        parts.append(png_chunks.chunk(b"IEND", b""))
    return imagecodecs.png_decode(b"".join(parts)), ("the file is cut short, behind the last pixel",) if cut else ()


def _colours(file: BinaryIO) -> tuple[bytes | None, bytes | None, tuple[str, ...]]:
    """Code points, the profile, which may be made of them or of gamma and chromaticities, and notes."""
    chunks = dict(png_chunks.read_chunks(file, _COLOURS))
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
            gamma = struct.unpack(">I", chunks[b"gAMA"])[0] / 100_000 if b"gAMA" in chunks else None
            values = [value / 100_000 for value in struct.unpack(">8I", chunks.get(b"cHRM", bytes(32)))]
            white, *primaries = zip(values[::2], values[1::2], strict=True)
            given = b"cHRM" in chunks
            return None, profile_of_gamma(gamma, white if given else None, tuple(primaries) if given else None), ()
    except Exception:  # no reason to refuse the pixels
        return None, None, ("damaged colour information ignored",)
    return None, None, ()


def _raw_metadata(file: BinaryIO) -> _Raw:
    """What chunks hold, wherever they lie in the file."""
    exif, xmp, text, is_damaged = b"", "", [], False
    for kind, payload in png_chunks.read_chunks(file, _METADATA):
        if kind == b"eXIf":
            exif = payload
            continue
        try:
            keyword, value = png_chunks.parse_text(kind, payload)
        except (ValueError, zlib.error):  # no reason to refuse the pixels
            is_damaged = True
            continue
        if keyword == png_chunks.XMP_KEYWORD:
            xmp = value
        elif keyword.lower().startswith(_RAW_PROFILE):
            exif = exif or (metadata.from_raw_profile(value) if keyword.lower() == f"{_RAW_PROFILE}exif" else b"")
        else:
            text.append((keyword, value))
    return _Raw(exif, xmp, text, is_damaged)
