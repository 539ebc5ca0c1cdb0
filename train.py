"""Trains a network: `python train.py EXPERIMENT --workdir DIR --data.hq folder:DIR`."""

import sys

from swinir_jax.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
