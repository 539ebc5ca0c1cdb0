"""Paths as arguments."""

import argparse
from pathlib import Path


def named_path(text: str) -> Path:
    """Parses a path; raises argparse's error for an empty one, which would be the present folder."""
    if not text:
        raise argparse.ArgumentTypeError("the name is empty")
    return Path(text)
