"""Pictures that any browser shows: 8-bit RGB PNG files."""

from pathlib import Path

from swinir_jax.images import read_picture, write_picture
from swinir_jax.images.writing import fitted


def write_preview(file: Path, preview: Path) -> None:
    """Writes a picture file as an 8-bit PNG of the same size, upright, with the colour profile and alpha.

    Raises:
      InputError: if the file cannot be read, or does not fit into memory.
    """
    picture, _ = fitted(read_picture(file).without_metadata(), "WebP")  # has what browsers show: 8 bits, RGB, alpha
    write_picture(preview, picture)
