"""Kernels for NVIDIA GPUs, written in Pallas and compiled by Triton.

The modules define what is computed, and run everywhere; `SwinIR(config, dtype, fused=True)` asks for these kernels.
"""

from swinir_jax.gpu.attention import TUNING, Tuning, is_supported, window_attention

__all__ = ["TUNING", "Tuning", "is_supported", "window_attention"]
