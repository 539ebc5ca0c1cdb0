"""TIFF of 8 and 16 bits, gray and RGB, in any compression; the other kinds are left to Pillow or refused."""

import io
import logging
import math
from typing import BinaryIO

import numpy as np
import tifffile
from PIL import Image

from swinir_jax.errors import InputError
from swinir_jax.images import pillow_reader
from swinir_jax.images.picture import UPRIGHT, Picture, frame_note, plausible_dpi, split_alpha, upright

# What is wrong with a file reaches the user in our error; without a handler it would also reach stderr.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

# Photometric interpretations decoded here -> their number of colour channels.
COLOURS: dict[int, int] = {
    tifffile.PHOTOMETRIC.MINISWHITE: 1,
    tifffile.PHOTOMETRIC.MINISBLACK: 1,
    tifffile.PHOTOMETRIC.RGB: 3,
}

_ORIENTATION, _X_RESOLUTION, _RESOLUTION_UNIT, ICC_PROFILE = 274, 282, 296, 34675  # tags


def read_header(file: BinaryIO) -> tuple[int, int, int]:
    """Reads stored height, stored width and orientation; raises whatever tifffile does."""
    with tifffile.TiffFile(file) as tiff:
        page = _first_page(tiff)
        return page.imagelength, page.imagewidth, orientation(page)


def read(file: io.BytesIO) -> Picture:
    """Decodes the first page; raises whatever the decoders do."""
    with tifffile.TiffFile(file) as tiff:
        page = _first_page(tiff)
        check_segments(page, len(file.getbuffer()))
        colours, bits = COLOURS.get(page.photometric), page.bitspersample
        # Of these Pillow would cut 16 bits to 8, and floats to whatever lies between 0 and 255.
        depths = (1, 2, 4, 8, 16) if colours else (1, 2, 4, 8)
        if page.sampleformat != tifffile.SAMPLEFORMAT.UINT or bits not in depths:
            kinds = (getattr(kind, "name", kind) for kind in (page.photometric, page.sampleformat))
            raise InputError("TIFF of the kind {}, {}, {} bits is not supported".format(*kinds, bits))
        if not colours or bits < 8:
            file.seek(0)
            return pillow_reader.read(file)
        pixels, alpha, notes = _samples(page, colours)
        picture = Picture(
            pixels,
            alpha,
            page.tags.valueof(ICC_PROFILE) or None,
            plausible_dpi(resolution(page)),
            notes + frame_note(len(tiff.pages)),
        )
        return upright(picture, orientation(page))


def _first_page(tiff: tifffile.TiffFile) -> tifffile.TiffPage:
    page = tiff.pages.first
    # A tile may be far larger than the picture it belongs to.
    h, w = max(page.imagelength, page.tilelength), max(page.imagewidth, page.tilewidth)
    limit = 2 * Image.MAX_IMAGE_PIXELS if Image.MAX_IMAGE_PIXELS else math.inf
    if h * w > limit:
        raise InputError(f"{w} x {h} pixels are more than the limit of {limit}")
    if not h * w:
        raise InputError("the picture has no pixels")
    return page


def check_segments(page: tifffile.TiffPage, file_size: int) -> None:
    """Refuses strips and tiles outside the file and left out ones, which decoders may fill with zeros."""
    segments = zip(page.dataoffsets, page.databytecounts, strict=True)
    if not all(count > 0 and offset + count <= file_size for offset, count in segments):
        raise InputError("the file is cut short: a part of the picture lies outside it")


def _samples(page: tifffile.TiffPage, colours: int) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """Decodes a page to straight colours, where 0 is black, alpha, and notes."""
    extras = page.extrasamples
    if len(extras) > 1 or page.samplesperpixel != colours + len(extras) or page.axes not in ("YX", "YXS", "SYX"):
        raise InputError(f"TIFF pages of the shape {page.shape}, axes {page.axes}, are not supported")
    samples = page.asarray()
    samples = samples.astype(samples.dtype.newbyteorder("="), copy=False)
    if page.axes == "SYX":
        samples = np.moveaxis(samples, 0, -1)
    pixels, alpha = split_alpha(samples)
    notes: tuple[str, ...] = ()
    if extras == (tifffile.EXTRASAMPLE.ASSOCALPHA,):
        assert alpha is not None
        pixels = _unpremultiply(pixels, alpha)
    elif extras == (tifffile.EXTRASAMPLE.UNSPECIFIED,):
        alpha, notes = None, ("an extra channel that is not alpha left out",)
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        pixels = np.iinfo(pixels.dtype).max - pixels
    return pixels, alpha, notes


def _unpremultiply(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Divides colours by alpha, rounded; uint32 holds even 65535 * 65535 + 32767."""
    white = np.uint32(np.iinfo(colours.dtype).max)
    divisor = np.maximum(alpha, 1).astype(np.uint32)
    if colours.ndim == 3:
        divisor = divisor[..., None]
    return np.minimum((colours * white + divisor // 2) // divisor, white).astype(colours.dtype)


def orientation(page: tifffile.TiffPage) -> int:
    """EXIF orientation, a key of `UPRIGHT`; 1 where there is none."""
    value = page.tags.valueof(_ORIENTATION, default=1)
    return value if value in UPRIGHT else 1


def resolution(page: tifffile.TiffPage) -> tuple[float, float] | None:
    """Horizontal and vertical pixels per inch, whatever they are; None where the page does not tell."""
    units = (tifffile.RESUNIT.INCH, tifffile.RESUNIT.CENTIMETER)
    if (
        _X_RESOLUTION not in page.tags
        or page.tags.valueof(_RESOLUTION_UNIT, default=tifffile.RESUNIT.INCH) not in units
    ):
        return None
    return page.get_resolution(tifffile.RESUNIT.INCH)
