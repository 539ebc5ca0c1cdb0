"""The network as a pure function that is fast on a CPU: `restore(prepare(params, config), lq, config, dtype)`.

The same function as `models.SwinIR`, which says what is computed; here is said in which order and layout. Beside the
features of an image there are arrays of a few windows or rows alone, and what follows from the parameters is computed
once.
"""

from swinir_jax.cpu.network import restore
from swinir_jax.cpu.weights import Weights, prepare

__all__ = ["Weights", "prepare", "restore"]
