"""Windows of feature maps: partition, shift labels, relative positions. No parameters."""

import jax
import jax.numpy as jnp
import numpy as np


def window_partition(x: jax.Array, window_size: int) -> jax.Array:
    """Splits feature maps into non-overlapping windows, in raster order.

    Follows `window_partition` of the official `models/network_swinir.py`, then flattens each window.

    Args:
      x: `[B, H, W, C]`; H and W are multiples of `window_size`.
      window_size: side M of a window, in feature-map pixels.

    Returns:
      `[B * nW, M * M, C]` tokens, where `nW = (H // M) * (W // M)`.

    Raises:
      ValueError: if H or W is not a multiple of `window_size`.
    """
    b, h, w, c = x.shape
    m = window_size
    if h % m or w % m:
        raise ValueError(f"H and W must be multiples of {window_size=}, got {h}x{w}.")
    x = x.reshape(b, h // m, m, w // m, m, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(-1, m * m, c)


def window_reverse(windows: jax.Array, window_size: int, height: int, width: int) -> jax.Array:
    """The inverse of `window_partition`.

    Args:
      windows: `[B * nW, M * M, C]`.
      window_size: side M of a window.
      height: H of the feature maps, a multiple of M.
      width: W of the feature maps, a multiple of M.

    Returns:
      `[B, H, W, C]`.
    """
    m, c = window_size, windows.shape[-1]
    x = windows.reshape(-1, height // m, width // m, m, m, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(-1, height, width, c)


def shift_labels(
    height: int, width: int, window_size: int, shift_size: int, image_height: int | None = None
) -> jax.Array:
    """Numbers the regions that cyclically shifted windows bring together.

    Two tokens of a window may see each other only where their labels are equal: the official `calculate_mask`
    says so by `-100` in an `[nW, M * M, M * M]` array, which for photographs would be larger than the image's
    features; the labels are smaller by a factor `M * M` and made once for all layers.

    Args:
      height: H of the feature maps, a multiple of `window_size`.
      width: W of the feature maps, a multiple of `window_size`.
      window_size: side M of a window.
      shift_size: by how many pixels the windows are shifted, below M.
      image_height: rows of the image, a multiple of `window_size`, where others below only fill up to H, which the
        image's must not see; None where there are none.

    Returns:
      `[nW, M * M]` int32 labels, 0 to 8 (to 11 where rows fill up).
    """

    def bands(side: int, end: int) -> jax.Array:
        position = jnp.arange(side)
        band = (position >= end - window_size).astype(jnp.int32) + (position >= end - shift_size)
        return band if end == side else band + (position >= side - shift_size)

    end = height if image_height is None else image_height
    labels = 3 * bands(height, end)[:, None] + bands(width, width)[None, :]
    return window_partition(labels[None, :, :, None], window_size)[..., 0]


def relative_position_index(window_size: int) -> np.ndarray:
    """Rows of the relative position bias table, for each pair of tokens of a window.

    Equal to the official buffer of this name.

    Args:
      window_size: side M of a window.

    Returns:
      `[M * M, M * M]` int64 indices into a table of `(2 M - 1) ** 2` rows.
    """
    m = window_size
    y, x = np.divmod(np.arange(m * m), m)
    return (y[:, None] - y[None, :] + m - 1) * (2 * m - 1) + x[:, None] - x[None, :] + m - 1
