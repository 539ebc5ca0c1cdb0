"""What a picture file holds, whatever its format."""

import dataclasses
from pathlib import Path

import numpy as np

SUFFIXES = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WebP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
}
"""File endings, in lower case, and the formats they stand for."""


def is_image_file(path: Path) -> bool:
    """Whether a folder's file is one to read: not hidden, with one of the endings; a broken link is, for its error."""
    there = path.is_file() or (path.is_symlink() and not path.exists())
    return there and path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


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
      notes: what the reader had to decide, one short sentence each.

    Raises:
      ValueError: if shapes or dtypes are others than these.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    icc_profile: bytes | None = None
    dpi: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()

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


def plausible_dpi(dpi: tuple[float, float] | None) -> tuple[float, float] | None:
    """Passes a resolution that JPEG, too, can store; files without one often say zero."""
    if dpi is None or not all(0 < value <= 65535 for value in dpi):
        return None
    return float(dpi[0]), float(dpi[1])


def frame_note(frames: int) -> tuple[str, ...]:
    """Says that further frames or pages were left out, if there are any."""
    return (f"first of {frames} frames",) if frames > 1 else ()
