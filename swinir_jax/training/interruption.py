"""Interruption of a run by Ctrl-C, by a scheduler's signal or by a closing terminal, on one or several hosts."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

import jax
from jax.experimental import multihost_utils

from swinir_jax.files import ENDING_SIGNALS

# Signals that ask a run to save and end; SIGUSR1, which Windows lacks, is what SLURM jobs usually request.
_SIGNALS = [*ENDING_SIGNALS, *([signal.SIGUSR1] if hasattr(signal, "SIGUSR1") else [])]


class Interruption:
    """Context in which SIGTERM, SIGUSR1, SIGHUP and the first Ctrl-C ask the run to save and end.

    A second Ctrl-C ends the run at once. An ignored SIGHUP, as under `nohup`, stays ignored.

    Attributes:
      received: signal received; None before.
    """

    def __init__(self, pace: Callable[[], str]) -> None:
        """Takes a function that tells how long the present step has been running, for the answer to Ctrl-C."""
        self._pace = pace
        self.received: signal.Signals | None = None
        self._old: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interruption":
        """Installs the handlers in the main thread, and takes a SIGUSR1 that the command has held back.

        Other threads receive no signals.
        """
        if threading.current_thread() is threading.main_thread():
            self._old = {number: signal.signal(number, self._receive) for number in _signals()}
            if hasattr(signal, "SIGUSR1"):
                signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def reached(self, step: int) -> bool:
        """Tells whether to save and end after a step; all processes must ask at each step, and get the same answer."""
        if jax.process_count() > 1:
            return multihost_utils.reached_preemption_sync_point(step)
        return self.received is not None

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received == number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.received != signal.SIGINT:
            self.received = signal.Signals(number)
        if number == signal.SIGINT:  # without logging, whose locks may be held by the interrupted code
            wait = f"Saving after this step, {self._pace()}. Two trial steps then check the weights."
            with contextlib.suppress(AttributeError, OSError):  # a notebook's or a closed stream has no descriptor
                os.write(sys.stderr.fileno(), f"\n{wait} Ctrl-C again ends at once.\n".encode())
        if jax.process_count() > 1:
            os.kill(os.getpid(), signal.SIGTERM)  # JAX listens to SIGTERM and informs the other processes


def _signals() -> list[signal.Signals]:
    """Returns the signals to handle in this process."""
    present = _SIGNALS.copy()
    if jax.process_count() > 1:  # JAX handles SIGTERM, so that all processes end at the same step
        present.remove(signal.SIGTERM)
    return [number for number in present if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN]
