"""How many windows a platform takes through a layer at a time, and with which attention: the one place that decides."""

import functools
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from swinir_jax.models.attention import ATTENDED, attention, attention_on_cpu
from swinir_jax.models.loops import with_derivative_of
from swinir_jax.models.windows import window_partition, window_reverse

# A CPU takes so many windows at a time through a whole layer that their tokens, scores and hidden features stay in the
# cache of a core; all at once they would go through memory, which takes several times as long and as much of it.
_CPU_WINDOWS = 24

# (variables, tokens, labels, gains) -> tokens, with one entry a window: tokens `[windows, M * M, C]`, labels
# `[windows, M * M]` or None, gains `[windows, 2]` or None. It treats each window by itself and closes over no array.
Layer = Callable[..., jax.Array]

# (variables, x, labels, gains) -> x: images `[B, H, W, C]`, H and W multiples of the window; labels `[nW, M * M]`,
# regions of an image's shifted windows (see `shift_labels`), or None for W-MSA; gains `[B, 2]`, factors on the layer's
# two branches, or None for 1.
OnImages = Callable[..., jax.Array]


def over_windows(layer: Callable[..., jax.Array], window_size: int, shift: tuple[int, int]) -> OnImages:
    """A layer on all windows of images, as suits the platform.

    Args:
      layer: a `Layer`, but for its first argument, which is how attention is computed.
      window_size: side M of a window.
      shift: rows and columns by which the windows are shifted.
    """
    grouped = functools.partial(in_groups, functools.partial(layer, attention_on_cpu))
    return functools.partial(
        lax.platform_dependent,
        # Bands save an image's time and memory, and cost a training step 3 %.
        cpu=with_derivative_of(at_once(grouped, window_size, shift), in_bands(grouped, window_size, shift)),
        default=at_once(functools.partial(layer, attention), window_size, shift),
    )


def at_once(layer: Layer, window_size: int, shift: tuple[int, int]) -> OnImages:
    """`layer` on the windows of the whole images."""

    def run(variables: Any, x: jax.Array, labels: jax.Array | None, gains: jax.Array | None) -> jax.Array:
        batch, h, w, _ = x.shape
        tokens = window_partition(_roll(x, shift, -1), window_size)
        if labels is not None:
            labels = jnp.tile(labels, (batch, 1))
        if gains is not None:
            gains = jnp.repeat(gains, tokens.shape[0] // batch, axis=0)
        return _roll(window_reverse(layer(variables, tokens, labels, gains), window_size, h, w), shift, 1)

    return run


def in_bands(layer: Layer, window_size: int, shift: tuple[int, int]) -> OnImages:
    """As `at_once`, a few rows of windows at a time, each written over what it was computed from.

    So nothing as large as the image is copied, neither to shift windows nor to make tokens of them.
    """
    m, (down, right) = window_size, shift
    on_band = at_once(layer, m, (0, right))

    def run(variables: Any, x: jax.Array, labels: jax.Array | None, gains: jax.Array | None) -> jax.Array:
        _, h, w, _ = x.shape
        rows_of_windows = _rows_of_windows(x, m)
        if rows_of_windows == h // m:
            return at_once(layer, m, shift)(variables, x, labels, gains)
        rows, windows = rows_of_windows * m, rows_of_windows * (w // m)

        def step(i: jax.Array, x: jax.Array) -> jax.Array:
            # The last band of shifted windows ends in the first rows.
            parts = [(i * rows + down, rows - down), ((i + 1) * rows % h, down)]
            band = jnp.concatenate([lax.dynamic_slice_in_dim(x, *part, axis=1) for part in parts], axis=1)
            its = None if labels is None else lax.dynamic_slice_in_dim(labels, i * windows, windows)
            band = on_band(variables, band, its, gains)
            for (first, _), part in zip(parts, jnp.split(band, [rows - down], axis=1), strict=True):
                x = lax.dynamic_update_slice_in_dim(x, part, first, axis=1)
            return x

        return lax.fori_loop(0, h // rows, step, x)

    return run


def _rows_of_windows(x: jax.Array, window_size: int) -> int:
    """Of a band: about as many as are a group of windows; all where no such number divides them or none is known."""
    batch, h, w, _ = x.shape
    if any(map(jax.export.is_symbolic_dim, (batch, h, w))):
        return h // window_size
    most = max(1, _CPU_WINDOWS // (batch * (w // window_size)))
    return next((n for n in range(most, most // 2, -1) if h // window_size % n == 0), h // window_size)


def _roll(x: jax.Array, shift: tuple[int, int], sign: int) -> jax.Array:
    return jnp.roll(x, (sign * shift[0], sign * shift[1]), axis=(1, 2)) if any(shift) else x


def in_groups(layer: Layer, variables: Any, *per_window: jax.Array | None) -> jax.Array:
    """`layer(variables, *per_window)` by groups of windows."""
    windows = jax.tree.leaves(per_window)[0].shape[0]
    if jax.export.is_symbolic_dim(windows):  # of any size: groups that are filled up
        fill = (windows + _CPU_WINDOWS - 1) // _CPU_WINDOWS * _CPU_WINDOWS - windows
        filled = jax.tree.map(lambda x: jnp.pad(x, [(0, fill), *[(0, 0)] * (x.ndim - 1)]), per_window)
        return _equal_groups(layer, _CPU_WINDOWS, variables, filled)[:windows]
    if windows <= _CPU_WINDOWS:
        return _recomputed(layer)(variables, *per_window)
    # Equal groups where the number of windows allows, else nearly: what remains is one more program.
    fair = -(-windows // -(-windows // _CPU_WINDOWS))
    size = next((n for n in range(_CPU_WINDOWS, _CPU_WINDOWS // 2, -1) if windows % n == 0), fair)
    whole = windows // size * size
    first, rest = (jax.tree.map(operator.itemgetter(part), per_window) for part in (slice(whole), slice(whole, None)))
    y = _equal_groups(layer, size, variables, first)
    return y if whole == windows else jnp.concatenate([y, _recomputed(layer)(variables, *rest)])


def _equal_groups(layer: Layer, size: int, variables: Any, per_window: Any) -> jax.Array:
    groups = jax.tree.map(lambda x: x.reshape(-1, size, *x.shape[1:]), per_window)
    y = lax.map(lambda group: _recomputed(layer)(variables, *group), groups)
    return y.reshape(-1, *y.shape[2:])


def _recomputed(layer: Layer) -> Layer:
    """As `layer`; a backward pass computes it again but for attention's result."""
    return jax.checkpoint(layer, policy=jax.checkpoint_policies.save_only_these_names(ATTENDED))
