"""Conversion of CIELAB to sRGB."""

import numpy as np

_D50 = np.array([0.9642, 1.0, 0.8249])  # XYZ of the white point
_XYZ_TO_LINEAR_SRGB = np.array(
    [[3.1338561, -1.6168667, -0.4906146], [-0.9787684, 1.9161415, 0.0334540], [0.0719453, -0.2289914, 1.4052427]]
)  # from D50, adapted to D65 by the Bradford matrix
_ROWS = 64  # rows converted at a time, which bounds the memory of the floats


def to_srgb(samples: np.ndarray, *, signed: bool) -> tuple[np.ndarray, tuple[str, ...]]:
    """Converts CIELAB samples of a TIFF file.

    Args:
      samples: `[h, w, 3]` L*, a* and b*, of 8 or 16 bits; L* over the whole range.
      signed: whether a* and b* are two's complements (CIELAB); otherwise 0 lies in the middle (ICCLAB).

    Returns:
      `[h, w, 3]` uint8 or uint16 RGB, and notes.
    """
    dtype = np.dtype(f"u{samples.itemsize}")
    white, half = float(np.iinfo(dtype).max), 1 << (8 * samples.itemsize - 1)
    unit = half / 128  # sample value of 1 in a* and b*
    samples = samples.view(dtype) if samples.dtype.kind == "i" else samples
    colours, clipped = np.empty(samples.shape, dtype), 0
    for y in range(0, len(samples), _ROWS):
        rows = samples[y : y + _ROWS].astype(np.int64)
        ab = (rows[..., 1:] ^ half if signed else rows[..., 1:]) - half
        rgb = _convert(rows[..., 0] / white * 100, ab[..., 0] / unit, ab[..., 1] / unit)
        clipped += int(np.count_nonzero(((rgb < -0.5 / 255) | (rgb > 1 + 0.5 / 255)).any(axis=-1)))
        colours[y : y + _ROWS] = np.rint(rgb.clip(0, 1) * white)
    notes: tuple[str, ...] = ("CIELAB converted to sRGB",)
    if clipped:
        notes += (f"colours outside sRGB clipped in {clipped / (colours.size // 3):.1%} of the pixels",)
    return colours, notes


def _convert(lightness: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    fy = (lightness + 16) / 116
    f = np.stack([fy + a / 500, fy, fy - b / 200], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * _D50
    linear = xyz @ _XYZ_TO_LINEAR_SRGB.T
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055)
