"""TIFF of 8 and 16 bits, of floats, gray, RGB and CIELAB, in any compression; other kinds are left to Pillow."""

import io
import logging
from typing import BinaryIO

import numpy as np
import tifffile

from swinir_jax.errors import InputError
from swinir_jax.images import lab, metadata, pillow_reader
from swinir_jax.images.exif import Buffer
from swinir_jax.images.header import Header
from swinir_jax.images.picture import UPRIGHT, Picture, frame_note, plausible_dpi, upright

# What is wrong with a file reaches the user in our error; without a handler it would also reach stderr.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

# Photometric interpretations decoded here -> their number of colour channels.
COLOURS: dict[int, int] = {
    tifffile.PHOTOMETRIC.MINISWHITE: 1,
    tifffile.PHOTOMETRIC.MINISBLACK: 1,
    tifffile.PHOTOMETRIC.RGB: 3,
}
_LAB = (tifffile.PHOTOMETRIC.CIELAB, tifffile.PHOTOMETRIC.ICCLAB)
_ALPHA = (tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA)
_UINT, _FLOAT = tifffile.SAMPLEFORMAT.UINT, tifffile.SAMPLEFORMAT.IEEEFP

_ORIENTATION, _X_RESOLUTION, _RESOLUTION_UNIT, _XMP, ICC_PROFILE = 274, 282, 296, 700, 34675  # tags
_LARGEST_TILE = 1 << 26  # pixels, where the picture is smaller


def read_header(file: BinaryIO) -> tuple[Header, int]:
    """Reads the header of the stored picture, and orientation; raises whatever tifffile does."""
    with tifffile.TiffFile(file) as tiff:
        page = _first_page(tiff)
        colours = COLOURS.get(page.photometric, 3)
        has_alpha = any(kind in _ALPHA for kind in page.extrasamples)
        bits = 8 if page.bitspersample <= 8 else 16
        return Header(page.imagelength, page.imagewidth, colours, bits, has_alpha), orientation(page)


def read(file: io.BytesIO) -> Picture:
    """Decodes the first page; raises whatever the decoders do."""
    with tifffile.TiffFile(file) as tiff:
        page = _first_page(tiff)
        check_segments(page, len(file.getbuffer()))
        about, notes = read_metadata(page, file.getbuffer())
        is_lab = page.photometric in _LAB
        colours = 3 if is_lab else COLOURS.get(page.photometric)
        kind = page.sampleformat, page.bitspersample
        if not is_lab and kind in {(_UINT, bits) for bits in ((1, 2, 4) if colours else (1, 2, 4, 8))}:
            return _read_with_pillow(file, about, notes)
        kinds = {(_UINT, 8), (_UINT, 16)} | (set() if is_lab else {(_FLOAT, bits) for bits in (16, 32, 64)})
        if is_lab:  # tifffile names a and b, which are signed, or all three
            kinds |= {(tifffile.SAMPLEFORMAT.INT, 8), (tifffile.SAMPLEFORMAT.INT, 16)}
        if not colours or kind not in kinds:
            names = (getattr(value, "name", value) for value in (page.photometric, page.sampleformat))
            raise InputError("TIFF of the kind {}, {}, {} bits is not supported".format(*names, page.bitspersample))
        pixels, alpha, left_out = _samples(page, colours)
        profile = page.tags.valueof(ICC_PROFILE) or None
        if is_lab:
            pixels, converted = lab.to_srgb(pixels, signed=page.photometric == tifffile.PHOTOMETRIC.CIELAB)
            left_out, profile = (*left_out, *converted), None
        notes += left_out + frame_note(len(tiff.pages))
        picture = Picture(pixels, alpha, profile, plausible_dpi(resolution(page)), metadata=about, notes=notes)
        return upright(picture, orientation(page))


def read_metadata(page: tifffile.TiffPage, file: Buffer) -> tuple[metadata.Metadata, tuple[str, ...]]:
    """What the file says of the photograph, and a note if that is damaged."""
    return metadata.collect(file, page.tags.valueof(_XMP))


def _read_with_pillow(file: io.BytesIO, about: metadata.Metadata, notes: tuple[str, ...]) -> Picture:
    image = pillow_reader.open_image(file)
    samples, profile, converted = pillow_reader.decode(image)
    return pillow_reader.assemble(image, samples, profile, metadata=about, notes=notes + converted)


def _first_page(tiff: tifffile.TiffFile) -> tifffile.TiffPage:
    page = tiff.pages.first
    limit = max(4 * page.imagelength * page.imagewidth, _LARGEST_TILE)
    if page.tilelength * page.tilewidth > limit:
        raise InputError(f"tiles of {page.tilewidth} x {page.tilelength} pixels are above the limit of {limit}")
    return page


def check_segments(page: tifffile.TiffPage, file_size: int) -> None:
    """Refuses strips and tiles outside the file and left out ones, which decoders may fill with zeros."""
    segments = zip(page.dataoffsets, page.databytecounts, strict=True)
    if not all(count > 0 and offset + count <= file_size for offset, count in segments):
        raise InputError("the file is cut short: a part of the picture lies outside it")


def _samples(page: tifffile.TiffPage, colours: int) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """Decodes a page to straight colours, where 0 is black, alpha, and notes."""
    extras = page.extrasamples
    if page.samplesperpixel < colours or page.axes not in ("YX", "YXS", "SYX"):
        raise InputError(f"TIFF pages of the shape {page.shape}, axes {page.axes}, are not supported")
    samples = page.asarray()
    samples = samples.astype(samples.dtype.newbyteorder("="), copy=False)
    if page.axes == "SYX":
        samples = np.moveaxis(samples, 0, -1)
    notes: tuple[str, ...] = ()
    if samples.dtype.kind == "f":
        samples, notes = _from_floats(samples)
    samples = samples.reshape(*samples.shape[:2], -1)
    pixels = samples[..., 0] if colours == 1 else samples[..., :3]
    alpha = next((samples[..., colours + i] for i, kind in enumerate(extras) if kind in _ALPHA), None)
    others = page.samplesperpixel - colours - (alpha is not None)
    if others:
        notes += (f"{others} extra channels left out" if others > 1 else "an extra channel that is not alpha left out",)
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        pixels = np.iinfo(pixels.dtype).max - pixels
    if alpha is not None and tifffile.EXTRASAMPLE.ASSOCALPHA in extras:
        pixels = _unpremultiply(pixels, alpha)
    return pixels, alpha, notes


def _from_floats(samples: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Scales 0 to 1 to 16 bits."""
    inside = (samples >= 0) & (samples <= 1)  # no NaN is
    notes: tuple[str, ...] = ("float samples from 0 to 1 scaled to 16 bits",)
    if not inside.all():
        notes += (f"{np.count_nonzero(~inside) / inside.size:.1%} of the samples, outside 0 to 1, clipped",)
    scaled = np.clip(np.nan_to_num(samples.astype(np.float64), posinf=1, neginf=0), 0, 1) * 65535
    return np.rint(scaled).astype(np.uint16), notes


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
