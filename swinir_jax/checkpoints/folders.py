"""What tells the folder of a model from others; imports neither JAX nor Orbax."""

from pathlib import Path

CONFIG_FILE = "config.json"
PARAMS_FOLDER = "params"
FAITHFUL, STRONG = "faithful.safetensors", "strong.safetensors"
"""The ends of a model with two ends."""


def is_model(folder: Path) -> bool:
    """Returns whether a folder was written by `store.save_model`, even if a part of it is missing now."""
    return (folder / CONFIG_FILE).exists() or (folder / PARAMS_FOLDER).is_dir()


def is_two_ended(folder: Path) -> bool:
    """Returns whether a folder was written by `ends.save_ends`, even if a part of it is missing now."""
    return (folder / CONFIG_FILE).is_file() and any((folder / name).exists() for name in (FAITHFUL, STRONG))
