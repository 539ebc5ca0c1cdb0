"""Pictures that any browser shows: 8-bit RGB PNG files."""

from pathlib import Path

from swinir_jax.images import read_picture, write_picture
from swinir_jax.images.writing import fitted
from swinir_jax.machine import resident_bytes


def write_preview(file: Path, preview: Path, memory: int | None) -> None:
    """Writes a picture file as an 8-bit PNG of the same size, upright, with the colour profile and alpha.

    Args:
      file: picture to read.
      preview: PNG file to write.
      memory: bytes that the process may hold; None for all free memory.

    Raises:
      InputError: if the file cannot be read, or does not fit into memory.
    """
    left = None if memory is None else max(0, memory - resident_bytes())
    picture = read_picture(file, memory=left).without_metadata()
    picture, _ = fitted(picture, "WebP")  # has what browsers show: 8 bits, RGB, alpha
    write_picture(preview, picture)
