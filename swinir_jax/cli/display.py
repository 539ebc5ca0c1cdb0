"""How much is restored and how long the rest will take: a line of a terminal, or lines of a log."""

import contextlib
import logging
import threading
from collections.abc import Iterator, Sequence

from tqdm import tqdm

from swinir_jax.errors import printable
from swinir_jax.inference.files import FileRestorer
from swinir_jax.inference.progress import Pace, Progress, measured_pace

logger = logging.getLogger(__name__)

_REFRESH_SECONDS = 0.5
_LOG_SECONDS = 60.0
_NAME_LENGTH = 24
_FORMAT = "{percentage:3.0f}% |{bar:10}| {desc}"


class Display:
    """Progress of a run, drawn twice a second: by finished tiles, and by time within a tile.

    Where standard error is no terminal, a line is logged each minute.
    """

    def __init__(self, *, hidden: bool = False):
        """Draws nothing yet.

        Args:
          hidden: whether to draw nothing on a terminal either.
        """
        self._hidden = hidden
        self._restorer: FileRestorer | None = None  # while there is something to draw
        self._pace, self._progress = Pace(), Progress()
        self._works, self._place, self._name = [1.0], 0, ""
        self._size: tuple[int, int] | None = None
        self._lock = threading.Lock()

    def advance(self, count: int, total: int) -> None:
        """Counts finished tiles of the picture that is being restored, as `done` of a restorer."""
        if self._restorer:
            works = self._restorer.tile_works(self._size) if self._size and count == 0 else ()
            with self._lock:
                self._progress.advance(count, total, works)

    @contextlib.contextmanager
    def drawing(self, restorer: FileRestorer, sizes: Sequence[tuple[int, int]]) -> Iterator[None]:
        """Draws or logs, in a thread, until the end of the block.

        Args:
          restorer: restorer of the pictures.
          sizes: height and width of each picture.
        """
        bar = tqdm(total=1.0, disable=self._hidden or None, bar_format=_FORMAT, leave=False, dynamic_ncols=True)
        if self._hidden or not sizes:
            bar.close()
            yield
            return
        self._restorer, self._works = restorer, [restorer.work(size) for size in sizes]
        if not bar.disable:  # who reads a log waits for the first tile
            self._pace = Pace(measured_pace(restorer.models[0].config))
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
    def picture(self, place: int, name: str, size: tuple[int, int] | None) -> Iterator[None]:
        """Shows a picture until the end of the block.

        Args:
          place: place of the picture among those of `drawing`, from 0.
          name: name of the picture.
          size: height and width of the picture; None if it is restored by rows, whose tiles are not known beforehand.
        """
        if not self._restorer:
            yield
            return
        work = self._works[place]
        with self._lock:
            self._place, self._size, self._name = place, size, _shown(name)
            self._progress = Progress(self._pace.expect(work))
        yield
        if self._progress.seconds:
            self._pace.learn(work, self._progress.seconds)

    def _draw(self, bar: tqdm) -> None:
        finished, text = self._estimate()
        if bar.disable:
            logger.info("%.0f %%: %s", 100 * finished, text)
            return
        bar.n = finished
        bar.set_description_str(text)

    def _estimate(self) -> tuple[float, str]:
        """Returns the part of the work that is done, and the picture at hand with the time left."""
        with self._lock:
            fraction, left = self._progress.estimate()
            place, name = self._place, self._name
            is_preparing = not self._progress.total
        fraction, work = fraction or 0.0, self._works[place]
        whole, finished = sum(self._works), sum(self._works[:place]) + fraction * work
        text = f"{name}, {place + 1} of {len(self._works)}" if len(self._works) > 1 else name
        if is_preparing:
            text += ", preparing the network for pictures of this size"
        if left:
            others = sum(self._works[place + 1 :])
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
