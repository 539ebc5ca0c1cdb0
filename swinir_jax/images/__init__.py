"""Reading and writing of photographs, with depth, alpha, colour profile, resolution, orientation and metadata."""

from swinir_jax.images.formats import READABLE
from swinir_jax.images.header import Header
from swinir_jax.images.metadata import Metadata
from swinir_jax.images.picture import Picture
from swinir_jax.images.reading import read_header, read_picture
from swinir_jax.images.targets import WRITABLE, cannot_hold, fitting_ending
from swinir_jax.images.transparency import extend_colours, flatten
from swinir_jax.images.writing import write_picture

__all__ = [
    "READABLE",
    "WRITABLE",
    "Header",
    "Metadata",
    "Picture",
    "cannot_hold",
    "extend_colours",
    "fitting_ending",
    "flatten",
    "read_header",
    "read_picture",
    "write_picture",
]
