"""Picture files to arrays. The content of a file decides its format; its name does not."""

import contextlib
import io
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from swinir_jax.errors import InputError
from swinir_jax.images import pillow_reader, tiff_reader
from swinir_jax.images.picture import SUFFIXES, UPRIGHT, Picture

TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # classic and BigTIFF, in either byte order


def read_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Reads how large a picture is from its header, without decoding it.

    Args:
      path: a PNG, JPEG, WebP, TIFF or BMP file, whatever its ending.

    Returns:
      Height and width in pixels of the upright picture, the shape `read_picture` gives.

    Raises:
      InputError: if the file or its header cannot be read, or it holds more pixels than Pillow allows.
    """
    with refusing(path), open(path, "rb") as file:
        h, w, orientation = _reader(file).read_header(file)
    transposed = UPRIGHT[orientation][0]
    return (w, h) if transposed else (h, w)


def read_picture(path: str | os.PathLike[str]) -> Picture:
    """Reads a picture, upright and with straight colours.

    Args:
      path: a PNG, JPEG, WebP, TIFF or BMP file, whatever its ending. Of several frames the first is read.

    Returns:
      The picture; uint16 where the file has 16 bits a channel, else uint8. Palettes are looked up.

    Raises:
      InputError: if the file cannot be read, is damaged or cut short, holds more pixels than Pillow allows, or
        samples of a kind that has no exact place in a `Picture` (float, 32 bits, more channels than RGBA).
    """
    with refusing(path):
        file = io.BytesIO(Path(path).read_bytes())
        return _reader(file).read(file)


def _reader(file: BinaryIO) -> ModuleType:
    magic = file.read(4)
    file.seek(0)
    if not magic:
        raise InputError("the file is empty")
    return tiff_reader if magic in TIFF_MAGIC else pillow_reader


@contextlib.contextmanager
def refusing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns whatever the decoders raise into an InputError of one line that names the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large pictures and of damaged metadata
            yield
    except Exception as error:  # damaged files make the decoders raise nearly anything
        raise InputError(" ".join(f"{os.fspath(path)}: {_reason(error)}".splitlines())) from error


def _reason(error: Exception) -> str:
    if isinstance(error, (InputError, Image.DecompressionBombError)):
        return str(error)
    if isinstance(error, UnidentifiedImageError):
        *others, last = dict.fromkeys(SUFFIXES.values())
        return f"not a {', '.join(others)} or {last} picture, or its header is damaged"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"cannot be decoded, probably damaged or cut short ({type(error).__name__}: {error})"
