"""AVIF and JPEG 2000: opened by Pillow, decoded by the libraries themselves where they are deeper than 8 bits."""

import io
import re
from typing import BinaryIO

import imagecodecs
import numpy as np
from PIL import Image

from swinir_jax.images import metadata, pillow_reader
from swinir_jax.images.colour import profile_of_code_points
from swinir_jax.images.header import Header
from swinir_jax.images.picture import Picture, full_range

_BEFORE_PIXELS = 1 << 20  # bytes that the boxes lie in
_AV1_CONFIGURATION = re.compile(rb"av1C..(.)", re.DOTALL)
_CODE_POINTS = re.compile(rb"colrnclx.(.).(.)", re.DOTALL)
_JPEG_2000_SIZE = re.compile(rb"\xff\x4f\xff\x51.{38}(.)", re.DOTALL)  # the depth of the first component
_JPEG_2000_PROFILE = re.compile(rb"(.{4})colr[\x02\x03]..", re.DOTALL)


def read_header(file: BinaryIO) -> tuple[Header, int]:
    """Reads the header of the stored picture, and EXIF orientation; raises whatever Pillow does."""
    image = pillow_reader.open_image(file)
    file.seek(0)
    bits = 8 if _bits(file.read(_BEFORE_PIXELS)) <= 8 else 16
    return pillow_reader.header_of(image, bits), pillow_reader.orientation_of(image)[0]


def read(file: io.BytesIO) -> Picture:
    """Decodes a whole file; raises whatever the decoders do."""
    image = pillow_reader.open_image(file)
    data = file.getvalue()
    bits = _bits(data[:_BEFORE_PIXELS])
    about, notes = metadata.collect(image.info.get("exif"), image.info.get("xmp"))  # comments name the encoder
    samples, profile, converted = pillow_reader.decode(image) if bits <= 8 else _decode(data, image, bits)
    codes, named, unknown = code_points(data[:_BEFORE_PIXELS])
    profile = profile or _jpeg_2000_profile(data[:_BEFORE_PIXELS]) or named
    notes += converted + unknown
    return pillow_reader.assemble(image, samples, profile, code_points=codes, metadata=about, notes=notes)


def code_points(boxes: bytes) -> tuple[bytes | None, bytes | None, tuple[str, ...]]:
    """Code points of the colours in the boxes of a file, the profile they stand for, and notes."""
    match = _CODE_POINTS.search(boxes)
    if not match or b"\2" in match.groups():  # unspecified
        return None, None, ()
    codes = b"".join(match.groups()) + bytes([0, 1])  # decoded to RGB over the full range
    return codes, *profile_of_code_points(codes)


def _decode(data: bytes, image: Image.Image, bits: int) -> tuple[np.ndarray, bytes | None, tuple[str, ...]]:
    """As `pillow_reader.decode`, for more than 8 bits."""
    decode = imagecodecs.avif_decode if image.format == "AVIF" else imagecodecs.jpeg2k_decode
    samples = decode(data)
    if samples.ndim > 2 + (samples.shape[-1] <= 4):  # frames
        samples = samples[0]
    return full_range(samples, bits), image.info.get("icc_profile"), ()


def _bits(boxes: bytes) -> int:
    if match := _AV1_CONFIGURATION.search(boxes):
        flags = match[1][0]
        return 12 if flags & 0x20 else 10 if flags & 0x40 else 8
    match = _JPEG_2000_SIZE.search(boxes)
    return (match[1][0] & 0x7F) + 1 if match else 8


def _jpeg_2000_profile(boxes: bytes) -> bytes | None:
    match = _JPEG_2000_PROFILE.search(boxes)
    return boxes[match.end() : match.start() + int.from_bytes(match[1])] if match else None
