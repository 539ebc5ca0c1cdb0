"""The network: Flax linen modules and pure functions, arrays in, arrays out."""

from swinir_jax.models.swinir import SwinIR

__all__ = ["SwinIR"]
