"""Reading of pictures of any size, by rows."""

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
    """Opens a file whose rows can be decoded a few at a time.

    Args:
      path: gray or RGB picture of 8 or 16 bits, upright and without alpha: a PNG that is not interlaced, or a TIFF.

    Returns:
      The rows; None for other pictures and for damaged files. `read_picture` reads these, or raises the error.
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
    """Decodes a whole picture of any format, as a source of rows.

    Raises:
      InputError: if the file cannot be read, or has alpha.
    """
    picture = read_picture(path)
    if picture.alpha is not None:
        raise InputError(f"{os.fspath(path)}: a picture with alpha cannot be restored by rows; raise --memory.")
    head = dataclasses.replace(picture, pixels=picture.pixels[:1])
    pixels = picture.pixels
    return RowSource.of_file(Path(path), head, len(pixels), pixels.nbytes, lambda first: iter([(0, pixels)]))
