"""Photographs in and out of files, with nothing lost: depth, alpha, colour profile, resolution and orientation."""

from swinir_jax.images.picture import SUFFIXES, Picture, is_image_file
from swinir_jax.images.reading import read_picture, read_size
from swinir_jax.images.transparency import extend_colours
from swinir_jax.images.writing import write_picture

__all__ = ["SUFFIXES", "Picture", "extend_colours", "is_image_file", "read_picture", "read_size", "write_picture"]
