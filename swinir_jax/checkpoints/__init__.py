"""Weights: reading, converting, storing, finding."""
