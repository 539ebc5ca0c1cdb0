"""Degradations and training data, independent of the models."""
