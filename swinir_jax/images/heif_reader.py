"""HEIF (HEIC), the format of telephones; libheif turns the picture upright."""

import io
from typing import Any, BinaryIO

import numpy as np

from swinir_jax.images import metadata
from swinir_jax.images.box_reader import code_points
from swinir_jax.images.header import Header
from swinir_jax.images.picture import Picture, frame_note, full_range, split_alpha
from swinir_jax.images.plugins import load_plugin


def read_header(file: BinaryIO) -> tuple[Header, int]:
    """Reads the header of the upright picture, and an orientation, which is 1; raises whatever libheif does."""
    image = _open(file)[0]
    width, height = image.size
    channels = 1 if image.mode[0] == "L" else 3
    return Header(height, width, channels, 8 if _bits(image) <= 8 else 16, "A" in image.mode.upper()), 1


def read(file: io.BytesIO) -> Picture:
    """Decodes the main picture; raises whatever libheif does."""
    opened = _open(file)
    image, data = opened[0], file.getvalue()
    stored, bits = np.asarray(image), _bits(image)
    samples = full_range(stored >> (16 - bits) if bits > 8 else stored, bits)  # libheif leaves the low bits 0
    codes, named, unknown = code_points(data[: 1 << 20])
    about, notes = metadata.collect(image.info.get("exif"), image.info.get("xmp"))
    notes += (*unknown, *frame_note(len(opened)))
    profile = image.info.get("icc_profile") or named
    return Picture(*split_alpha(samples), profile, code_points=codes, metadata=about, notes=notes)


def _open(file: BinaryIO) -> Any:
    """All pictures of the file, the main one first."""
    opened = load_plugin("pillow_heif", "HEIF (HEIC)").open_heif(file, convert_hdr_to_8bit=False)
    return sorted(opened, key=lambda image: not image.info.get("primary"))


def _bits(image: Any) -> int:
    return image.info.get("bit_depth", 8) if image.mode.endswith(";16") else 8
