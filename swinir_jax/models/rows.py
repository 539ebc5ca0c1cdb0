"""One image whose rows lie on several devices, inside `jax.shard_map`: what each needs of its neighbours.

Windows are a device's own. A convolution needs the rows next to them, shifted windows the first rows of the device
below: that is all that is sent.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jax import lax

from swinir_jax.models.convolution import convolve
from swinir_jax.models.windows import shift_labels


@dataclasses.dataclass(frozen=True)
class SplitRows:
    """Equal parts of an image's rows, one for each device along a mesh axis.

    Attributes:
      axis: name of the mesh axis.
      part: rows of one device at the network's input, a multiple of the window.
      height: rows of the image, a multiple of the window. The last parts may hold more, whatever these are: they have
        no influence on the image's.
    """

    axis: str
    part: int
    height: int

    def roll(self, x: jax.Array, shift: int) -> jax.Array:
        """`jnp.roll(x, shift, axis=1)` of the whole `[B, H, W, C]`, for this device's part; |shift| <= part."""
        devices = lax.axis_size(self.axis)
        step = 1 if shift > 0 else -1
        moved = x[:, -shift:] if shift > 0 else x[:, :-shift]
        moved = lax.ppermute(moved, self.axis, [(i, (i + step) % devices) for i in range(devices)])
        parts = [moved, x[:, :-shift]] if shift > 0 else [x[:, -shift:], moved]
        return jnp.concatenate(parts, axis=1)

    def shift_labels(self, width: int, window_size: int, shift_size: int) -> jax.Array:
        """`windows.shift_labels` of the whole, of which this is the device's part."""
        rows = self.part * lax.axis_size(self.axis)
        labels = shift_labels(rows, width, window_size, shift_size, image_height=self.height)
        count = self.part // window_size * (width // window_size)
        return lax.dynamic_slice_in_dim(labels, lax.axis_index(self.axis) * count, count)

    def convolve(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
        """`convolution.convolve` of the whole, for this device's part."""
        reach = kernel.shape[0] // 2
        return convolve(self._with_neighbours(x, reach), kernel)[:, reach:-reach] if reach else convolve(x, kernel)

    def _with_neighbours(self, x: jax.Array, reach: int) -> jax.Array:
        """`[B, H, W, C]` -> `[B, reach + H + reach, W, C]`; zeros beyond the image, as convolutions pad it."""
        devices, rows = lax.axis_size(self.axis), x.shape[1]
        if self.height < self.part * devices:
            row = lax.axis_index(self.axis) * rows + jnp.arange(rows)
            inside = row < self.height * (rows // self.part)
            x = jnp.where(inside[:, None, None], x, jnp.zeros((), x.dtype))
        down = [(i, i + 1) for i in range(devices - 1)]
        above = lax.ppermute(x[:, -reach:], self.axis, down)  # zeros where nobody sends
        below = lax.ppermute(x[:, :reach], self.axis, [(i, j) for j, i in down])
        return jnp.concatenate([above, x, below], axis=1)
