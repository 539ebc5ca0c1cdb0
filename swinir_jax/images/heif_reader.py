"""HEIF (HEIC), the photograph format of phones. libheif turns the picture upright."""

import io
from typing import Any, BinaryIO

import numpy as np

from swinir_jax.images.box_reader import colours
from swinir_jax.images.header import Header, picture_bits
from swinir_jax.images.metadata import collect
from swinir_jax.images.picture import Picture, frame_note, full_range, split_alpha, unpremultiply
from swinir_jax.images.plugins import load_plugin


def read_header(file: BinaryIO) -> tuple[Header, int]:
    """Reads the header of the upright picture; returns it with the orientation 1. Raises libheif's errors."""
    image = _open(file)[0]
    width, height = image.size
    channels = 1 if image.mode[0] == "L" else 3
    return Header(height, width, channels, picture_bits(_bits(image)), "A" in image.mode.upper()), 1


def read(file: io.BytesIO) -> Picture:
    """Decodes the main picture; raises libheif's errors."""
    images = _open(file)
    image = images[0]
    stored, bits = np.asarray(image), _bits(image)
    samples = full_range(stored >> (16 - bits) if bits > 8 else stored, 2**bits - 1)  # libheif fills from the top bit
    pixels, alpha = split_alpha(samples)
    if alpha is not None and "a" in image.mode:
        pixels = unpremultiply(pixels, alpha)
    codes, profile, unknown = colours(file.getvalue(), image.info.get("icc_profile"))
    metadata, notes = collect(image.info.get("exif"), image.info.get("xmp"))
    notes += (*unknown, *frame_note(len(images)))
    return Picture(pixels, alpha, profile, code_points=codes, metadata=metadata, notes=notes)


def _open(file: BinaryIO) -> Any:
    """Opens all pictures in the file, the main one first."""
    images = load_plugin("pillow_heif", "HEIF (HEIC)").open_heif(file, convert_hdr_to_8bit=False)
    return sorted(images, key=lambda image: not image.info.get("primary"))


def _bits(image: Any) -> int:
    return image.info.get("bit_depth", 8) if image.mode.endswith(";16") else 8
