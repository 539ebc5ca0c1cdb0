"""Windows of feature maps in ONNX, as `swinir_jax.models.windows`; windows lie on one axis here."""

from collections.abc import Callable

import numpy as np

from swinir_jax.models.windows import MASKED
from swinir_jax.onnx.graph import FLOAT, Tensor, arange

_END = np.iinfo(np.int64).max  # end of a slice that goes on to the last entry


def window_partition(x: Tensor, width: Tensor, window_size: int, channels: int) -> Tensor:
    """`[1, H, W, C]` -> `[nW, M * M, C]`, windows and the tokens of each window in raster order."""
    m = window_size
    x = x.reshape(-1, m, width // m, m, channels).transpose(0, 2, 1, 3, 4)  # [H / M, W / M, M, M, C]
    return x.reshape(-1, m * m, channels)


def window_reverse(windows: Tensor, width: Tensor, window_size: int, channels: int) -> Tensor:
    """`[nW, M * M, C]` -> `[1, H, W, C]`, the inverse of `window_partition`."""
    m = window_size
    x = windows.reshape(-1, width // m, m, m, channels).transpose(0, 2, 1, 3, 4)  # [H / M, M, W / M, M, C]
    return x.reshape(1, -1, width, channels)


def roll(x: Tensor, shift: int) -> Tensor:
    """Moves the pixels of `[1, H, W, C]` down and to the right, and those that leave to the other end."""
    if shift == 0:
        return x
    for axis in (1, 2):  # a negative start counts from the end
        x = x.graph.apply("Concat", x.cut((axis,), -shift, _END), x.cut((axis,), 0, -shift), axis=axis)
    return x


def in_windows(
    f: Callable[[Tensor, Tensor | None], Tensor],
    x: Tensor,
    size: tuple[Tensor, Tensor],
    window_size: int,
    shift: int,
    channels: int,
) -> Tensor:
    """Applies a function to the tokens of windows, which may be shifted.

    Args:
      f: `(tokens [nW, M * M, C], mask) -> tokens`; `mask` is that of `shift_mask`, or None without shift.
      x: `[1, H, W, C]`.
      size: (H, W), multiples of `window_size`.
      window_size: side M of a window.
      shift: shift of the windows in pixels, below M.
      channels: C.

    Returns:
      `[1, H, W, C]`.
    """
    height, width = size
    windows = window_partition(roll(x, -shift), width, window_size, channels)
    mask = shift_mask(shift_regions(height, width, window_size, shift)) if shift else None
    return roll(window_reverse(f(windows, mask), width, window_size, channels), shift)


def shift_regions(height: Tensor, width: Tensor, window_size: int, shift_size: int) -> Tensor:
    """Numbers the regions that a cyclic shift brings together in one window: `[nW, M * M]` float32, 0 to 8."""
    m = window_size

    def bands(side: Tensor) -> Tensor:
        # 0 where no window is cut; 1 and 2 in the last window, before and after the cut.
        in_last_window, behind_cut = (
            side.graph.apply("GreaterOrEqual", arange(side), side - size) for size in (m, shift_size)
        )
        return _float(in_last_window) + _float(behind_cut)

    regions = bands(height).reshape(-1, 1, m, 1) * 3.0 + bands(width).reshape(1, -1, 1, m)  # [H / M, W / M, M, M]
    return regions.reshape(-1, m * m)


def shift_mask(regions: Tensor) -> Tensor:
    """Returns the mask added to attention scores, `[nW, 1, N, N]`: a token attends only to tokens of its own region."""
    graph = regions.graph
    queries = graph.apply("Unsqueeze", regions, np.asarray([1, 3]))
    keys = graph.apply("Unsqueeze", regions, np.asarray([1, 2]))
    return graph.apply("Where", graph.apply("Equal", queries, keys), 0.0, MASKED)


def _float(x: Tensor) -> Tensor:
    return x.graph.apply("Cast", x, to=FLOAT)
