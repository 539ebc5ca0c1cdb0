"""Picture files to arrays. The content of a file decides its format; its name does not."""

import contextlib
import dataclasses
import io
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

from PIL import Image

from swinir_jax.errors import InputError, printable
from swinir_jax.images import box_reader, heif_reader, jxl_reader, pillow_reader, png_reader, pnm_reader, tiff_reader
from swinir_jax.images.colour import fit_profile
from swinir_jax.images.formats import BEGINNING_BYTES, NO_PICTURE, format_of
from swinir_jax.images.header import Header
from swinir_jax.images.picture import UPRIGHT, Picture
from swinir_jax.machine import free_machine_bytes

_READERS: dict[str, ModuleType] = {
    "PNG": png_reader,
    "TIFF": tiff_reader,
    "AVIF": box_reader,
    "JPEG 2000": box_reader,
    "HEIF": heif_reader,
    "JPEG XL": jxl_reader,
    "PPM": pnm_reader,
}  # the others are read by Pillow alone
_COPIES = 3  # of the samples while a file is read: the decoder's, the turned or converted, and ours


def read_header(path: str | os.PathLike[str]) -> Header:
    """Reads what a picture is like from its header, without decoding it.

    Args:
      path: a file of one of the formats of `READABLE`, whatever its ending.

    Returns:
      Size and kind of the upright picture that `read_picture` gives.

    Raises:
      InputError: if the file or its header cannot be read.
    """
    with refusing(path), open(path, "rb") as file:
        return _read_header(file)


def read_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Reads height and width of the upright picture in pixels; as `read_header`."""
    header = read_header(path)
    return header.height, header.width


def read_picture(path: str | os.PathLike[str], *, memory: int | None = None) -> Picture:
    """Reads a picture, upright and with straight colours.

    Args:
      path: a file of one of the formats of `READABLE`, whatever its ending. Of several frames the first is read.
      memory: bytes that reading may take; None for what is free.

    Returns:
      The picture; uint16 where the file has more than 8 bits a channel, else uint8. Palettes are looked up. What was
      converted, left out or assumed is in the notes.

    Raises:
      InputError: if the file cannot be read, is damaged or lacks pixels, needs more memory than it may take, or has
        samples of a kind that has no place in a `Picture` (32 bits, signed, CMYK of 16 bits).
    """
    with refusing(path):
        with open(path, "rb") as opened:
            header = _read_header(opened)
        need, budget = _COPIES * header.sample_bytes + os.path.getsize(path), memory or free_machine_bytes()
        if need > budget:
            raise InputError(
                f"{header.width} x {header.height} pixels take {need / 1e9:.2f} GB to read, and {budget / 1e9:.2f} GB "
                f"are {'allowed' if memory else 'free'}; allow more memory (--memory), or make the picture smaller"
            )
        file = io.BytesIO(Path(path).read_bytes())
        picture = _READERS.get(header.format, pillow_reader).read(file)
    return checked(picture)


def checked(picture: Picture) -> Picture:
    """Leaves out or converts a colour profile that is not for as many channels as the picture has."""
    profile, notes = fit_profile(picture.icc_profile, 1 if picture.pixels.ndim == 2 else 3)
    return dataclasses.replace(picture, icc_profile=profile, notes=picture.notes + notes)


def _read_header(file: BinaryIO) -> Header:
    beginning = file.read(BEGINNING_BYTES)
    if not beginning:
        raise InputError("the file is empty")
    name = format_of(beginning)
    if name is None:
        raise InputError(NO_PICTURE)
    file.seek(0)
    header, orientation = _READERS.get(name, pillow_reader).read_header(file)
    h, w = header.height, header.width
    if not h * w:
        raise InputError("the picture has no pixels")
    if UPRIGHT[orientation][0]:
        h, w = w, h
    return dataclasses.replace(header, height=h, width=w, format=name)


@contextlib.contextmanager
def refusing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns whatever the decoders raise into an InputError of one line that names the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of damaged metadata
            yield
    except Exception as error:  # damaged files make the decoders raise nearly anything
        raise InputError(printable(f"{os.fspath(path)}: {' '.join(_reason(error).splitlines())}")) from error


def _reason(error: Exception) -> str:
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, Image.DecompressionBombError):  # which some of Pillow's plugins raise themselves
        return f"larger than this format is read: convert it to PNG or TIFF ({error})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"cannot be decoded, probably damaged or cut short ({type(error).__name__}: {error})"
