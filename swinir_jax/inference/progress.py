"""Progress of a picture through networks, by finished tiles and, within a tile, by time."""

import time
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from swinir_jax.config import SwinIRConfig

_PROBE_ROWS = 4096  # pixels in the product that `measured_pace` times
_PROBES = 3
_SHARE = 0.5  # of the pace of such products, which networks reach (0.3 to 0.8 on two cores)


def pixel_products(config: SwinIRConfig) -> float:
    """Returns the multiplications of a network for each pixel of the image, without those of the upsampler."""
    c, layers = config.embed_dim, sum(config.depths)
    by_layer = (4 + 2 * config.mlp_ratio) * c**2 + 2 * config.window_size**2 * c
    by_feature_pixel = layers * by_layer + (len(config.depths) + 1) * 9 * c**2
    return by_feature_pixel / config.unshuffle**2


def measured_pace(config: SwinIRConfig, clock: Callable[[], float] = time.perf_counter) -> float | None:
    """Times a matrix product; returns a network's seconds for a multiplication, right to a factor of about 2.

    Returns:
      None unless JAX runs on a CPU. An accelerator needs large products to be measured, and seldom lets anybody wait.
    """
    if jax.default_backend() != "cpu":
        return None
    c = config.embed_dim
    product = jax.jit(jnp.matmul)
    pixels, weights = jax.device_put([np.ones(shape, np.float32) for shape in ((_PROBE_ROWS, c), (c, 3 * c))])
    product(pixels, weights).block_until_ready()  # compiled
    times = []
    for _ in range(_PROBES):
        start = clock()
        product(pixels, weights).block_until_ready()
        times.append(clock() - start)
    return min(times) / (_PROBE_ROWS * c * 3 * c) / _SHARE


class Pace:
    """Seconds that a unit of work takes, by all pictures that were finished."""

    def __init__(self, seconds: float | None = None):
        """Takes a first guess, which the first picture replaces; None for none."""
        self._guess = seconds
        self._work = self._seconds = 0.0

    def expect(self, work: float) -> float | None:
        """Returns the seconds that work will take, if anything is known."""
        if self._work:
            return self._seconds / self._work * work
        return None if self._guess is None else self._guess * work

    def learn(self, work: float, seconds: float) -> None:
        """Adds the seconds that work took."""
        self._work += work
        self._seconds += seconds


class Progress:
    """Progress of one picture.

    Attributes:
      done: number of finished tiles.
      total: number of tiles; 0 as long as it is unknown.
      expected: seconds that all tiles will take; None if nothing is known.
    """

    def __init__(self, expected: float | None = None, clock: Callable[[], float] = time.monotonic):
        """Starts the clock, which the first call of `advance` starts again."""
        self.done, self.total, self.expected = 0, 0, expected
        self._clock = clock
        self._works: tuple[float, ...] = (1.0,)
        self._begun: int | None = None
        self._start = self._last = clock()

    def advance(self, count: int, total: int, works: Sequence[float] = ()) -> None:
        """Counts finished tiles.

        Args:
          count: tiles just finished. Those of the first call took no time: the networks begin to run behind them.
          total: tiles of the picture; a call with 0, before the networks run, changes nothing.
          works: work of each tile in the order in which tiles run; ignored unless they are `total`, and tiles count as
            equal without them.
        """
        if not total:
            return
        self._last = self._clock()
        if self._begun is None:
            self._begun, self._start = count, self._last
        self.done, self.total = self.done + count, total
        if len(works) == total:
            self._works = tuple(works)
        elif len(self._works) != total:
            self._works = (1.0,) * total

    @property
    def seconds(self) -> float:
        """Seconds from the first call of `advance` to the last one."""
        return self._last - self._start

    def estimate(self) -> tuple[float | None, float | None]:
        """Returns the part of the work that is done and the seconds that remain, as far as they are known."""
        if not self.total:
            return None, self.expected
        whole, finished, begun = (sum(self._works[:count]) for count in (None, self.done, self._begun))
        if finished > begun:
            pace = self.seconds / (finished - begun)
        elif self.expected is not None:
            pace = self.expected / whole
        else:
            return (finished / whole or None), None
        running = self._clock() - self._last
        if pace > 0 and self.done < self.total:
            finished += min(running / pace, self._works[self.done])
        return finished / whole, (whole - finished) * pace or None  # None: overdue
