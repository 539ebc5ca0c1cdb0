"""Random patch pairs from an image: flip, quarter turn, crop and degradation."""

import numpy as np

from swinir_jax.data.blind import blind_chain
from swinir_jax.data.config import Degradation
from swinir_jax.data.degradations import gaussian_noise, imresize, jpeg

TURNS = 8

# Side of a JPEG block in pixels: 8 for gray; 16 for RGB, whose chroma has half the resolution.
_JPEG_UNITS = {1: 8, 3: 16}

_BLIND_MARGIN = 16  # LQ pixels around a patch that are degraded with it, because borders are mirrored


def draw_patches(
    hq: np.ndarray,
    lq: np.ndarray | None,
    *,
    degradation: Degradation,
    patch_size: int,
    scale: int,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Draws an LQ and an HQ patch from an image, in one of eight orientations.

    The image is turned before it is degraded. Rows then shrink before columns, and JPEG blocks begin at the upper left,
    as in the images to restore later.

    Args:
      hq: `[H, W, C]` uint8, C of 1 or 3; both sides at least `patch_size * scale`.
      lq: `[H / scale, W / scale, C]` uint8, with sides rounded down or up; None to make LQ from `hq`. LQ pixel i begins
        at HQ pixel `i * scale`; an incomplete last row or column is cut off.
      degradation: degradation that makes LQ if `lq` is None.
      patch_size: side p of the LQ patch, in pixels.
      scale: HQ / LQ side ratio.
      rng: generator of all random numbers, which advances.

    Returns:
      `{"lq": [p, p, C], "hq": [p * scale, p * scale, C]}`, float32 in [0, 1]; noise may exceed the range.
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
    elif degradation.kind == "blind":
        chain = f"{degradation.chain}_x{scale}"
        clean, degraded = blind_patch(hq, top, left, patch_size, chain, rng)
    elif degradation.kind == "jpeg":
        unit = _JPEG_UNITS[hq.shape[2]] if degradation.jpeg_grid == "random" else 1
        # At most the pixels before the patch, because no block begins outside the image.
        shift = [int(rng.integers(min(unit, start + 1))) for start in (top, left)]
        quality = int(rng.integers(degradation.low, degradation.high + 1))
        degraded = _as_float(compressed_patch(hq, top, left, patch_size, quality, (shift[0], shift[1])))
    else:
        degraded = gaussian_noise(clean, rng.uniform(degradation.low, degradation.high), rng)
    return {"lq": degraded, "hq": clean}


def turned(image: np.ndarray, turn: int) -> np.ndarray:
    """Returns a view of an image after `turn % 4` quarter turns, mirrored for turns from 4 on."""
    image = np.rot90(image, turn % 4)
    return image[:, ::-1] if turn >= 4 else image


def shrunk_patch(hq: np.ndarray, top: int, left: int, size: int, scale: int) -> np.ndarray:
    """Cuts a patch from `imresize(hq, 1 / scale)` without shrinking the whole image.

    Args:
      hq: `[H, W, C]` uint8, both sides multiples of the scale.
      top: first row of the patch, in LQ pixels.
      left: first column of the patch, in LQ pixels.
      size: side of the patch, in LQ pixels.
      scale: HQ / LQ side ratio.

    Returns:
      `[size, size, C]` uint8, equal to the patch of the whole shrunk image bit for bit.
    """
    margin = 2  # half of the cubic kernel's support, in LQ pixels
    y, x = max(top - margin, 0), max(left - margin, 0)
    region = hq[y * scale : (top + size + margin) * scale, x * scale : (left + size + margin) * scale]
    return _crop(imresize(region, 1 / scale), top - y, left - x, size)


def blind_patch(
    hq: np.ndarray, top: int, left: int, size: int, chain: str, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Degrades a patch and its surroundings by a chain.

    Args:
      hq: `[H, W, 3]` uint8; both sides are multiples of the scale.
      top: first row of the patch, in LQ pixels.
      left: first column of the patch, in LQ pixels.
      size: side of the patch, in LQ pixels.
      chain: key of CHAINS in `swinir_jax.data.blind.chains`.
      rng: generator of all random choices.

    Returns:
      HQ `[size * scale, size * scale, 3]`, sharpened if the chain says so, and LQ `[size, size, 3]`, both float32 in
      [0, 1].
    """
    degrade = blind_chain(chain)
    scale = degrade.scale
    y, x = max(top - _BLIND_MARGIN, 0), max(left - _BLIND_MARGIN, 0)
    bottom, right = ((start + size + _BLIND_MARGIN) * scale for start in (top, left))
    clean, lq = degrade(_as_float(hq[y * scale : bottom, x * scale : right]), rng)
    return _crop(clean, (top - y) * scale, (left - x) * scale, size * scale), _crop(lq, top - y, left - x, size)


def compressed_patch(
    hq: np.ndarray, top: int, left: int, size: int, quality: int, shift: tuple[int, int]
) -> np.ndarray:
    """Cuts a patch from the JPEG file of an image without compressing the whole image.

    Args:
      hq: `[H, W, C]` uint8, C of 1 or 3.
      top: first row of the patch.
      left: first column of the patch.
      size: side of the patch, in pixels.
      quality: JPEG quality, 1..100.
      shift: rows and columns from the start of the first block to the start of the patch; at most `(top, left)`.

    Returns:
      `[size, size, C]` uint8, equal to the patch of the whole file bit for bit, if the file has a block at
      `(top, left) - shift`.
    """
    unit = _JPEG_UNITS[hq.shape[2]]
    y, x = top - shift[0], left - shift[1]
    # One more block on each side, if there is one, because decoders smooth chroma across block borders.
    y, x = (start - unit if start >= unit else start for start in (y, x))
    region = hq[y : top + size + 2 * unit, x : left + size + 2 * unit]
    planes = region[..., 0] if hq.shape[2] == 1 else region
    return _crop(np.atleast_3d(jpeg(planes, quality)), top - y, left - x, size)


def _crop(image: np.ndarray, top: int, left: int, size: int) -> np.ndarray:
    return image[top : top + size, left : left + size]


def _as_float(image: np.ndarray) -> np.ndarray:
    return np.divide(image, 255, dtype=np.float32)
