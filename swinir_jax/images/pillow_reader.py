"""PNG, JPEG, WebP and BMP, and those TIFFs that Pillow knows better."""

import io
import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

import imagecodecs
import numpy as np
from PIL import ExifTags, Image

from swinir_jax.errors import InputError
from swinir_jax.images.picture import SUFFIXES, UPRIGHT, Picture, frame_note, plausible_dpi, split_alpha, upright

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_PNG_PIXEL_CHUNKS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}

# Pillow mode -> the mode with 8 bits and straight colours it is converted to; one not listed is refused.
_MODES = {
    "1": "L",
    "L": "L",
    "LA": "LA",
    "P": "RGB",
    "PA": "RGBA",
    "RGB": "RGB",
    "RGBA": "RGBA",
    "YCbCr": "RGB",
    "CMYK": "RGB",
}


def read_header(file: BinaryIO) -> tuple[int, int, int]:
    """Reads stored height, stored width and EXIF orientation; raises whatever Pillow does."""
    image = _open(file)
    orientation, _ = _orientation(image, file)
    return image.height, image.width, orientation


def read(file: io.BytesIO) -> Picture:
    """Decodes a whole file; raises whatever the decoders do."""
    image = _open(file)
    orientation, notes = _orientation(image, file)
    icc_profile = image.info.get("icc_profile")
    if image.mode == "CMYK":
        notes += ("CMYK converted to RGB" + (", its colour profile dropped" if icc_profile else ""),)
        icc_profile = None
    notes += frame_note(getattr(image, "n_frames", 1))
    samples = _png_samples(file) if image.format == "PNG" else _pillow_samples(image)
    dpi = plausible_dpi(image.info.get("dpi"))
    return upright(Picture(*split_alpha(samples), icc_profile or None, dpi, notes), orientation)


def _open(file: BinaryIO) -> Image.Image:
    return Image.open(file, formats=sorted({name.upper() for name in SUFFIXES.values()}))


def _pillow_samples(image: Image.Image) -> np.ndarray:
    if image.mode not in _MODES:
        raise InputError(f"pictures of the kind {image.mode} are not supported")
    return np.array(image.convert(_MODES[image.mode]))


def _png_samples(file: BinaryIO) -> np.ndarray:
    """Decodes a PNG with libpng: Pillow cuts 16-bit colours to 8 and misplaces tRNS in gray of 2 or 4 bits."""
    # Without the other chunks libpng has nothing to say on stderr about profiles and texts.
    return imagecodecs.png_decode(PNG_MAGIC + b"".join(_png_chunks(file, _PNG_PIXEL_CHUNKS)))


def _png_chunks(file: BinaryIO, kinds: set[bytes]) -> Iterator[bytes]:
    """Yields the chunks of some kinds, each with its length, name and checksum; the others are not read."""
    file.seek(len(PNG_MAGIC))
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind in kinds:
            yield head + file.read(length + 4)
        else:
            file.seek(length + 4, os.SEEK_CUR)


def _orientation(image: Image.Image, file: BinaryIO) -> tuple[int, tuple[str, ...]]:
    """Orientation from the header, 1 where there is none; and notes about it."""
    if image.format == "TIFF":  # which Pillow turns upright itself
        return 1, ()
    try:
        # The method of PngImageFile would decode the picture to see whether EXIF follows the pixels.
        exif = Image.Image.getexif(image)
        if image.format == "PNG" and not exif:
            for chunk in _png_chunks(file, {b"eXIf"}):
                exif.load(chunk[8:-4])
        orientation = exif.get(ExifTags.Base.Orientation, 1)
    except Exception:  # no reason to refuse the pixels
        return 1, ("damaged EXIF data ignored",)
    return (orientation if orientation in UPRIGHT else 1), ()
