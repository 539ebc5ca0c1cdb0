"""Batches placed on the devices ahead of their use."""

import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax

from swinir_jax.data.pipeline import TrainingBatches
from swinir_jax.training.step import Batch

_AHEAD = 2  # batches in the memory of the devices


class Prefetched:
    """Batches that a separate thread draws and places.

    Attributes:
      waited: seconds in which the devices were idle for lack of data.
    """

    def __init__(self, batches: TrainingBatches, place: Callable[[Mapping[str, Any]], Batch]):
        """Starts the thread.

        Args:
          batches: batches to draw; nothing else may draw from them until `close`.
          place: function that places a batch on the devices.
        """
        self.waited = 0.0
        self._batches, self._place = batches, place
        self._ready: queue.Queue[tuple[Batch, dict[str, Any]] | BaseException] = queue.Queue(_AHEAD)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._draw, name="prefetch", daemon=True)
        self._thread.start()

    def take(self, running: Any) -> tuple[Batch, dict[str, Any]]:
        """Returns the next batch, and the position of the data after it.

        Args:
          running: arrays that the devices compute; `waited` does not count the time until they are done.

        Raises:
          InputError: if the data cannot be read.
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
        """Stops the thread."""
        self._closed.set()
        while self._thread.is_alive():
            try:  # the thread may wait for a free place in the queue
                self._ready.get(timeout=0.1)
            except queue.Empty:
                continue

    def _draw(self) -> None:
        try:
            while not self._closed.is_set():
                batch = next(self._batches)
                self._ready.put((self._place(batch), self._batches.get_state()))
        except BaseException as error:  # `take` raises it in the training thread
            self._ready.put(error)
