"""Blind degradation: photographs blurred, resized, made noisy and compressed at random."""
