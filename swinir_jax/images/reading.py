"""Reading of picture files. The content of a file decides the format; the name does not."""

import contextlib
import dataclasses
import io
import os
import threading
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
}  # other formats are read by Pillow alone
_COPIES = 3  # arrays of samples held while a file is read: decoded, converted or turned, and the picture's own


def read_header(path: str | os.PathLike[str]) -> Header:
    """Reads a picture's header, without decoding the pixels.

    Args:
      path: file in a format of `READABLE`, with any ending.

    Returns:
      Size and kind of the upright picture that `read_picture` returns.

    Raises:
      InputError: if the file or its header cannot be read.
    """
    with refusing(path), open(path, "rb") as file:
        return _read_header(file)


def read_picture(path: str | os.PathLike[str], *, memory: int | None = None) -> Picture:
    """Reads a picture, upright and with straight colours.

    Args:
      path: file in a format of `READABLE`, with any ending. Only the first of several frames is read.
      memory: bytes that reading may take; None for all free memory.

    Returns:
      The picture: uint16 if the file has more than 8 bits per channel, else uint8; gray or RGB, also where the file
      has a palette. The notes say what was converted, left out or assumed.

    Raises:
      InputError: if the file cannot be read, is damaged or lacks pixels, needs too much memory, or has samples that a
        `Picture` cannot hold (32 bits, signed, CMYK of 16 bits).
    """
    with refusing(path):
        with open(path, "rb") as opened:
            header = _read_header(opened)
        needed = _COPIES * header.sample_bytes + os.path.getsize(path)
        available = free_machine_bytes() if memory is None else memory
        if needed > available:
            raise InputError(
                f"reading {header.width} x {header.height} pixels takes {needed / 1e9:.2f} GB, and "
                f"{available / 1e9:.2f} GB are {'free' if memory is None else 'allowed'}; "
                "allow more memory (--memory), or make the picture smaller"
            )
        file = io.BytesIO(Path(path).read_bytes())
        picture = _READERS.get(header.format, pillow_reader).read(file)
    return checked(picture)


def checked(picture: Picture) -> Picture:
    """Converts or leaves out a colour profile that is for another number of channels; notes a profile left out."""
    profile, notes = fit_profile(picture.icc_profile, picture.channels)
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


class _Silence:
    """Ignores warnings while any thread is inside: `warnings.catch_warnings` changes the filters of all threads."""

    def __init__(self) -> None:
        self._lock, self._inside, self._filters = threading.Lock(), 0, contextlib.ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._filters.enter_context(warnings.catch_warnings(action="ignore"))
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._filters.close()


_SILENCE = _Silence()  # Pillow warns about damaged metadata


@contextlib.contextmanager
def refusing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns the decoders' errors into an InputError of one line that names the file."""
    try:
        with _SILENCE:
            yield
    except MemoryError:  # says nothing of the file
        raise
    except Exception as error:  # damaged files make the decoders raise errors of nearly any class
        raise InputError(printable(f"{os.fspath(path)}: {' '.join(_reason(error).splitlines())}")) from error


def _reason(error: Exception) -> str:
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, Image.DecompressionBombError):  # some of Pillow's plugins have their own limits
        return f"too large for this format: convert it to PNG or TIFF ({error})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"cannot be decoded, probably damaged or cut short ({type(error).__name__}: {error})"
