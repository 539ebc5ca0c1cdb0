"""Standard output."""

import contextlib
from collections.abc import Iterator

from swinir_jax.errors import UnwritableError


@contextlib.contextmanager
def writing_output() -> Iterator[None]:
    """Names standard output in the errors of a block that writes there.

    Raises:
      UnwritableError: if it cannot be written, as on a full disk.
      BrokenPipeError: if the reader has stopped, which `main` handles.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UnwritableError(f"standard output: cannot be written ({error.strerror}).") from error


def say(*lines: str) -> None:
    """Prints lines to standard output at once, with the errors of `writing_output`."""
    with writing_output():
        print(*lines, sep="\n", flush=True)
