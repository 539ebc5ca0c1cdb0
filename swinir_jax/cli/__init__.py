"""The `swinir-jax` command: argument parsing and what is printed; the work is done elsewhere."""
