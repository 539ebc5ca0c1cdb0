"""Measures models by the paper's protocol."""
