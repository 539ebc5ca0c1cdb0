"""Kernels for NVIDIA GPUs, written in Pallas and compiled by Triton.

The modules define what is computed, and run everywhere; `SwinIR(config, dtype, fused=True)` asks for these kernels.
JAX 0.11 calls this backend of Pallas deprecated, so nothing else imports this package: a JAX without the backend loses
the kernels alone.
"""

from swinir_jax.gpu.attention import TUNING, Tuning, is_supported, window_attention

__all__ = ["TUNING", "Tuning", "is_supported", "window_attention"]
