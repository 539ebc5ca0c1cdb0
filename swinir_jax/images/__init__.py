"""Reading and writing of photographs, with depth, alpha, colour profile, resolution, orientation and metadata."""

from swinir_jax.images.finding import Found, describe_left_out, find_pictures
from swinir_jax.images.formats import READABLE
from swinir_jax.images.header import Header
from swinir_jax.images.metadata import Metadata
from swinir_jax.images.picture import Picture
from swinir_jax.images.reading import read_header, read_picture, read_size
from swinir_jax.images.targets import WRITABLE, cannot_hold, fitting_ending
from swinir_jax.images.transparency import extend_colours, flatten
from swinir_jax.images.writing import write_picture

__all__ = [
    "READABLE",
    "WRITABLE",
    "Found",
    "Header",
    "Metadata",
    "Picture",
    "cannot_hold",
    "describe_left_out",
    "extend_colours",
    "find_pictures",
    "fitting_ending",
    "flatten",
    "read_header",
    "read_picture",
    "read_size",
    "write_picture",
]
