"""Weights: finding, reading, converting and storing them."""
