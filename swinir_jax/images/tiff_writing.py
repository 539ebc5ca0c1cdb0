"""Writing of TIFF files, whole or from tiles, with metadata."""

import io
import struct
from typing import Any, BinaryIO

import numpy as np
import tifffile

from swinir_jax.images.exif import BYTE, IPTC, LONG, LONG8, UNDEFINED, XMP, Exif
from swinir_jax.images.picture import Picture

# tifffile refuses to write tags that point to directories, so each is written with the number before and then renamed.
_TO_PLACEHOLDER = -1
_LARGEST_CLASSIC = 2**32 - 2**25  # bytes of samples, beside which metadata fit into the 4 GB of a file without BigTIFF


def encode_tiff(picture: Picture, samples: np.ndarray) -> bytes:
    """Encodes a TIFF file.

    Args:
      picture: picture to write.
      samples: the picture's colours and alpha in one array.
    """
    buffer = io.BytesIO()
    write_tiff(
        buffer,
        picture,
        bigtiff=samples.nbytes > _LARGEST_CLASSIC,
        data=samples,
        planarconfig="contig" if samples.ndim == 3 else None,
        extrasamples=None if picture.alpha is None else ["unassalpha"],
    )
    return buffer.getvalue()


def write_tiff(file: BinaryIO, picture: Picture, *, bigtiff: bool = False, **layout: Any) -> None:
    """Writes a compressed file of one page.

    Args:
      file: file open for reading and writing.
      picture: kind, profile, resolution and metadata of the page.
      bigtiff: whether the file may become larger than 4 GB.
      **layout: samples or compressed parts and their layout, as arguments of tifffile's `write`.
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
    """Returns the tags of the metadata in tifffile's form, with placeholders for pointers to directories."""
    tags: list[tuple[int, int, int, bytes | int, bool]] = []
    if picture.metadata.xmp:
        tags.append((XMP, BYTE, len(picture.metadata.xmp), picture.metadata.xmp, True))
    if picture.metadata.iptc:
        tags.append((IPTC, UNDEFINED, len(picture.metadata.iptc), picture.metadata.iptc, True))
    if exif:
        tags += [(tag, kind, count, data, True) for tag, (kind, count, data) in exif.main.items()]
        kind = LONG8 if bigtiff else LONG
        tags += [(tag + _TO_PLACEHOLDER, kind, 1, 0, True) for tag, directory in exif.directories() if directory]
    return tags


def _append_directories(file: BinaryIO, exif: Exif, bigtiff: bool) -> None:
    """Appends the directories to the file, and turns the placeholders into pointers to them."""
    file.seek(0)
    directories = {tag: directory for tag, directory in exif.directories() if directory}
    with tifffile.TiffFile(file) as tiff:
        written = tiff.pages.first.tags
        placeholders = {tag: written[tag + _TO_PLACEHOLDER] for tag in directories}
    for tag, directory in directories.items():
        pointer = placeholders[tag]
        end = file.seek(0, io.SEEK_END)
        end += file.write(bytes(end % 2))
        file.write(exif.directory_bytes(directory, end, big=bigtiff))
        file.seek(pointer.offset)
        file.write(struct.pack("<H", tag))
        file.seek(pointer.valueoffset)
        file.write(struct.pack("<Q" if bigtiff else "<I", end))
