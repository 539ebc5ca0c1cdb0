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
from swinir_jax.images.transparency import flatten


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


def decoded_rows(path: str | os.PathLike[str], background: str | None = None) -> RowSource:
    """Decodes a whole picture of any format, as a source of rows.

    Args:
      path: picture that `read_picture` reads.
      background: colour that the picture is put onto, as for `flatten`; None if alpha is opaque everywhere.

    Raises:
      InputError: if the file cannot be read, or is translucent and there is no background.
    """
    picture = read_picture(path)
    if background:
        picture = flatten(picture, background)
    if picture.is_translucent:
        raise InputError(
            f"{os.fspath(path)}: a translucent picture cannot be restored by rows; raise --memory, or choose a "
            "--background."
        )
    head = dataclasses.replace(picture, pixels=picture.pixels[:1], alpha=None)
    pixels = picture.pixels
    return RowSource.of_file(Path(path), head, len(pixels), pixels.nbytes, lambda first: iter([(0, pixels)]))
