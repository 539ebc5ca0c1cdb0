"""Tiny networks and noise, for tests of restorers."""

import numpy as np
from goldens import generated_weights

from swinir_jax import SwinIR
from swinir_jax.checkpoints.names import official_shapes, params_from_official


def network(config, seed=1):
    return SwinIR(config), params_from_official(generated_weights(official_shapes(config), seed), config)


def photo(*shape, dtype=np.uint8):
    values = np.random.default_rng(0).random(shape)
    return (values * np.iinfo(dtype).max).astype(dtype) if np.issubdtype(dtype, np.integer) else values.astype(dtype)
