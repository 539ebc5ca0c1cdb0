"""Lines on standard output."""

from swinir_jax.errors import UnwritableError


def say(*lines: str) -> None:
    """Prints lines to standard output at once.

    Raises:
      UnwritableError: if they cannot be written, as on a full disk.
      BrokenPipeError: if the reader has stopped, which `main` handles.
    """
    try:
        print(*lines, sep="\n", flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise output_full(error) from error


def output_full(error: OSError) -> UnwritableError:
    """Returns the error for standard output that cannot be written."""
    return UnwritableError(f"standard output: cannot be written ({error.strerror}).")
