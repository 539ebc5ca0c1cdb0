"""Tiny networks, noise and the end of a process, for tests of restorers."""

import functools

import numpy as np
from goldens import params_of

from swinir_jax import SwinIR, SwinIRConfig
from swinir_jax.images import Picture, write_picture


def network(config, seed=1):
    return SwinIR(config), params_of(config, seed)


@functools.cache
def one_layer(scale, channels=3, seed=1, window=8):
    """Returns a network of one layer that enlarges by a scale."""
    upsampler = "pixelshuffledirect" if scale > 1 else ""
    sizes = {"embed_dim": 4, "depths": (1,), "num_heads": (1,), "img_size": 2 * window, "window_size": window}
    return network(SwinIRConfig(upscale=scale, in_chans=channels, upsampler=upsampler, **sizes), seed)


def photo(*shape, dtype=np.uint8):
    values = np.random.default_rng(0).random(shape)
    return (values * np.iinfo(dtype).max).astype(dtype) if np.issubdtype(dtype, np.integer) else values.astype(dtype)


def write_photo(path, *shape, dtype=np.uint8, **fields):
    """Writes noise of the whole range, and other fields of its Picture; returns the path."""
    values = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    write_picture(path, Picture(values, **fields))
    return path


class KilledError(Exception):
    """What the fixture `killed_after_a_group` raises."""
