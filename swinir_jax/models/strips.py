"""Images by strips of rows: convolutions of a whole photograph would need several times its features beside them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

# Of a strip, unless an image is so wide that a strip would be mostly the rows that it shares with others.
_LEAST_ROWS = 16


def in_strips(f: Callable[[Any], jax.Array], x: Any, reach: int, pixels: int) -> jax.Array:
    """`f(x)` a strip of rows at a time, if the image is larger than a strip; as large ones are on CPUs.

    Each strip is cut out with the rows that `f` reaches; at the image's border it ends there, so that what `f` does
    there, such as padding, it does there alone.

    Args:
      f: `x -> [B, H * scale, W', C']`, convolutions and what treats each pixel by itself.
      x: arrays `[B, H, W, C]`, each of its own C.
      reach: rows above and below a row of `x` that its results depend on, at most.
      pixels: of `x` in a strip, about.

    Returns:
      `f(x)`.
    """
    _, h, w, _ = jax.tree.leaves(x)[0].shape
    if jax.export.is_symbolic_dim(h) or jax.export.is_symbolic_dim(w):
        return f(x)
    rows = max(_LEAST_ROWS, pixels // w)
    size = rows + 2 * reach
    if h <= size:
        return f(x)

    def strip(first: jax.Array | int) -> jax.Array:
        return f(jax.tree.map(lambda a: lax.dynamic_slice_in_dim(a, first, size, axis=1), x))

    restored = jax.eval_shape(lambda: strip(0))
    scale = restored.shape[1] // size

    def step(i: jax.Array, y: jax.Array) -> jax.Array:
        first = jnp.minimum(i * rows, h - rows)  # the last strip shares rows with the one before
        cut = jnp.clip(first - reach, 0, h - size)
        its = lax.dynamic_slice_in_dim(strip(cut), (first - cut) * scale, rows * scale, axis=1)
        return lax.dynamic_update_slice_in_dim(y, its, first * scale, axis=1)

    # All of it is overwritten. Zeros, which depend on nothing, XLA would make for all loops of a network up front.
    any_value = lax.stop_gradient(jax.tree.leaves(x)[0].ravel()[0]).astype(restored.dtype)
    y = jnp.full((restored.shape[0], h * scale, *restored.shape[2:]), any_value)
    return lax.fori_loop(0, -(-h // rows), step, y)
