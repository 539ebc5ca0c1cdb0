"""AVIF and JPEG 2000: opened by Pillow, and decoded by libavif and OpenJPEG where samples do not have 8 bits."""

import io
import re
from typing import BinaryIO

import imagecodecs
import numpy as np
from PIL import Image

from swinir_jax.images import pillow_reader
from swinir_jax.images.colour import profile_of_code_points
from swinir_jax.images.header import Header, picture_bits
from swinir_jax.images.metadata import collect
from swinir_jax.images.picture import Picture, full_range

_BOX_BYTES = 1 << 20  # size of the beginning of a file that is searched for boxes
_AV1_CONFIGURATION = re.compile(rb"av1C..(.)", re.DOTALL)
_CODE_POINTS = re.compile(rb"colrnclx.(.).(.)", re.DOTALL)
_JPEG_2000_SIZE = re.compile(rb"\xff\x4f\xff\x51.{38}(.)", re.DOTALL)  # the group is the depth of the first component
_JPEG_2000_PROFILE = re.compile(rb"(.{4})colr[\x02\x03]..", re.DOTALL)


def read_header(file: BinaryIO) -> tuple[Header, int]:
    """Reads the header of the stored picture and the EXIF orientation; raises Pillow's errors."""
    image = pillow_reader.open_image(file)
    file.seek(0)
    bits = picture_bits(_bits(file.read(_BOX_BYTES)))
    return pillow_reader.header_of(image, bits), pillow_reader.orientation_of(image)[0]


def read(file: io.BytesIO) -> Picture:
    """Decodes a whole file; raises the decoders' errors."""
    image = pillow_reader.open_image(file)
    data = file.getvalue()
    bits = _bits(data[:_BOX_BYTES])
    # The comment is left out, as it names the encoder.
    metadata, notes = collect(image.info.get("exif"), image.info.get("xmp"))
    by_pillow = bits == 8 or image.mode == "P"  # of a palette, these are the bits of its indices
    samples, profile, converted = pillow_reader.decode(image) if by_pillow else _decode(data, image, bits)
    codes, profile, unknown = colours(data, profile or _jpeg_2000_profile(data[:_BOX_BYTES]))
    notes += converted + unknown
    return pillow_reader.assemble(image, samples, profile, code_points=codes, metadata=metadata, notes=notes)


def colours(data: bytes, profile: bytes | None) -> tuple[bytes | None, bytes | None, tuple[str, ...]]:
    """Finds the code points of the colours in a file's boxes, unless an embedded profile overrules them.

    Returns:
      The code points, the profile, embedded or what the code points stand for, and notes; None for what is not there.
    """
    if profile:
        return None, profile, ()
    match = _CODE_POINTS.search(data[:_BOX_BYTES])
    if not match or b"\2" in match.groups():  # 2 means unspecified
        return None, None, ()
    codes = b"".join(match.groups()) + bytes([0, 1])  # samples are decoded to RGB over the full range
    return codes, *profile_of_code_points(codes)


def _decode(data: bytes, image: Image.Image, bits: int) -> tuple[np.ndarray, bytes | None, tuple[str, ...]]:
    """Decodes samples that do not have 8 bits; returns what `pillow_reader.decode` returns."""
    decode = imagecodecs.avif_decode if image.format == "AVIF" else imagecodecs.jpeg2k_decode
    samples = decode(data)
    if samples.ndim > 2 + (samples.shape[-1] <= 4):  # the first axis counts frames
        samples = samples[0]
    return full_range(samples, 2**bits - 1), image.info.get("icc_profile"), ()


def _bits(boxes: bytes) -> int:
    if match := _AV1_CONFIGURATION.search(boxes):
        flags = match[1][0]
        return 12 if flags & 0x20 else 10 if flags & 0x40 else 8
    match = _JPEG_2000_SIZE.search(boxes)
    return (match[1][0] & 0x7F) + 1 if match else 8


def _jpeg_2000_profile(boxes: bytes) -> bytes | None:
    match = _JPEG_2000_PROFILE.search(boxes)
    return boxes[match.end() : match.start() + int.from_bytes(match[1])] if match else None
