"""Windows of feature maps: partition, the mask of shifted windows, relative positions. No parameters."""

import jax
import jax.numpy as jnp
import numpy as np

MASKED = -100.0  # what a masked score has added; the official value, not -inf


def window_partition(x: jax.Array, window_size: int) -> jax.Array:
    """Splits feature maps into non-overlapping windows.

    Follows `window_partition` of the official `models/network_swinir.py`, and keeps images, rows and columns of windows
    apart. Each reshape cuts one axis, so that images or rows of them may lie on several devices.

    Args:
      x: `[B, H, W, C]`; H and W are multiples of `window_size`.
      window_size: side M of a window, in feature-map pixels.

    Returns:
      `[B, H / M, W / M, M * M, C]`: the tokens of each window, in raster order.

    Raises:
      ValueError: if H or W is not a multiple of `window_size`.
    """
    b, h, w, c = x.shape
    m = window_size
    if h % m or w % m:
        raise ValueError(f"H and W must be multiples of {window_size=}, got {h}x{w}.")
    x = x.reshape(b, h // m, m, w, c)
    x = x.reshape(b, h // m, m, w // m, m, c)
    return x.swapaxes(2, 3).reshape(b, h // m, w // m, m * m, c)


def window_reverse(windows: jax.Array, window_size: int) -> jax.Array:
    """The inverse of `window_partition`.

    Args:
      windows: `[B, H / M, W / M, M * M, C]`.
      window_size: side M of a window.

    Returns:
      `[B, H, W, C]`.
    """
    b, rows, columns, _, c = windows.shape
    m = window_size
    x = windows.reshape(b, rows, columns, m, m, c).swapaxes(2, 3)
    x = x.reshape(b, rows * m, columns, m, c)
    return x.reshape(b, rows * m, columns * m, c)


def shift_regions(height: int, width: int, window_size: int, shift_size: int) -> jax.Array:
    """Numbers the regions of an image that cyclically shifted windows bring together.

    Args:
      height: H of the feature maps, a multiple of `window_size`.
      width: W of the feature maps, a multiple of `window_size`.
      window_size: side M of a window.
      shift_size: by how many pixels the windows are shifted, below M.

    Returns:
      `[H / M, W / M, M * M]` int32, 0 to 8.
    """

    def parts(side: int) -> jax.Array:
        position = jnp.arange(side)
        return jnp.where(position < side - window_size, 0, jnp.where(position < side - shift_size, 1, 2))

    regions = 3 * parts(height)[:, None] + parts(width)[None, :]
    return window_partition(regions[None, :, :, None], window_size)[0, ..., 0]


def shift_mask(regions: jax.Array) -> jax.Array:
    """What attention adds to its scores, so that tokens of a window see those of their own region alone.

    Args:
      regions: `[..., N]`, as from `shift_regions`.

    Returns:
      `[..., N, N]` float32, 0 or -100; the official `calculate_mask`.
    """
    return jnp.where(regions[..., :, None] == regions[..., None, :], jnp.float32(0), jnp.float32(MASKED))


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
