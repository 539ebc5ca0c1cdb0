"""Trace of a few steps by JAX's profiler."""

from pathlib import Path
from typing import Any

import jax

_WARM_UP = 3  # first steps, which compile and fill queues


class Profiler:
    """Profiler that traces `count` steps after the first few steps of this process; none if `count` is 0.

    Close it before anything that runs in threads, because the trace covers all threads.
    """

    def __init__(self, folder: Path, start: int, count: int):
        self._folder, self._first, self._last = folder, start + _WARM_UP + 1, start + _WARM_UP + count
        self._running = False

    def before(self, step: int, running: Any) -> None:
        """Starts the trace before the first step of it, when `running` is computed."""
        if step == self._first <= self._last:
            jax.block_until_ready(running)
            options = jax.profiler.ProfileOptions()
            options.python_tracer_level = 0  # the Python tracer may crash when the threads of the data end
            jax.profiler.start_trace(str(self._folder), profiler_options=options)
            self._running = True

    def after(self, step: int, running: Any) -> None:
        """Ends the trace after the last step of it, when `running` is computed."""
        if self._running and step == self._last:
            jax.block_until_ready(running)
            self.close()

    def close(self) -> None:
        """Writes the trace, which has fewer steps if the run ends early."""
        if self._running:
            self._running = False  # before writing, which is not tried again after an error
            jax.profiler.stop_trace()
