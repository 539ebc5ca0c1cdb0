"""Degradations and training data; knows no model."""
