"""TIFF of 8 and 16 bits and floats, in gray, RGB and CIELAB; Pillow reads palettes and fewer bits."""

import contextlib
import io
import logging
from typing import BinaryIO

import numpy as np
import tifffile

from swinir_jax.errors import InputError
from swinir_jax.images import lab, pillow_reader
from swinir_jax.images.exif import ORIENTATION, XMP, Buffer
from swinir_jax.images.header import Header, picture_bits
from swinir_jax.images.metadata import Metadata, collect
from swinir_jax.images.picture import UPRIGHT, Picture, frame_note, plausible_dpi, unpremultiply, upright

# Without a handler, tifffile's warnings would be printed beside our error.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

# Photometric interpretation -> number of colour channels, for those decoded here.
COLOURS: dict[int, int] = {
    tifffile.PHOTOMETRIC.MINISWHITE: 1,
    tifffile.PHOTOMETRIC.MINISBLACK: 1,
    tifffile.PHOTOMETRIC.RGB: 3,
}
_LAB = (tifffile.PHOTOMETRIC.CIELAB, tifffile.PHOTOMETRIC.ICCLAB)
_ALPHA = (tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA)
_UINT, _INT, _FLOAT = tifffile.SAMPLEFORMAT.UINT, tifffile.SAMPLEFORMAT.INT, tifffile.SAMPLEFORMAT.IEEEFP

# Pairs of sample format and bits.
_KINDS = {(_UINT, 8), (_UINT, 16), (_FLOAT, 16), (_FLOAT, 32), (_FLOAT, 64)}
_LAB_KINDS = {(_UINT, 8), (_UINT, 16), (_INT, 8), (_INT, 16)}  # a* and b* are signed, so a file may call all signed
_PILLOW_KINDS = {(_UINT, 1), (_UINT, 2), (_UINT, 4)}
_PILLOW_OTHER_KINDS = {*_PILLOW_KINDS, (_UINT, 8)}  # kinds of palettes, CMYK and YCbCr

_X_RESOLUTION, _RESOLUTION_UNIT, _SUB_IFDS, ICC_PROFILE, _DNG_VERSION = 282, 296, 330, 34675, 50706  # tags
_MAKER_AT = 8  # where raw files of Canon say CR
_REDUCED = 1  # bit of a page's kind
_LARGEST_TILE = 1 << 26  # tiles up to this number of pixels may be larger than the picture


def read_header(file: BinaryIO) -> tuple[Header, int]:
    """Reads the header of the stored picture and the orientation; raises tifffile's errors."""
    with tifffile.TiffFile(file) as tiff:
        page = first_page(tiff)
        colours = COLOURS.get(page.photometric, 3)
        has_alpha = any(kind in _ALPHA for kind in page.extrasamples)
        bits = picture_bits(page.bitspersample)
        return Header(page.imagelength, page.imagewidth, colours, bits, has_alpha), orientation(page)


def read(file: io.BytesIO) -> Picture:
    """Decodes the first page; raises the decoders' errors."""
    with tifffile.TiffFile(file) as tiff:
        page = first_page(tiff)
        check_segments(page, len(file.getbuffer()))
        metadata, notes = read_metadata(page, file.getbuffer())
        is_lab = page.photometric in _LAB
        colours = 3 if is_lab else COLOURS.get(page.photometric)
        kind = page.sampleformat, page.bitspersample
        if not is_lab and kind in (_PILLOW_KINDS if colours else _PILLOW_OTHER_KINDS):
            return _read_with_pillow(file, page, count_frames(tiff, page), metadata=metadata, notes=notes)
        if not colours or kind not in (_LAB_KINDS if is_lab else _KINDS):
            raise _unsupported(page)
        pixels, alpha, left_out = _samples(page, colours)
        profile = page.tags.valueof(ICC_PROFILE) or None
        if is_lab:
            pixels, converted = lab.to_srgb(pixels, signed=page.photometric == tifffile.PHOTOMETRIC.CIELAB)
            left_out, profile = (*left_out, *converted), None
        notes += left_out + frame_note(count_frames(tiff, page))
        picture = Picture(pixels, alpha, profile, plausible_dpi(resolution(page)), metadata=metadata, notes=notes)
        return upright(picture, orientation(page))


def read_metadata(page: tifffile.TiffPage, content: Buffer) -> tuple[Metadata, tuple[str, ...]]:
    """Collects EXIF and IPTC data and XMP of a file's content; notes damaged data."""
    return collect(content, page.tags.valueof(XMP))


def _read_with_pillow(
    file: io.BytesIO, page: tifffile.TiffPage, frames: int, *, metadata: Metadata, notes: tuple[str, ...]
) -> Picture:
    try:
        image = pillow_reader.open_image(file)
        image.seek(page.index)
    except SyntaxError as error:  # by which Pillow says that the kind is unknown
        raise _unsupported(page) from error
    image.info["dpi"] = resolution(page)  # Pillow makes up 1 for a page that has none
    samples, profile, converted = pillow_reader.decode(image)
    return pillow_reader.assemble(image, samples, profile, frames=frames, metadata=metadata, notes=notes + converted)


def _unsupported(page: tifffile.TiffPage) -> InputError:
    samples = {kind.value: kind.name for kind in tifffile.SAMPLEFORMAT}.get(page.sampleformat, page.sampleformat)
    names = [getattr(value, "name", value) for value in (page.photometric, samples, *page.extrasamples)]
    return InputError(f"TIFF of the kind {', '.join(map(str, names))}, {page.bitspersample} bits is not supported")


def first_page(tiff: tifffile.TiffFile) -> tifffile.TiffPage:
    """Returns the first page that is no reduced copy of another; raises InputError for camera raw files."""
    pages = (page for page in tiff.pages if isinstance(page, tifffile.TiffPage))
    page = next((page for page in pages if not page.subfiletype & _REDUCED), tiff.pages.first)
    is_preview = page.subfiletype & _REDUCED and _SUB_IFDS in page.tags  # the samples lie in one of these
    tiff.filehandle.seek(_MAKER_AT)
    if is_preview or _DNG_VERSION in tiff.pages.first.tags or tiff.filehandle.read(2) == b"CR":
        raise InputError("camera raw files are not supported: develop this one to a TIFF or JPEG first")
    limit = max(4 * page.imagelength * page.imagewidth, _LARGEST_TILE)
    if page.tilelength * page.tilewidth > limit:
        raise InputError(f"tiles of {page.tilewidth} x {page.tilelength} pixels are above the limit of {limit}")
    return page


def count_frames(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> int:
    """Counts a page and those behind it, without reduced copies, which make a pyramid of a picture."""
    frames = len(tiff.pages) - page.index
    for index in range(page.index + 1, len(tiff.pages)):
        with contextlib.suppress(Exception):  # a damaged page is left out as well, and counts
            other = tiff.pages[index]
            if isinstance(other, tifffile.TiffPage) and other.subfiletype & _REDUCED:
                frames -= 1
    return frames


def check_segments(page: tifffile.TiffPage, file_size: int) -> None:
    """Refuses strips and tiles that are missing or lie outside the file: decoders may fill these with zeros."""
    segments = zip(page.dataoffsets, page.databytecounts, strict=True)
    if not all(count > 0 and offset + count <= file_size for offset, count in segments):
        raise InputError("the file is cut short: a part of the picture lies outside it")


def _samples(page: tifffile.TiffPage, colours: int) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """Decodes a page to straight colours with black at 0, alpha or None, and notes."""
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
        notes += (f"{others} extra {'channel' if others == 1 else 'channels'} left out",)
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        pixels = np.iinfo(pixels.dtype).max - pixels
    if alpha is not None and tifffile.EXTRASAMPLE.ASSOCALPHA in extras:
        pixels = unpremultiply(pixels, alpha)
    return pixels, alpha, notes


def _from_floats(samples: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Scales floats in [0, 1] to 16 bits, clips others, and notes both."""
    inside = (samples >= 0) & (samples <= 1)  # False for NaN
    notes: tuple[str, ...] = ("float samples from 0 to 1 scaled to 16 bits",)
    if not inside.all():
        notes += (f"{np.count_nonzero(~inside) / inside.size:.1%} of the samples, outside 0 to 1, clipped",)
    scaled = np.clip(np.nan_to_num(samples.astype(np.float64), posinf=1, neginf=0), 0, 1) * 65535
    return np.rint(scaled).astype(np.uint16), notes


def orientation(page: tifffile.TiffPage) -> int:
    """Returns a page's orientation, a key of `UPRIGHT`; 1 if the page has none."""
    value = page.tags.valueof(ORIENTATION, default=1)
    return value if value in UPRIGHT else 1


def resolution(page: tifffile.TiffPage) -> tuple[float, float] | None:
    """Returns a page's horizontal and vertical resolution in pixels per inch; None if the page has none."""
    units = (tifffile.RESUNIT.INCH, tifffile.RESUNIT.CENTIMETER)
    if (
        _X_RESOLUTION not in page.tags
        or page.tags.valueof(_RESOLUTION_UNIT, default=tifffile.RESUNIT.INCH) not in units
    ):
        return None
    return page.get_resolution(tifffile.RESUNIT.INCH)
