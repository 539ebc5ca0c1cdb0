"""Batches that are on the devices before they are asked for."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax

from swinir_jax.data.pipeline import TrainingBatches
from swinir_jax.training.step import Batch

_AHEAD = 2  # batches; each is as much memory on the devices


class Prefetched(Iterator[tuple[Batch, dict[str, Any]]]):
    """Draws and places batches in a thread of its own.

    Attributes:
      waited: seconds for which the devices had nothing to do but wait for data.
    """

    def __init__(self, batches: TrainingBatches, place: Callable[[Mapping[str, Any]], Batch]):
        """Starts drawing.

        Args:
          batches: from where to go on; nobody else may draw from it until `close`.
          place: puts a batch on the devices.
        """
        self.waited = 0.0
        self._batches, self._place = batches, place
        self._ready: queue.Queue[tuple[Batch, dict[str, Any]] | BaseException] = queue.Queue(_AHEAD)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._draw, name="prefetch", daemon=True)
        self._thread.start()

    def __next__(self) -> tuple[Batch, dict[str, Any]]:
        """The next batch, and the state of the data after it."""
        return self.take(None)

    def take(self, running: Any) -> tuple[Batch, dict[str, Any]]:
        """As `next`, while the devices still work on `running`: no more than the time after that was waited.

        Raises:
          InputError: if the data cannot be read any further.
        """
        if self._ready.empty():
            jax.block_until_ready(running)
            start = time.perf_counter()
            item = self._ready.get()
            self.waited += time.perf_counter() - start
        else:
            item = self._ready.get()
        if isinstance(item, BaseException):
            raise item
        return item

    def close(self) -> None:
        """Stops drawing."""
        self._closed.set()
        while self._thread.is_alive():
            try:  # the thread may be waiting for a place in the queue
                self._ready.get(timeout=0.1)
            except queue.Empty:
                continue

    def _draw(self) -> None:
        try:
            while not self._closed.is_set():
                batch = next(self._batches)
                self._ready.put((self._place(batch), self._batches.get_state()))
        except BaseException as error:  # for the training thread to raise
            self._ready.put(error)
