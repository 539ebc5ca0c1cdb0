"""One image to one pair of patches: flips and quarter turns, a crop, degradation."""

import numpy as np

from swinir_jax.data.config import Degradation
from swinir_jax.data.degradations import gaussian_noise, imresize, jpeg

TURNS = 8

# Pixels that share one block of a JPEG file: 8, and in colour 16, as its chroma has half the resolution.
_JPEG_UNITS = {1: 8, 3: 16}


def draw_patches(
    hq: np.ndarray,
    lq: np.ndarray | None,
    *,
    degradation: Degradation,
    patch_size: int,
    scale: int,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Draws a pair of patches from an image, mirrored and turned in one of eight ways.

    The image is turned before it is degraded, so that rows shrink before columns and JPEG's blocks begin at the upper
    left, as in the images that are restored later.

    Args:
      hq: `[H, W, C]` uint8, C of 1 or 3; both sides at least `patch_size * scale`.
      lq: `[H / scale, W / scale, C]` uint8, its sides rounded down or up (an LQ pixel covers the HQ pixels from its
        index times `scale` on, so that those beyond HQ's last whole pixel are cut off), or None to make it of `hq`.
      degradation: what makes LQ where `lq` is None.
      patch_size: side p of the LQ patch, in pixels.
      scale: HQ / LQ side ratio.
      rng: gives all that is random.

    Returns:
      `{"lq": [p, p, C], "hq": [p * scale, p * scale, C]}`, float32 in [0, 1]; noise is not clipped.
    """
    h, w = hq.shape[0] // scale, hq.shape[1] // scale
    turn = int(rng.integers(TURNS))
    hq = turned(hq[: h * scale, : w * scale], turn)
    lq = None if lq is None else turned(lq[:h, :w], turn)
    h, w = hq.shape[0] // scale, hq.shape[1] // scale
    top, left = int(rng.integers(h - patch_size + 1)), int(rng.integers(w - patch_size + 1))
    clean = _as_float(_crop(hq, top * scale, left * scale, patch_size * scale))
    if lq is not None:
        degraded = _as_float(_crop(lq, top, left, patch_size))
    elif degradation.kind == "bicubic":
        degraded = _as_float(shrunk_patch(hq, top, left, patch_size, scale))
    elif degradation.kind == "jpeg":
        unit = _JPEG_UNITS[hq.shape[2]] if degradation.jpeg_grid == "random" else 1
        # Never more than what lies beyond the patch: images have no blocks that begin outside of them.
        shift = [int(rng.integers(min(unit, start + 1))) for start in (top, left)]
        quality = int(rng.integers(degradation.low, degradation.high + 1))
        degraded = _as_float(compressed_patch(hq, top, left, patch_size, quality, (shift[0], shift[1])))
    else:
        degraded = gaussian_noise(clean, rng.uniform(degradation.low, degradation.high), rng)
    return {"lq": degraded, "hq": clean}


def turned(image: np.ndarray, turn: int) -> np.ndarray:
    """A view of an image after `turn % 4` quarter turns, from 4 on mirrored, too."""
    image = np.rot90(image, turn % 4)
    return image[:, ::-1] if turn >= 4 else image


def shrunk_patch(hq: np.ndarray, top: int, left: int, size: int, scale: int) -> np.ndarray:
    """Cuts a patch of `imresize(hq, 1 / scale)` without shrinking all of it.

    Args:
      hq: `[H, W, C]` uint8, both sides multiples of the scale.
      top: first row of the patch, in LQ pixels.
      left: its first column.
      size: its side.
      scale: HQ / LQ side ratio.

    Returns:
      `[size, size, C]` uint8, equal to the patch of the whole image bit for bit.
    """
    margin = 2  # LQ pixels: half of the cubic kernel's support
    y, x = max(top - margin, 0), max(left - margin, 0)
    region = hq[y * scale : (top + size + margin) * scale, x * scale : (left + size + margin) * scale]
    return _crop(imresize(region, 1 / scale), top - y, left - x, size)


def compressed_patch(
    hq: np.ndarray, top: int, left: int, size: int, quality: int, shift: tuple[int, int]
) -> np.ndarray:
    """Cuts a patch of a JPEG file of the image, without compressing all of it.

    Args:
      hq: `[H, W, C]` uint8, C of 1 or 3.
      top: first row of the patch.
      left: its first column.
      size: its side.
      quality: 1..100.
      shift: rows and columns of the patch's first block that lie before the patch; at most `(top, left)`.

    Returns:
      `[size, size, C]` uint8, equal to the patch of the whole file bit for bit, if a block of the file begins where
      `shift` says.
    """
    unit = _JPEG_UNITS[hq.shape[2]]
    y, x = top - shift[0], left - shift[1]
    # A block more on each side, where there is one: decoders smooth chroma across the borders of blocks.
    y, x = (start - unit if start >= unit else start for start in (y, x))
    region = hq[y : top + size + 2 * unit, x : left + size + 2 * unit]
    planes = region[..., 0] if hq.shape[2] == 1 else region
    return _crop(np.atleast_3d(jpeg(planes, quality)), top - y, left - x, size)


def _crop(image: np.ndarray, top: int, left: int, size: int) -> np.ndarray:
    return image[top : top + size, left : left + size]


def _as_float(image: np.ndarray) -> np.ndarray:
    return np.divide(image, 255, dtype=np.float32)
