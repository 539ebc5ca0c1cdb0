"""SwinIR as a pure function that is fast on a CPU: `restore(prepare(params, config), lq, config, dtype)`.

Equal to `models.SwinIR` up to rounding. The modules define what is computed, this package the order and the layout that
suit a CPU: what follows from the parameters is computed once, and features are processed by a few windows or rows at a
time, so that temporary arrays stay small.
"""

from swinir_jax.cpu.convolution import convolve_padded
from swinir_jax.cpu.network import restore
from swinir_jax.cpu.weights import Weights, prepare

__all__ = ["Weights", "convolve_padded", "prepare", "restore"]
