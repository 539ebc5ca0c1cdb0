"""`swinir-jax models`."""

import argparse

from swinir_jax.checkpoints.zoo import DEFAULT_MODEL, OFFICIAL, bundled_models, bundled_scores


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments: it has none."""


def run(args: argparse.Namespace) -> int:
    """Prints the bundled and the official models."""
    scores = bundled_scores()
    print("Bundled, ready to use:")
    for name in bundled_models():
        note = " (the default)" if name == DEFAULT_MODEL else ""
        print(f"  {name}{note}: {scores[name]['summary']}")
    print("Official, fetched when first used:")
    width = max(map(len, OFFICIAL))
    for model in OFFICIAL.values():
        print(f"  {model.name:{width}}  {model.task} {model.level}")
    return 0
