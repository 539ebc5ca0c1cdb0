"""Being asked to stop: by Ctrl-C, by a scheduler's signal, by a terminal that closes; on one host or on many."""

import os
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any

import jax
from jax.experimental import multihost_utils

# All that ask a run to end; not every system has each. SIGUSR1 is what SLURM is usually told to send before the end.
_NAMES = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP")


class Interruption:
    """While open, SIGTERM, SIGUSR1, SIGHUP and the first Ctrl-C only ask the run to save and end.

    A second Ctrl-C ends it at once. A SIGHUP that is ignored already, as `nohup` has it, stays so.

    Attributes:
      received: the signal, or None.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._old: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interruption":
        """Starts listening, if this is the main thread; no other gets signals."""
        if threading.current_thread() is threading.main_thread():
            self._old = {number: signal.signal(number, self._receive) for number in _signals()}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def reached(self, step: int) -> bool:
        """Whether to save and end after this step; all processes ask at each step, and get the same answer."""
        if jax.process_count() > 1:
            return multihost_utils.reached_preemption_sync_point(step)
        return self.received is not None

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received == number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.received != signal.SIGINT:
            self.received = signal.Signals(number)
        if number == signal.SIGINT:  # not by logging: its locks and buffers may be in use just now
            os.write(sys.stderr.fileno(), b"\nSaving after this step; Ctrl-C again ends at once.\n")
        if jax.process_count() > 1:
            os.kill(os.getpid(), signal.SIGTERM)  # which is how JAX learns of it, and tells the others


def _signals() -> list[signal.Signals]:
    """What to listen to in this process."""
    present = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    if jax.process_count() > 1:  # JAX itself listens to SIGTERM, so that all end at the same step
        present.remove(signal.SIGTERM)
    return [number for number in present if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN]
