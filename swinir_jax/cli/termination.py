"""How a command ends early: by a signal or by an error."""

import contextlib
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

from swinir_jax.cli.exit_codes import HUNG_UP, TERMINATED
from swinir_jax.errors import printable

_SOON = 0.05  # seconds


class Terminated(KeyboardInterrupt):
    """SIGTERM, as schedulers send it; ends a command as Ctrl-C does: whole files or none, and a report."""

    name, exit_code = "SIGTERM", TERMINATED


class HungUp(Terminated):
    """SIGHUP, of a terminal that was closed."""

    name, exit_code = "SIGHUP", HUNG_UP


_RAISED = {getattr(signal, kind.name): kind for kind in (Terminated, HungUp) if hasattr(signal, kind.name)}


def hold_warning() -> None:
    """Holds back SIGUSR1, by which schedulers warn, until a training takes it; else it would kill a run that starts.

    Called before other threads start, which hold it back as well then.
    """
    if hasattr(signal, "SIGUSR1"):  # Windows lacks it
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])


@contextlib.contextmanager
def raising_signals() -> Iterator[None]:
    """Raises Terminated at SIGTERM and HungUp at SIGHUP in the block, unless something handles or ignores the signal.

    Python discards what a signal raises inside a callback of the garbage collector, of which JAX has one. Then the
    signal is sent again, also for Ctrl-C. Does nothing outside of the main thread, which alone receives signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handled = [number for number in _RAISED if signal.getsignal(number) == signal.SIG_DFL]
    for number in handled:
        signal.signal(number, _end)
    report = sys.unraisablehook

    def send_again(discarded: "sys.UnraisableHookArgs") -> None:
        if not isinstance(discarded.exc_value, KeyboardInterrupt):
            report(discarded)
            return
        number = next((number for number, kind in _RAISED.items() if discarded.exc_type is kind), signal.SIGINT)
        timer = threading.Timer(_SOON, os.kill, (os.getpid(), number))
        timer.daemon = True
        timer.start()

    sys.unraisablehook = send_again
    try:
        yield
    finally:
        sys.unraisablehook = report
        for number in handled:
            signal.signal(number, signal.SIG_DFL)


def _end(number: int, frame: FrameType | None) -> None:
    raise _RAISED[number]


def describe_refusal(error: Exception) -> str:
    """Returns a line on the variable of the environment that makes JAX raise an error; empty for other errors.

    JAX reads its variables when it is imported.
    """
    names = [name.upper() for name in re.findall(r"\bjax_\w+", str(error), re.IGNORECASE)]
    if re.search("Disallowed .*transfer", str(error)):
        names += [name for name in os.environ if name.startswith("JAX_TRANSFER_GUARD")]
    name = next((name for name in names if name in os.environ), None)
    return f"{name}={printable(os.environ[name])}: JAX cannot work with this value; unset the variable." if name else ""


def describe_end(error: BaseException) -> str:
    """Returns what ended a command early, in a line."""
    if isinstance(error, KeyboardInterrupt):
        return f"{f'ended by {error.name}' if isinstance(error, Terminated) else 'interrupted'} {error}".rstrip()
    if isinstance(error, MemoryError):
        return "not enough memory."
    return printable(str(error) or type(error).__name__)
