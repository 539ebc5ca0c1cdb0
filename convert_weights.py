"""Converts official SwinIR weights into a model folder, and back: `python convert_weights.py SOURCE TARGET`."""

import sys

from swinir_jax.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["convert", *sys.argv[1:]]))
