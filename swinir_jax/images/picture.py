"""What a picture file holds, whatever its format."""

import dataclasses
from typing import Self

import numpy as np

from swinir_jax.images.metadata import NO_METADATA, Metadata


# Comparing two pictures field by field would ask an array for its truth value, so they compare by identity.
@dataclasses.dataclass(frozen=True, eq=False)
class Picture:
    """An upright picture and what its file says about it.

    Attributes:
      pixels: `[h, w]` gray or `[h, w, 3]` RGB, uint8 or uint16 over their whole range; colours are straight, that is
        not multiplied by alpha.
      alpha: `[h, w]` of the dtype of `pixels`, 0 where fully transparent; None for a picture without alpha.
      icc_profile: the embedded colour profile, as it lies in the file.
      dpi: horizontal and vertical pixels per inch.
      code_points: of the colours by ITU-T H.273: primaries, curve, 0 and 1, as in cICP of PNG; None for those of sRGB
        and where the file does not tell. What they stand for is in `icc_profile`, too, if that can be.
      metadata: what the file says of the photograph.
      notes: what the reader had to decide, one short sentence each.

    Raises:
      ValueError: if shapes or dtypes are others than these.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    icc_profile: bytes | None = None
    dpi: tuple[float, float] | None = None
    code_points: bytes | None = None
    metadata: Metadata = NO_METADATA
    notes: tuple[str, ...] = ()

    def without_metadata(self) -> Self:
        """The picture without date, camera, place, author and texts."""
        return dataclasses.replace(self, metadata=NO_METADATA)

    def noting(self, *notes: str) -> Self:
        """The picture with further notes."""
        return dataclasses.replace(self, notes=self.notes + notes)

    @property
    def is_translucent(self) -> bool:
        """Whether there is alpha that is not opaque everywhere."""
        return self.alpha is not None and bool((self.alpha != np.iinfo(self.alpha.dtype).max).any())

    def __post_init__(self):
        shape, dtype = self.pixels.shape, self.pixels.dtype
        if dtype not in (np.uint8, np.uint16) or not (len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)):
            raise ValueError(f"Pixels must be uint8 or uint16, [h, w] or [h, w, 3]: got {dtype} {list(shape)}.")
        if self.alpha is not None and (self.alpha.shape != shape[:2] or self.alpha.dtype != dtype):
            raise ValueError(
                f"Alpha must be {dtype} {list(shape[:2])} as the pixels are: "
                f"got {self.alpha.dtype} {list(self.alpha.shape)}."
            )


# EXIF orientation -> (swap rows and columns, row step, column step) that turns the stored picture upright.
UPRIGHT = {
    1: (False, 1, 1),
    2: (False, 1, -1),
    3: (False, -1, -1),
    4: (False, -1, 1),
    5: (True, 1, 1),
    6: (True, 1, -1),
    7: (True, -1, -1),
    8: (True, -1, 1),
}


def upright(picture: Picture, orientation: int) -> Picture:
    """Turns a picture as its EXIF orientation, a key of `UPRIGHT`, says."""
    swap, row_step, column_step = UPRIGHT[orientation]

    def turn(samples: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray((samples.swapaxes(0, 1) if swap else samples)[::row_step, ::column_step])

    return dataclasses.replace(
        picture,
        pixels=turn(picture.pixels),
        alpha=None if picture.alpha is None else turn(picture.alpha),
        dpi=picture.dpi[::-1] if picture.dpi and swap else picture.dpi,
    )


def split_alpha(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Splits gray, gray and alpha, RGB or RGBA samples, `[h, w]` or `[h, w, 1 to 4]`, into colours and alpha."""
    if samples.ndim == 2 or samples.shape[2] == 3:
        return samples, None
    colours = samples[..., 0] if samples.shape[2] < 3 else samples[..., :3]
    return colours, (samples[..., -1] if samples.shape[2] > 1 else None)


def full_range(samples: np.ndarray, bits: int) -> np.ndarray:
    """Spreads samples of some bits over the whole range of uint8, or of uint16 where there are more than 8; rounded."""
    dtype = np.uint8 if bits <= 8 else np.uint16
    white, stored_white = np.iinfo(dtype).max, 2**bits - 1
    if white == stored_white:
        return samples.astype(dtype, copy=False)
    return ((samples.astype(np.uint32) * white + stored_white // 2) // stored_white).astype(dtype)


def plausible_dpi(dpi: tuple[float, float] | None) -> tuple[float, float] | None:
    """Passes a resolution that JPEG, too, can store; files without one often say zero."""
    if dpi is None or not all(0 < value <= 65535 for value in dpi):
        return None
    return float(dpi[0]), float(dpi[1])


def frame_note(frames: int) -> tuple[str, ...]:
    """Says that further frames or pages were left out, if there are any."""
    return (f"first of {frames} frames",) if frames > 1 else ()
