"""Training run: start or resumption, and the loop over the steps."""

import contextlib
import functools
import logging
import math
import os
import signal
import time
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from swinir_jax.data.pipeline import TrainingBatches
from swinir_jax.errors import InputError, UnwritableError
from swinir_jax.evaluation.protocol import Pair
from swinir_jax.training.agreement import from_first_process
from swinir_jax.training.checkpoint import Checkpoints, read_config, write_config
from swinir_jax.training.checks import check_experiment, check_resume, tell_rate_change
from swinir_jax.training.divergence import DivergenceError, Probe, TrainingError, is_ruin
from swinir_jax.training.experiment import Experiment
from swinir_jax.training.gradients import Metrics
from swinir_jax.training.initialization import first_state
from swinir_jax.training.interruption import Interruption
from swinir_jax.training.lock import held
from swinir_jax.training.logs import Logs, log_folder
from swinir_jax.training.prefetch import Prefetched
from swinir_jax.training.profiling import Profiler
from swinir_jax.training.progress import Progress
from swinir_jax.training.sharding import (
    abstract_state,
    check_batch_size,
    compile_step,
    make_mesh,
    place_batch,
    replicate,
)
from swinir_jax.training.state import TrainState, create_state, perceptual_features
from swinir_jax.training.validation import describe_setting, validate, validation_pairs

logger = logging.getLogger(__name__)

_UNSAVED_SECONDS = 1800  # after which a single process saves at a log entry, between checkpoints at steps far apart


def train_and_evaluate(experiment: Experiment, workdir: str | os.PathLike[str], *, profile: int = 0) -> None:
    """Trains a network, or continues the run in `workdir`; all processes of the run must call this.

    SIGTERM, SIGUSR1 and SIGHUP save the run and return. An earlier failed save is logged, and training continues.

    Args:
      experiment: settings of the run.
      workdir: folder for checkpoints, metrics and pictures, created if it does not exist; one training at a time.
      profile: steps to trace with JAX's profiler, into `profile/` beside the logs; 0 for no trace.

    Raises:
      InputError: if the experiment, the data or the folder cannot be used.
      TrainingError: if the network diverges, or the logs cannot be written.
      SaveError: if the last checkpoint cannot be saved.
      KeyboardInterrupt: after Ctrl-C, when the run is saved.
    """
    check_experiment(experiment)
    pairs = validation_pairs(experiment)
    mesh = make_mesh(experiment.shard_optimizer)
    check_batch_size(experiment.batch_size, mesh, experiment.optimizer.accumulate)
    with contextlib.ExitStack() as stack:
        stack.enter_context(held(workdir))
        checkpoints = stack.enter_context(contextlib.closing(Checkpoints(workdir, experiment.checkpoint)))
        start = checkpoints.latest_step() or 0
        stored = read_config(workdir)
        if start and stored:  # before the first checkpoint, a run may start afresh with any settings
            check_resume(stored, experiment)
            tell_rate_change(stored, experiment, start)
        if start >= experiment.steps:
            write_config(workdir, experiment)
            logger.info("%s: all %d steps are done.", workdir, start)
            return
        batches = stack.enter_context(contextlib.closing(_open_data(experiment)))
        if start:
            shapes = jax.eval_shape(lambda: create_state(experiment))
            state, data_state = checkpoints.restore(abstract_state(mesh, shapes))
            state = state.replace(features=replicate(mesh, perceptual_features(experiment.loss)))
            batches.set_state(data_state)
            logger.info("%s: continuing after step %d.", workdir, start)
        else:
            state = first_state(experiment, mesh)
        write_config(workdir, experiment)
        logs = None
        if jax.process_index() == 0:
            logs = stack.enter_context(contextlib.closing(Logs(log_folder(workdir), start)))
        profiler = Profiler(log_folder(workdir) / "profile", start, profile if logs else 0)
        run = _Run(experiment, mesh, state, batches, checkpoints, logs, pairs, start)
        try:
            received = run.train(profiler)
        except (OSError, UnwritableError) as error:
            raise TrainingError(f"{workdir}: {error}; earlier checkpoints are kept.") from error
    if received == signal.SIGINT:
        raise KeyboardInterrupt


class _Run:
    """Steps of a run in one process."""

    def __init__(
        self,
        experiment: Experiment,
        mesh: Mesh,
        state: TrainState,
        batches: TrainingBatches,
        checkpoints: Checkpoints,
        logs: Logs | None,
        pairs: list[Pair],
        start: int,
    ):
        self._experiment, self._mesh, self._state = experiment, mesh, state
        self._batches, self._checkpoints, self._logs, self._pairs = batches, checkpoints, logs, pairs
        self._start = self._step = start
        self._setting = describe_setting(experiment, pairs)
        self._progress = Progress(start, experiment.steps, experiment.batch_size)
        self._interruption = Interruption(self._progress.pace)
        self._running: Metrics | None = None  # metrics of the step that the devices compute
        self._corrupt_logged = 0
        self._saved = time.monotonic()

    def train(self, profiler: Profiler) -> signal.Signals | None:
        """Trains to the last step, or until a signal stops the run; returns the signal received, or None."""
        data = Prefetched(self._batches, functools.partial(place_batch, self._mesh))
        # The profiler is closed first, because it traces the threads that the other contexts stop.
        with (
            contextlib.closing(data),
            contextlib.closing(self._progress),
            self._interruption,
            contextlib.closing(profiler),
        ):
            stop = self._interruption.reached(self._step)  # a signal may have come before the loop
            while self._step < self._experiment.steps and not stop:
                self._take_batch(data)
                profiler.before(self._step + 1, self._running)
                self._update()
                profiler.after(self._step, self._running)
                stop = self._interruption.reached(self._step)
                last = stop or self._step == self._experiment.steps
                due = last or self._step % self._experiment.log_every == 0
                if due or self._step == self._start + 1:  # the first step tells how long the run will take
                    self._log(data.waited)
                if due:
                    self._progress.restart(data.waited)
                with self._progress.paused():
                    self._validate_and_save(last=last, stop=stop)
            self._checkpoints.wait()
        if stop and self._step < self._experiment.steps:
            saved = f"saved after step {self._step}" if self._step else "before the first step"
            logger.info("Stopped by a signal, %s; the same command continues the run.", saved)
        elif stop and self._pairs:
            logger.warning(
                "A signal came in the last step, %d: saved without validation; swinir-jax evaluate measures a run.",
                self._step,
            )
        return self._interruption.received

    def _take_batch(self, data: Prefetched) -> None:
        """Waits for the next batch; saves the run if the data cannot be read."""
        try:
            batch, data_state = data.take(self._running)
        except InputError:
            self._save_alone()
            raise
        self._batch, self._data_state = batch, data_state

    def _update(self) -> None:
        """Starts the next step when the previous one is done, because each waiting step holds memory."""
        if self._step == self._start:
            with self._progress.paused():
                self._compile()
        previous = self._running
        self._state, self._running = self._train_step(self._state, self._batch)
        jax.block_until_ready(previous)
        self._step += 1
        self._progress.add(self._running)

    def _compile(self) -> None:
        start = time.perf_counter()
        self._train_step = compile_step(self._mesh, self._state).lower(self._state, self._batch).compile()
        self._probe = Probe(self._mesh, self._state, self._train_step)
        devices = "one device" if self._mesh.size == 1 else f"{self._mesh.size} devices"
        logger.info("compiled in %.1f s, for %s", time.perf_counter() - start, devices)

    def _log(self, waited: float) -> None:
        """Logs the steps since the last entry; raises DivergenceError if the network no longer learns."""
        values = self._progress.summary(waited)
        skipped, in_row = values["skipped"], values.pop("skipped_in_row")
        corrupt = self._batches.corrupt
        for problem in corrupt[self._corrupt_logged :]:  # each process logs its own; all but the first log errors alone
            level = logging.ERROR if jax.process_index() else logging.WARNING
            logger.log(level, "Skipped an unreadable image: %s", problem)
        self._corrupt_logged = len(corrupt)
        if self._logs:
            numbers = {f"train/{name}": value for name, value in values.items()}
            try:
                self._logs.write(self._step, numbers | {"train/corrupt": len(corrupt)})
            except OSError:
                self._save_alone()
                raise
        self._progress.show(self._step, values)
        if in_row:
            logger.warning(
                "No finite gradient in the last %d steps, which were skipped; %d skipped in all.", in_row, skipped
            )
        if in_row >= self._experiment.max_skipped:
            raise DivergenceError(f"No finite gradient in {in_row} steps in a row, up to step {self._step}")
        if math.isfinite(values["loss"]) and is_ruin(values["loss"]):
            raise DivergenceError(f"A loss of {values['loss']:.3g} up to step {self._step}")

    def _validate_and_save(self, *, last: bool, stop: bool) -> None:
        """Validates and saves if due after this step; ruined weights are not saved."""
        config = self._experiment
        validating = bool(self._pairs) and not stop and (last or self._step % config.validation.every == 0)
        # Several processes would have to save together, and their clocks differ.
        overdue = (
            self._step % config.log_every == 0
            and jax.process_count() == 1
            and time.monotonic() - self._saved > _UNSAVED_SECONDS
        )
        if not (last or validating or overdue or self._step % config.checkpoint.every == 0):
            return
        self._saved = time.monotonic()  # also if it is not, so that ruined weights are told once in this time
        if not self._probe.is_sound(self._state, self._batch):
            if last:
                raise DivergenceError(
                    f"The weights of step {self._step} give no finite loss and gradient, and are not saved"
                )
            logger.warning("Not saved: the weights of step %d give no finite loss and gradient.", self._step)
            return
        psnr = None
        if validating:
            try:
                psnr = self._validate()
            except DivergenceError:
                raise
            except Exception:  # raised in all processes; an image is unreadable, or the logs cannot be written
                self._save()
                raise
        self._save(psnr)

    def _save_alone(self) -> None:
        """Saves sound weights before an error of this process; several processes would have to save together."""
        if jax.process_count() == 1 and self._step > self._start and self._probe.is_sound(self._state, self._batch):
            self._save()

    def _save(self, psnr: float | None = None) -> None:
        self._checkpoints.save(self._step, self._state, self._data_state, psnr, self._setting)

    def _validate(self) -> float | None:
        """Validates in the first process; returns the PSNR of the EMA weights, or None if no PSNR ranks them."""
        ema = replicate(self._mesh, self._state.ema)
        psnr = from_first_process(lambda: self._measure(jax.tree.map(np.asarray, ema)), (InputError, DivergenceError))
        ranks = self._state.adversary is None  # adversarial training lowers the PSNR from the first step on
        return psnr if ranks and not math.isnan(psnr) else None

    def _measure(self, params: Any) -> float:
        """Validates and logs the result; returns the PSNR, or NaN if the validation was stopped."""
        assert self._logs  # the first process has logs
        measured = validate(
            self._experiment, self._state.model, params, self._pairs, lambda: self._interruption.received is not None
        )
        if measured is None:
            logger.warning(
                "The validation after step %d was broken off; swinir-jax evaluate measures a run.", self._step
            )
            return math.nan
        self._logs.write(self._step, {f"validation/{name}": value for name, value in measured.scores.items()})
        for name, picture in measured.pictures.items():
            self._logs.write_picture(self._step, name, picture)
        scores = ", ".join(f"{name} {value:.4f}" for name, value in measured.scores.items())
        logger.info("validation after step %d: %s (%.1f s)", self._step, scores, measured.seconds)
        return measured.psnr


def _open_data(experiment: Experiment) -> TrainingBatches:
    return TrainingBatches(
        experiment.data,
        scale=experiment.network.upscale,
        channels=experiment.network.in_chans,
        batch_size=experiment.batch_size // jax.process_count(),
        seed=experiment.seed,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )
