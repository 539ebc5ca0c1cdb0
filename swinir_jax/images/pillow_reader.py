"""JPEG, WebP, BMP and GIF, and functions for all formats that Pillow opens."""

import io
from typing import Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageCms

from swinir_jax.errors import InputError
from swinir_jax.images import cut_jpeg, iptc
from swinir_jax.images.formats import BEGINNING_BYTES, NO_PICTURE, format_of
from swinir_jax.images.header import Header
from swinir_jax.images.metadata import DAMAGED_EXIF, Metadata, collect
from swinir_jax.images.picture import UPRIGHT, Picture, frame_note, plausible_dpi, split_alpha, upright

_PLUGINS = {"JPEG 2000": "JPEG2000"}  # our name of a format -> Pillow's, where the two differ in more than capitals

# Pillow mode -> mode with 8 bits and straight colours that a picture is converted to; other modes are refused.
_MODES = {
    "1": "L",
    "L": "L",
    "LA": "LA",
    "P": "RGB",
    "PA": "RGBA",
    "RGB": "RGB",
    "RGBA": "RGBA",
    "RGBX": "RGB",
    "YCbCr": "RGB",
    "CMYK": "RGB",
    "I;16": "L",  # for the header only: other libraries decode deep samples
    "I": "L",
}


def read_header(file: BinaryIO) -> tuple[Header, int]:
    """Reads the header of the stored picture and the EXIF orientation; raises Pillow's errors."""
    image = open_image(file)
    return header_of(image, bits=8), orientation_of(image)[0]


def read(file: io.BytesIO) -> Picture:
    """Decodes a whole file; raises Pillow's errors."""
    image = open_image(file)
    metadata, notes = metadata_of(image)
    if image.format in ("JPEG", "MPO"):
        image, cut = cut_jpeg.complete(image, file)
        notes += cut
    samples, profile, converted = decode(image)
    return assemble(image, samples, profile, metadata=metadata, notes=notes + converted)


def open_image(file: BinaryIO) -> Image.Image:
    """Opens a file by its content, without the limit of pixels in Pillow's `Image.open`."""
    file.seek(0)
    name = format_of(file.read(BEGINNING_BYTES)) or ""
    file.seek(0)
    Image.init()
    plugin = _PLUGINS.get(name, name.upper())
    if plugin not in Image.OPEN:
        raise InputError(NO_PICTURE)
    factory, _ = Image.OPEN[plugin]
    return factory(file, "")


def header_of(image: Image.Image, bits: int) -> Header:
    """Returns the header of an opened image that will be decoded to `bits` bits per channel."""
    mode = _mode(image)
    return Header(image.height, image.width, 1 if mode[0] == "L" else 3, bits, mode[-1] == "A")


def decode(image: Image.Image) -> tuple[np.ndarray, bytes | None, tuple[str, ...]]:
    """Decodes an image to 8 bits, gray or RGB with or without alpha.

    Returns:
      Samples, their colour profile or None, and notes.
    """
    profile, mode = image.info.get("icc_profile"), _mode(image)
    if image.mode != "CMYK":
        return np.array(image.convert(mode)), profile, ()
    if profile:
        try:
            converted = ImageCms.profileToProfile(
                image, io.BytesIO(profile), ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
            return np.array(converted), None, ("CMYK converted to sRGB by its colour profile",)
        except (ImageCms.PyCMSError, OSError):  # the profile is damaged or not for CMYK
            pass
    dropped = ", its colour profile dropped" if profile else ""
    return np.array(image.convert(mode)), None, (f"CMYK converted to RGB{dropped}",)


def assemble(image: Image.Image, samples: np.ndarray, profile: bytes | None, **fields: Any) -> Picture:
    """Makes the upright picture from decoded samples and the opened image's orientation, resolution and frames.

    `frames` among the fields counts better than Pillow does.
    """
    orientation, damage = orientation_of(image)
    frames = fields.pop("frames", None) or getattr(image, "n_frames", 1)
    notes = (*damage, *fields.pop("notes", ()), *frame_note(frames))
    dpi = plausible_dpi(image.info.get("dpi"))
    picture = Picture(*split_alpha(samples), profile or None, dpi, notes=tuple(dict.fromkeys(notes)), **fields)
    return upright(picture, orientation)


def metadata_of(image: Image.Image) -> tuple[Metadata, tuple[str, ...]]:
    """Collects EXIF and IPTC data, XMP and comment of an opened image; notes damaged data."""
    comment = image.info.get("comment", b"")
    text = comment.decode("utf-8", "replace") if isinstance(comment, bytes) else str(comment)
    texts = [("Comment", text.strip("\0 "))] if text.strip("\0 ") else []
    resources = image.info.get("photoshop", {})  # in JPEG only
    return collect(image.info.get("exif"), image.info.get("xmp"), texts, resources.get(iptc.RESOURCE, b""))


def orientation_of(image: Image.Image) -> tuple[int, tuple[str, ...]]:
    """Reads the EXIF orientation, by default 1; notes damaged EXIF data."""
    if image.format == "TIFF":  # Pillow turns TIFF upright itself
        return 1, ()
    try:
        # The method of PngImageFile would decode all pixels to look for EXIF data after them.
        orientation = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    except Exception:  # the pixels can still be read
        return 1, (DAMAGED_EXIF,)
    return (orientation if orientation in UPRIGHT else 1), ()


def _mode(image: Image.Image) -> str:
    if image.mode not in _MODES:
        raise InputError(f"pictures of the kind {image.mode} are not supported")
    mode = _MODES[image.mode]
    return mode if mode[-1] == "A" or "transparency" not in image.info else {"L": "LA", "RGB": "RGBA"}[mode]
