"""Smooth pictures, which can be degraded and restored."""

from pathlib import Path

import numpy as np

from swinir_jax.images import Picture, read_picture, write_picture


def photo(name, *shape):
    """Writes a picture of two or three axes; returns the pixels of the file."""
    y, x, c = np.meshgrid(*(np.linspace(0, 3, n) for n in (*shape, 1)[:3]), indexing="ij")
    pixels = (127 + 120 * np.sin(3 * x + y) * np.cos(2 * y - x + c)).astype(np.uint8)
    Path(name).parent.mkdir(exist_ok=True)
    write_picture(name, Picture(pixels[..., 0] if len(shape) == 2 else pixels))
    return read_picture(name).pixels
