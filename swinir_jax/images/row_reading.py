"""Pictures of any size from files, some rows at a time from the top."""

import dataclasses
import os
from pathlib import Path

from swinir_jax.errors import InputError
from swinir_jax.images.formats import BEGINNING_BYTES, format_of
from swinir_jax.images.png_rows import open_png
from swinir_jax.images.reading import read_picture, refusing
from swinir_jax.images.rows import RowSource
from swinir_jax.images.tiff_rows import open_tiff


def open_rows(path: str | os.PathLike[str]) -> RowSource | None:
    """Reads the header of a file whose rows can be decoded from the top, however many there are.

    Args:
      path: of PNG the gray and RGB ones of 8 and 16 bits that are not interlaced, of TIFF those in strips or tiles
        that hold 8 or 16 bits, gray or RGB; upright ones without alpha.

    Returns:
      None for other pictures, and for what is none or damaged: `read_picture` reads it or says why not.
    """
    path = Path(path)
    try:
        with refusing(path), open(path, "rb") as file:
            name = format_of(file.read(BEGINNING_BYTES))
            file.seek(0)
            return open_tiff(path) if name == "TIFF" else open_png(path, file) if name == "PNG" else None
    except InputError:
        return None


def decoded_rows(path: str | os.PathLike[str]) -> RowSource:
    """Decodes a whole picture of any kind, to give its rows.

    Raises:
      InputError: if it cannot be read, or has alpha.
    """
    picture = read_picture(path)
    if picture.alpha is not None:
        raise InputError(f"{os.fspath(path)}: a picture with alpha cannot be restored by rows; raise --memory.")
    head = dataclasses.replace(picture, pixels=picture.pixels[:1])
    pixels = picture.pixels
    return RowSource(Path(path), head, len(pixels), pixels.nbytes, lambda first: iter([(0, pixels)]))
