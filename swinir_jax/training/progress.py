"""How fast a run is and how far: a bar in a terminal, lines elsewhere."""

import contextlib
import datetime
import logging
import time
from collections.abc import Iterator, Mapping

import jax
import numpy as np
from tqdm import tqdm

from swinir_jax.training.step import Metrics

logger = logging.getLogger(__name__)


class Progress:
    """Counts steps and times them, leaving out what is no training."""

    def __init__(self, start: int, steps: int, batch_size: int):
        """Starts the clock.

        Args:
          start: steps done by earlier processes.
          steps: of the whole run.
          batch_size: images a step.
        """
        self._steps, self._batch_size = steps, batch_size
        silent = not logger.isEnabledFor(logging.INFO)
        self._bar = tqdm(total=steps, initial=start, unit="step", disable=silent or None)  # None: where no terminal is
        self._restart(0.0)

    def add(self, metrics: Metrics) -> None:
        """Notes a step that was begun; nothing waits for its end."""
        self._metrics.append(metrics)
        self._bar.update()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Stops the clock, for compiling, validating and saving."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._paused += time.perf_counter() - start

    def summary(self, waited: float) -> dict[str, float]:
        """What happened since the last summary; waits for the last step.

        Args:
          waited: seconds that all steps so far had to wait for data.

        Returns:
          Means over the steps with finite values of loss and gradient norm; the last learning rate; steps skipped, in
          all and in a row; images a second; and the share of the time in which the devices waited for data.
        """
        metrics = jax.device_get(self._metrics)
        seconds = time.perf_counter() - self._start - self._paused
        values = {name: _finite_mean([m[name] for m in metrics]) for name in ("loss", "grad_norm")}
        values |= {name: metrics[-1][name].item() for name in ("learning_rate", "skipped", "skipped_in_row")}
        values["images_per_second"] = len(metrics) * self._batch_size / seconds
        values["data_wait_share"] = (waited - self._waited) / seconds
        self._restart(waited)
        return values

    def show(self, step: int, values: Mapping[str, float]) -> None:
        """Tells a person."""
        rate = values["images_per_second"]
        if not self._bar.disable:
            self._bar.set_postfix_str(f"loss {values['loss']:.5f}, {rate:.1f} images/s")
            return
        left = datetime.timedelta(seconds=round((self._steps - step) * self._batch_size / rate))
        logger.info(
            "step %d of %d: loss %.5f, gradient %.3g, rate %.3g, %.1f images/s, %.0f %% waiting for data, %s left",
            step, self._steps, values["loss"], values["grad_norm"], values["learning_rate"], rate,
            100 * values["data_wait_share"], left,
        )  # fmt: skip

    def close(self) -> None:
        """Leaves the bar as it is."""
        self._bar.close()

    def _restart(self, waited: float) -> None:
        self._metrics: list[Metrics] = []
        self._start, self._paused, self._waited = time.perf_counter(), 0.0, waited


def _finite_mean(values: list[np.ndarray]) -> float:
    finite = np.array(values)[np.isfinite(values)]
    return float(finite.mean()) if finite.size else float("nan")
