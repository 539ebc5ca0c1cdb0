"""Pictures in memory, independent of file formats."""

import dataclasses
from typing import Self

import numpy as np

from swinir_jax.images.metadata import NO_METADATA, Metadata


# Two pictures compare by identity: comparing arrays field by field has no truth value.
@dataclasses.dataclass(frozen=True, eq=False)
class Picture:
    """An upright picture with its colour profile, resolution and metadata.

    Attributes:
      pixels: `[h, w]` gray or `[h, w, 3]` RGB, uint8 or uint16 over the whole range of the dtype; straight colours,
        that is, not multiplied by alpha.
      alpha: `[h, w]` of the dtype of `pixels`, 0 where fully transparent; None for a picture without alpha.
      icc_profile: ICC colour profile; None for sRGB or unknown colours.
      dpi: horizontal and vertical resolution in pixels per inch; None if unknown.
      code_points: colours by ITU-T H.273 in the layout of PNG's cICP: primaries, curve, matrix (0) and range (1);
        None if the file has none. `icc_profile` describes the same colours, if a profile can.
      metadata: date, camera, place, author and texts.
      notes: short sentences on what the reader converted, left out or assumed.

    Raises:
      ValueError: if `pixels` or `alpha` has another shape or dtype.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    icc_profile: bytes | None = None
    dpi: tuple[float, float] | None = None
    code_points: bytes | None = None
    metadata: Metadata = NO_METADATA
    notes: tuple[str, ...] = ()

    def without_metadata(self) -> Self:
        """Returns the picture without date, camera, place, author and texts."""
        return dataclasses.replace(self, metadata=NO_METADATA)

    def noting(self, *notes: str) -> Self:
        """Returns the picture with further notes."""
        return dataclasses.replace(self, notes=self.notes + notes)

    @property
    def channels(self) -> int:
        """Number of colour channels, 1 for gray and 3 for RGB."""
        return 1 if self.pixels.ndim == 2 else 3

    @property
    def is_translucent(self) -> bool:
        """Whether alpha is below opaque anywhere."""
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


# EXIF orientation -> (swap rows and columns, row step, column step) that turn the stored picture upright.
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
    """Turns a stored picture upright by its EXIF orientation, a key of `UPRIGHT`."""
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


def unpremultiply(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Divides colours by alpha and rounds; uint32 holds the largest sum, 65535 * 65535 + 32767."""
    white = np.uint32(np.iinfo(colours.dtype).max)
    divisor = np.maximum(alpha, 1).astype(np.uint32)
    if colours.ndim == 3:
        divisor = divisor[..., None]
    return np.minimum((colours * white + divisor // 2) // divisor, white).astype(colours.dtype)


def full_range(samples: np.ndarray, maximum: int) -> np.ndarray:
    """Scales integer samples from 0 to `maximum` to the range of uint8, or of uint16 if `maximum` is above 255."""
    dtype = np.uint8 if maximum <= 255 else np.uint16
    white = np.iinfo(dtype).max
    if maximum == white:
        return samples.astype(dtype, copy=False)
    return ((samples.astype(np.uint32) * white + maximum // 2) // maximum).astype(dtype)


def plausible_dpi(dpi: tuple[float, float] | None) -> tuple[float, float] | None:
    """Returns a resolution as floats; None for values that JPEG cannot store, such as the 0 of many files."""
    if dpi is None or not all(0 < value <= 65535 for value in dpi):
        return None
    return float(dpi[0]), float(dpi[1])


CUT_AFTER_PIXELS = "the file is cut short after the last pixel"


def to_8_bits(samples: np.ndarray) -> np.ndarray:
    """Rounds uint16 samples of the whole range to uint8; returns uint8 samples as they are."""
    return samples if samples.dtype == np.uint8 else ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)


def frame_note(frames: int) -> tuple[str, ...]:
    """Notes that further frames or pages were left out, if there are any."""
    return (f"first of {frames} frames",) if frames > 1 else ()
