"""Facts about a picture that are known before the pixels are decoded."""

import dataclasses
from typing import Self

from swinir_jax.errors import InputError
from swinir_jax.images.picture import Picture


@dataclasses.dataclass(frozen=True)
class Header:
    """Size and kind of a picture in a file or in memory.

    Attributes:
      height: height of the upright picture in pixels.
      width: width of the upright picture in pixels.
      channels: 1 for gray, 3 for RGB, as `read_picture` returns them.
      bits: bits per channel, 8 or 16, as `read_picture` returns them.
      has_alpha: whether there is an alpha channel. A file's header does not tell whether alpha is opaque everywhere.
      format: format of the file, a value of `READABLE`; empty for a picture in memory.
    """

    height: int
    width: int
    channels: int = 3
    bits: int = 8
    has_alpha: bool = False
    format: str = ""

    @classmethod
    def of(cls, picture: Picture) -> Self:
        """Describes a picture in memory; alpha that is opaque everywhere counts as no alpha."""
        h, w = picture.pixels.shape[:2]
        return cls(h, w, picture.channels, 8 * picture.pixels.itemsize, picture.is_translucent)

    def enlarged(self, scale: int) -> Self:
        """Returns the header of a picture `scale` times as high and as wide."""
        return dataclasses.replace(self, height=self.height * scale, width=self.width * scale)

    def check_pixels(self, limit: int) -> None:
        """Raises InputError if the picture has more than `limit` pixels."""
        if self.height * self.width > limit:
            raise InputError(
                f"{self.width}x{self.height} are {self.height * self.width / 1e6:.4g} million pixels, and "
                f"{limit / 1e6:.4g} million are allowed (--max-pixels)"
            )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.height, self.width

    @property
    def sample_bytes(self) -> int:
        """Size of all samples in memory, alpha included, in bytes."""
        return self.height * self.width * (self.channels + self.has_alpha) * self.bits // 8


def picture_bits(bits: int) -> int:
    """Returns the depth of a `Picture`, 8 or 16 bits per channel, that holds samples of `bits` bits."""
    return 8 if bits <= 8 else 16
