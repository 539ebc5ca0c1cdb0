"""How a command ends early: by SIGTERM, as schedulers do it, by Ctrl-C or an error."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from swinir_jax.errors import printable


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a command as Ctrl-C does: whole files or none, and a report of what is finished."""


@contextlib.contextmanager
def raising_terminated() -> Iterator[None]:
    """Raises Terminated at SIGTERM in the block, unless something else handles or ignores the signal.

    Does nothing outside of the main thread, which alone receives signals.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _end(number: int, frame: FrameType | None) -> None:
    raise Terminated


def describe_end(error: BaseException) -> str:
    """Returns what ended a command early, in a line."""
    if isinstance(error, KeyboardInterrupt):
        return f"{'ended by SIGTERM' if isinstance(error, Terminated) else 'interrupted'} {error}".rstrip()
    return printable(str(error) or type(error).__name__)
