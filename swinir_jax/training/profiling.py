"""A trace of a few steps by JAX's profiler."""

from pathlib import Path
from typing import Any

import jax

_WARM_UP = 3  # steps that are not like the others: they compile and fill queues


class Profiler:
    """Traces `count` steps after the first few of this process; none if `count` is 0.

    To be closed before anything that runs in threads: the trace is of all of them.
    """

    def __init__(self, folder: Path, start: int, count: int):
        self._folder, self._first, self._last = folder, start + _WARM_UP + 1, start + _WARM_UP + count
        self._running = False

    def before(self, step: int, running: Any) -> None:
        """Starts before the first step to be traced; `running` is what the devices still compute."""
        if step == self._first <= self._last:
            jax.block_until_ready(running)
            options = jax.profiler.ProfileOptions()
            options.python_tracer_level = 0  # it hooks into the data's threads, whose end it may not survive
            jax.profiler.start_trace(str(self._folder), profiler_options=options)
            self._running = True

    def after(self, step: int, running: Any) -> None:
        """Ends after the last one."""
        if self._running and step == self._last:
            jax.block_until_ready(running)
            self.close()

    def close(self) -> None:
        """Writes the trace, of fewer steps if the run ends early."""
        if self._running:
            self._running = False  # first: a trace that cannot be written is not tried again
            jax.profiler.stop_trace()
