"""The error function, with a derivative that every supported JAX takes everywhere."""

import math

import jax
import jax.numpy as jnp
from jax import lax

# By `exp` alone: JAX 0.12 differentiates `lax.erf` by a primitive that `shard_map` refuses, in twenty operations more.
erf = jax.custom_jvp(lax.erf)
erf.defjvps(lambda x_dot, _, x: x_dot * (2 / math.sqrt(math.pi)) * jnp.exp(-x * x))
