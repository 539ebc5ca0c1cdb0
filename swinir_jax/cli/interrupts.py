"""Ctrl-C and SIGTERM while a network runs, which Python notices only after the tile."""

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator

from swinir_jax.cli.exit_codes import INTERRUPTED

logger = logging.getLogger(__name__)

_PATIENCE = 0.3  # seconds in which a command that does not run a network has stopped


@contextlib.contextmanager
def answering_interrupts() -> Iterator[None]:
    """Answers Ctrl-C and SIGTERM at once in the block; a second Ctrl-C ends the process without waiting for the tile.

    Does nothing outside of the main thread, which alone receives signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    ended = threading.Event()

    def answer() -> None:
        is_stopping = False
        while number := receiver.recv(1):
            if number[0] == signal.SIGTERM and not ended.wait(_PATIENCE):
                logger.warning("SIGTERM: stopping after this tile")
            if number[0] != signal.SIGINT:
                continue
            if is_stopping:
                with contextlib.suppress(OSError):  # a full or closed standard error does not hold the process
                    print("\nswinir-jax: interrupted at once", file=sys.stderr, flush=True)
                os._exit(INTERRUPTED)
            is_stopping = True
            if not ended.wait(_PATIENCE):
                logger.warning("stopping after this tile; Ctrl-C again stops at once")

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    old = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(old)
        ended.set()
        sender.close()  # ends the thread
        thread.join()
        receiver.close()
