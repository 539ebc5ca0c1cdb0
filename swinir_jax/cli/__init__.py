"""The `swinir-jax` command: options, messages and exit codes of the functions in the other packages."""
