"""Windows of feature maps: partition, shift and its mask, relative positions."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

MASKED = -100.0  # added to masked scores; the official value, not -inf


def window_partition(x: jax.Array, window_size: int) -> jax.Array:
    """Splits feature maps into non-overlapping windows.

    As `window_partition` of the official `models/network_swinir.py`, except that images, rows and columns of windows
    stay separate axes. Each reshape cuts one axis, so that images or their rows may lie on several devices.

    Args:
      x: `[B, H, W, C]`; H and W are multiples of `window_size`.
      window_size: side M of a window, in feature-map pixels.

    Returns:
      `[B, H / M, W / M, M * M, C]`: windows and the tokens of each window in raster order.

    Raises:
      ValueError: if H or W is not a multiple of `window_size`.
    """
    b, h, w, c = x.shape
    m = window_size
    if h % m or w % m:
        raise ValueError(f"H and W must be multiples of {window_size=}, got {h}x{w}.")
    x = x.reshape(b, h // m, m, w, c)
    x = x.reshape(b, h // m, m, w // m, m, c).swapaxes(2, 3)  # [B, H / M, W / M, M, M, C]
    return x.reshape(b, h // m, w // m, m * m, c)


def window_reverse(windows: jax.Array, window_size: int) -> jax.Array:
    """Joins windows into feature maps, the inverse of `window_partition`.

    Args:
      windows: `[B, H / M, W / M, M * M, C]`.
      window_size: side M of a window.

    Returns:
      `[B, H, W, C]`.
    """
    b, rows, columns, _, c = windows.shape
    m = window_size
    x = windows.reshape(b, rows, columns, m, m, c).swapaxes(2, 3)  # [B, H / M, M, W / M, M, C]
    x = x.reshape(b, rows * m, columns, m, c)
    return x.reshape(b, rows * m, columns * m, c)


def roll(x: jax.Array, shift: int) -> jax.Array:
    """Moves the pixels of feature maps down and to the right, and those that leave to the other end.

    Args:
      x: `[B, H, W, C]`.
      shift: shift in pixels, below H and W; negative for up and to the left.

    Returns:
      `[B, H, W, C]`.
    """
    if shift == 0:
        return x
    move = functools.partial(jnp.roll, shift=(shift, shift), axis=(1, 2))
    sharding = jax.typeof(x).sharding
    if any(sharding.spec[1:3]):  # axes of an explicit mesh, which would have to divide each slice, too
        move = jax.sharding.auto_axes(move, out_sharding=sharding)
    return move(x)


def in_windows(
    f: Callable[[jax.Array, jax.Array | None], jax.Array], x: jax.Array, window_size: int, shift: int
) -> jax.Array:
    """Applies a function to the tokens of windows, which may be shifted.

    Args:
      f: `(tokens [B, H / M, W / M, M * M, C], regions) -> tokens`; `regions` of `shift_regions`, or None: no shift.
      x: `[B, H, W, C]`; H and W are multiples of `window_size`.
      window_size: side M of a window, in feature-map pixels.
      shift: shift of the windows in pixels, below M.

    Returns:
      `[B, H, W, C]`.
    """
    _, h, w, _ = x.shape
    regions = shift_regions(h, w, window_size, shift) if shift else None
    windows = f(window_partition(roll(x, -shift), window_size), regions)
    return roll(window_reverse(windows, window_size), shift)


def shift_regions(height: int, width: int, window_size: int, shift_size: int) -> jax.Array:
    """Numbers the regions of a feature map that a cyclic shift brings together in one window.

    Args:
      height: H of the feature map, a multiple of `window_size`.
      width: W of the feature map, a multiple of `window_size`.
      window_size: side M of a window.
      shift_size: shift of the windows in pixels, below M.

    Returns:
      `[H / M, W / M, M * M]` int32: the region of each token, 0 to 8.
    """

    def bands(side: int) -> jax.Array:
        # 0 where no window is cut; 1 and 2 in the last window, before and after the cut.
        position = jnp.arange(side)
        return jnp.where(position < side - window_size, 0, jnp.where(position < side - shift_size, 1, 2))

    regions = 3 * bands(height)[:, None] + bands(width)[None, :]  # [H, W]
    return window_partition(regions[None, :, :, None], window_size)[0, ..., 0]


def shift_mask(regions: jax.Array) -> jax.Array:
    """Returns the mask added to attention scores: a token attends only to tokens of its own region.

    Args:
      regions: `[..., N]` from `shift_regions`.

    Returns:
      `[..., N, N]` float32, 0 or -100, as the official `calculate_mask`.
    """
    return jnp.where(regions[..., :, None] == regions[..., None, :], jnp.float32(0), jnp.float32(MASKED))


def relative_position_index(window_size: int) -> np.ndarray:
    """Returns the row of the relative position bias table for each pair of tokens of a window.

    The result equals the official buffer of this name.

    Args:
      window_size: side M of a window.

    Returns:
      `[M * M, M * M]` int64 indices into a table of `(2 M - 1) ** 2` rows.
    """
    m = window_size
    y, x = np.divmod(np.arange(m * m), m)
    return (y[:, None] - y[None, :] + m - 1) * (2 * m - 1) + x[:, None] - x[None, :] + m - 1


def relative_coordinates(window_size: int) -> np.ndarray:
    """Returns the relative positions of two tokens of a window, on a logarithmic scale, for Swin Transformer V2.

    The result equals the official buffer `relative_coords_table` of Swin2SR, in the rows of `relative_position_index`.

    Args:
      window_size: side M of a window.

    Returns:
      `[(2 M - 1) ** 2, 2]` float32 (row, column): `sign(d) log2(1 + 8 |d|) / 3` for a distance d of -1 to 1 windows.
    """
    distance = np.arange(1 - window_size, window_size, dtype=np.float32) / np.float32(max(window_size - 1, 1))
    scaled = np.sign(distance) * np.log2(np.abs(distance * 8) + 1) / np.float32(np.log2(8))
    return np.stack(np.meshgrid(scaled, scaled, indexing="ij"), axis=-1).reshape(-1, 2)
