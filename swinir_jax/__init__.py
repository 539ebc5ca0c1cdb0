"""SwinIR image restoration in JAX and Flax.

`load_pretrained` gives a model and its weights, `Restorer` restores photographs with them.
"""

from swinir_jax.checkpoints.pretrained import load_pretrained
from swinir_jax.config import SwinIRConfig
from swinir_jax.errors import InputError
from swinir_jax.inference.restorer import Restorer
from swinir_jax.models import SwinIR

__version__ = "0.1.0"

__all__ = ["InputError", "Restorer", "SwinIR", "SwinIRConfig", "load_pretrained"]
