"""Kernels for NVIDIA GPUs, written in Pallas and compiled by Triton.

The modules define what is computed, and run everywhere. JAX 0.11 calls this backend of Pallas deprecated, so only
`gpu/attention.py` imports it, where `runs_on` allows: a JAX without the backend loses the kernels alone.
"""

import importlib

import jax

_LEAST_CAPABILITY = 8  # Ampere; Triton has no bfloat16 for older GPUs


def runs_on(device: jax.Device) -> bool:
    """Says whether this JAX can compile the kernels for a device.

    The compiler cannot divide a kernel: a program for several devices takes `divided_attention`, or none.
    """
    capability = getattr(device, "compute_capability", "").partition(".")[0]  # "9.0"; on AMD's GPUs "gfx942"
    if device.platform != "gpu" or not capability.isdecimal() or int(capability) < _LEAST_CAPABILITY:
        return False
    try:
        importlib.import_module("swinir_jax.gpu.attention")
    except ImportError:
        return False
    return True
