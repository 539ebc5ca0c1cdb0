"""`python -m swinir_jax COMMAND ...`, which is `swinir-jax COMMAND ...`."""

import sys

from swinir_jax.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
