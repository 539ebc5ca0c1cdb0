"""Progress of a run: a bar in a terminal, otherwise log lines."""

import contextlib
import datetime
import logging
import math
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
        # None disables the bar without a terminal.
        self._bar = tqdm(total=steps, initial=start, unit="step", disable=silent or None)
        self.restart(0.0)
        self._step_start = self._step_seconds = math.nan  # before the first step

    def add(self, metrics: Metrics) -> None:
        """Counts a step that the devices begin, without waiting for the result."""
        now = time.perf_counter()
        self._step_start, self._step_seconds = now, now - self._step_start
        self._metrics.append(metrics)
        self._bar.update()

    def pace(self) -> str:
        """Tells in words how long the present step has been running, and how long the previous one took."""
        if math.isnan(self._step_start):
            return "which is still to begin"
        running = f"which has run for {time.perf_counter() - self._step_start:.3g} s"
        return running if math.isnan(self._step_seconds) else f"{running}; the last one took {self._step_seconds:.3g} s"

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Stops the clock in this context."""
        start = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - start
            self._paused += seconds
            self._step_start += seconds

    def restart(self, waited: float) -> None:
        """Begins a new summary.

        Args:
          waited: seconds in which all steps so far waited for data.
        """
        self._metrics: list[Metrics] = []
        self._start, self._paused, self._waited = time.perf_counter(), 0.0, waited

    def summary(self, waited: float) -> dict[str, float]:
        """Summarises the steps since the last restart, waiting for the last step.

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
        return values

    def show(self, step: int, values: Mapping[str, float]) -> None:
        """Shows a summary in the bar or as a log line."""
        rate = values["images_per_second"]
        if not self._bar.disable:
            self._bar.set_postfix_str(f"loss {values['loss']:.5f}, {rate:.1f} images/s")
            return
        seconds = self._batch_size / rate
        left = datetime.timedelta(seconds=round((self._steps - step) * seconds))
        logger.info(
            "step %d of %d: loss %.5f, gradient %.3g, rate %.3g, %.3g s a step, %.1f images/s, "
            "%.0f %% waiting for data, %s left",
            step, self._steps, values["loss"], values["grad_norm"], values["learning_rate"], seconds, rate,
            100 * values["data_wait_share"], left,
        )  # fmt: skip

    def close(self) -> None:
        """Closes the bar."""
        self._bar.close()


def _finite_mean(values: list[np.ndarray]) -> float:
    finite = np.array(values)[np.isfinite(values)]
    return float(finite.mean()) if finite.size else float("nan")
