"""Training images, opened as training opens them."""

from swinir_jax.data.image_source import ImageSource, JoinedSource
from swinir_jax.data.sources import open_parts


def open_source(text: str, **options) -> ImageSource:
    """Opens a value of `DataConfig.hq` as one source, whatever the weights of its places; see `open_parts`."""
    parts = open_parts(text, **options)
    return parts[0].source if len(parts) == 1 else JoinedSource([part.source for part in parts])
