"""TIFF files, whole or from tiles, with what they say of the photograph."""

import io
import struct
from typing import Any, BinaryIO

import numpy as np
import tifffile

from swinir_jax.images.exif import LONG, Exif
from swinir_jax.images.picture import Picture

_XMP, _BYTE, _LONG8 = 700, 1, 16
_BEFORE = -1  # added to tags that tifffile does not write, for others in the same places, which are renamed


def encode_tiff(picture: Picture, samples: np.ndarray) -> bytes:
    """The content of a TIFF file of the colours and the alpha of a picture in one array."""
    buffer = io.BytesIO()
    write_tiff(
        buffer,
        picture,
        data=samples,
        planarconfig="contig" if samples.ndim == 3 else None,
        extrasamples=None if picture.alpha is None else ["unassalpha"],
    )
    return buffer.getvalue()


def write_tiff(file: BinaryIO, picture: Picture, *, bigtiff: bool = False, **layout: Any) -> None:
    """Writes a file of one page, compressed.

    Args:
      file: open for reading and writing.
      picture: for its kind, profile, resolution and metadata.
      bigtiff: whether it may become larger than 4 GB.
      **layout: the samples or parts and how they lie, as tifffile's `write` takes them.
    """
    exif = picture.metadata.parsed_exif()
    exif = exif and exif.little_endian()
    with tifffile.TiffWriter(file, bigtiff=bigtiff, byteorder="<") as tiff:
        tiff.write(
            photometric="rgb" if picture.pixels.ndim == 3 else "minisblack",
            compression="zlib",
            predictor=True,
            iccprofile=picture.icc_profile,
            resolution=picture.dpi,
            resolutionunit="INCH" if picture.dpi else None,
            software=False,
            metadata=None,
            extratags=_tags(picture, exif, bigtiff),
            **layout,
        )
    if exif:
        _append_directories(file, exif, bigtiff)


def _tags(picture: Picture, exif: Exif | None, bigtiff: bool) -> list[tuple[int, int, int, bytes | int, bool]]:
    """Further tags as tifffile takes them; directories do not lie anywhere yet."""
    tags: list[tuple[int, int, int, bytes | int, bool]] = []
    if picture.metadata.xmp:
        tags.append((_XMP, _BYTE, len(picture.metadata.xmp), picture.metadata.xmp, True))
    if exif:
        tags += [(tag, kind, count, data, True) for tag, (kind, count, data) in exif.main.items()]
        kind = _LONG8 if bigtiff else LONG
        tags += [(tag + _BEFORE, kind, 1, 0, True) for tag, directory in exif.directories() if directory]
    return tags


def _append_directories(file: BinaryIO, exif: Exif, bigtiff: bool) -> None:
    """Writes the directories behind all else, and where they are into the tags that point to them."""
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        written = tiff.pages.first.tags
        pointers = {tag: written[tag + _BEFORE] for tag, directory in exif.directories() if directory}
    for tag, directory in exif.directories():
        if not directory:
            continue
        pointer = pointers[tag]
        end = file.seek(0, io.SEEK_END)
        end += file.write(bytes(end % 2))
        file.write(exif.directory_bytes(directory, end, big=bigtiff))
        file.seek(pointer.offset)
        file.write(struct.pack("<H", tag))
        file.seek(pointer.valueoffset)
        file.write(struct.pack("<Q" if bigtiff else "<I", end))
