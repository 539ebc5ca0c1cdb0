"""The error function, with a derivative that works everywhere in every supported JAX."""

import math

import jax
import jax.numpy as jnp
from jax import lax

# The derivative uses only `exp`: JAX 0.12 differentiates `lax.erf` by a primitive that `shard_map` refuses, and in
# twenty more operations.
erf = jax.custom_jvp(lax.erf)
erf.defjvps(lambda x_dot, _, x: x_dot * (2 / math.sqrt(math.pi)) * jnp.exp(-x * x))
