"""Progress of a run: a bar in a terminal, otherwise log lines."""

import contextlib
import datetime
import logging
import time
from collections.abc import Iterator, Mapping

import jax
import numpy as np
from tqdm import tqdm

from swinir_jax.training.gradients import Metrics

logger = logging.getLogger(__name__)


class Progress:
    """Counter and clock of training steps, without the time for compiling, validating and saving."""

    def __init__(self, start: int, steps: int, batch_size: int):
        """Starts the clock.

        Args:
          start: steps done by earlier processes.
          steps: steps of the whole run.
          batch_size: images in a step.
        """
        self._steps, self._batch_size = steps, batch_size
        silent = not logger.isEnabledFor(logging.INFO)
        self._bar = tqdm(
            total=steps, initial=start, unit="step", disable=silent or None
        )  # None disables the bar without a terminal
        self._restart(0.0)

    def add(self, metrics: Metrics) -> None:
        """Counts a started step, without waiting for the result."""
        self._metrics.append(metrics)
        self._bar.update()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Stops the clock in this context."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._paused += time.perf_counter() - start

    def summary(self, waited: float) -> dict[str, float]:
        """Summarises the steps since the last summary, waiting for the last step.

        Args:
          waited: seconds in which all steps so far waited for data.

        Returns:
          The last `learning_rate`, `skipped` and `skipped_in_row`; the other metrics, such as `loss` and `grad_norm`,
          averaged over finite values; `images_per_second`; and `data_wait_share`, the fraction of the time in which the
          devices waited for data.
        """
        metrics = jax.device_get(self._metrics)
        seconds = time.perf_counter() - self._start - self._paused
        values = {name: _finite_mean([m[name] for m in metrics]) for name in metrics[-1]}
        values |= {name: metrics[-1][name].item() for name in ("learning_rate", "skipped", "skipped_in_row")}
        values["images_per_second"] = len(metrics) * self._batch_size / seconds
        values["data_wait_share"] = (waited - self._waited) / seconds
        self._restart(waited)
        return values

    def show(self, step: int, values: Mapping[str, float]) -> None:
        """Shows a summary in the bar or as a log line."""
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
        """Closes the bar."""
        self._bar.close()

    def _restart(self, waited: float) -> None:
        self._metrics: list[Metrics] = []
        self._start, self._paused, self._waited = time.perf_counter(), 0.0, waited


def _finite_mean(values: list[np.ndarray]) -> float:
    finite = np.array(values)[np.isfinite(values)]
    return float(finite.mean()) if finite.size else float("nan")
