"""How much is restored and how long the rest will take: a line of a terminal, or lines of a log."""

import contextlib
import dataclasses
import logging
import threading
from collections.abc import Iterator, Sequence

from tqdm import tqdm

from swinir_jax.errors import printable
from swinir_jax.inference.chain import NetworkChain
from swinir_jax.inference.progress import Pace, Progress, measured_pace

logger = logging.getLogger(__name__)

_REFRESH_SECONDS = 0.5
_LOG_SECONDS = 60.0
_NAME_LENGTH = 24
_FORMAT = "{percentage:3.0f}% |{bar:10}| {desc}"


@dataclasses.dataclass(frozen=True)
class _Running:
    """A picture that is being restored.

    Attributes:
      index: index among all pictures.
      name: name, as shown.
      size: height and width; None if the picture is restored by rows, whose tiles are not known beforehand.
      progress: finished tiles.
    """

    index: int
    name: str
    size: tuple[int, int] | None
    progress: Progress


class Display:
    """Progress of a run, drawn twice a second: by finished tiles, and by time within a tile.

    Where several devices restore a picture each, their lanes are numbered from 0, and the first of their pictures is
    shown. Where standard error is no terminal, a line is logged each minute.
    """

    def __init__(self, *, hidden: bool = False):
        """Draws nothing yet.

        Args:
          hidden: whether to draw nothing on a terminal either.
        """
        self._hidden = hidden
        self._restorers: Sequence[NetworkChain] = ()  # while there is something to draw
        self._pace = Pace()
        self._works: list[float] = []
        self._running: dict[int, _Running] = {}  # by lanes
        self._latest = 0.0, ""
        self._lock = threading.Lock()

    def advance(self, lane: int, count: int, total: int) -> None:
        """Counts finished tiles of the picture that a lane restores, as `done` of a restorer."""
        if running := self._running.get(lane):
            works = self._restorers[lane].tile_works(running.size) if running.size and count == 0 else ()
            with self._lock:
                running.progress.advance(count, total, works)

    @contextlib.contextmanager
    def drawing(self, restorers: Sequence[NetworkChain], sizes: Sequence[tuple[int, int]]) -> Iterator[None]:
        """Draws or logs, in a thread, until the end of the block.

        Args:
          restorers: restorer of each lane.
          sizes: height and width of each picture.
        """
        if self._hidden or not sizes:
            yield
            return
        bar = tqdm(total=1.0, disable=None, bar_format=_FORMAT, leave=False, dynamic_ncols=True)
        self._restorers, self._works = restorers, [restorers[0].work(size) for size in sizes]
        if not bar.disable:  # who reads a log waits for the first tile
            self._pace = Pace(measured_pace(restorers[0].models[0].config))
        ended = threading.Event()

        def draw() -> None:
            while not ended.wait(_LOG_SECONDS if bar.disable else _REFRESH_SECONDS):
                self._draw(bar)

        thread = threading.Thread(target=draw, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            bar.close()

    @contextlib.contextmanager
    def picture(self, lane: int, index: int, name: str, size: tuple[int, int] | None) -> Iterator[None]:
        """Shows a picture until the end of the block.

        Args:
          lane: lane that restores the picture.
          index: index of the picture among those of `drawing`.
          name: name of the picture.
          size: height and width of the picture; None if it is restored by rows, whose tiles are not known beforehand.
        """
        if not self._restorers:
            yield
            return
        work = self._works[index]
        progress = Progress(self._pace.expect(work))
        with self._lock:
            self._running[lane] = _Running(index, _shown(name), size, progress)
        try:
            yield
        finally:  # also of a picture that fails
            with self._lock:
                del self._running[lane]
                if progress.seconds:
                    self._pace.learn(work, progress.seconds)

    def _draw(self, bar: tqdm) -> None:
        with self._lock:
            if self._running:  # else all pictures are being read or written
                self._latest = self._estimate()
            finished, text = self._latest
        if bar.disable:
            logger.info("%.0f %%: %s", 100 * finished, text)
            return
        bar.n = finished
        bar.set_description_str(text)

    def _estimate(self) -> tuple[float, str]:
        """Returns the part of the work that is done, and the picture at hand with the time left."""
        first = min(self._running.values(), key=lambda running: running.index)
        fraction, left = first.progress.estimate()
        index, name = first.index, first.name
        fraction, work = fraction or 0.0, self._works[index]
        whole, finished = sum(self._works), sum(self._works[:index]) + fraction * work
        text = f"{name}, {index + 1} of {len(self._works)}" if len(self._works) > 1 else name
        if not first.progress.total:
            text += ", preparing the network for pictures of this size"
        if left:
            others = sum(self._works[index + 1 :]) / len(self._restorers)
            after = self._pace.expect(others)
            if after is None:  # as fast as this picture
                after = left / (1 - fraction) / work * others
            text += f", {_about(left + after)} left"
        return finished / whole, text


def _shown(name: str) -> str:
    """Returns the end of a name, behind an ellipsis if the beginning is cut off."""
    text = printable(name)
    return text if len(text) <= _NAME_LENGTH else "…" + text[1 - _NAME_LENGTH :]


def _about(seconds: float) -> str:
    """Rounds a time: `about 40 s`, `about 3 min`, `about 2 h`."""
    for unit, name, limit in ((1, "s", 90), (60, "min", 5400)):
        if seconds < limit:
            return f"about {max(1, round(seconds / unit))} {name}"
    return f"about {round(seconds / 3600)} h"
