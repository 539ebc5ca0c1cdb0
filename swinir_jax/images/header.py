"""What is known of a picture before its pixels are."""

import dataclasses
from typing import Self

from swinir_jax.images.picture import Picture


@dataclasses.dataclass(frozen=True)
class Header:
    """What a file's header tells of the picture in it, or what a picture to write is like.

    Attributes:
      height: of the upright picture in pixels.
      width: of the upright picture in pixels.
      channels: 1 for gray, 3 for RGB; as `read_picture` gives them.
      bits: per channel, 8 or 16; as `read_picture` gives them.
      has_alpha: whether there is an alpha channel. That all of it is opaque tell the pixels alone, see `of`.
      format: of the file, a value of `READABLE`; empty for a picture that is in none.
    """

    height: int
    width: int
    channels: int = 3
    bits: int = 8
    has_alpha: bool = False
    format: str = ""

    @classmethod
    def of(cls, picture: Picture) -> Self:
        """Describes a picture in memory; alpha that is opaque everywhere is none."""
        h, w = picture.pixels.shape[:2]
        channels = 1 if picture.pixels.ndim == 2 else 3
        return cls(h, w, channels, 8 * picture.pixels.itemsize, picture.is_translucent)

    def enlarged(self, scale: int) -> Self:
        """The same for a picture `scale` times as high and as wide."""
        return dataclasses.replace(self, height=self.height * scale, width=self.width * scale)

    @property
    def sample_bytes(self) -> int:
        """What the samples take in memory, alpha among them."""
        return self.height * self.width * (self.channels + self.has_alpha) * self.bits // 8
