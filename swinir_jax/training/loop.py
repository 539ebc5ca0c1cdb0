"""A training run from its first step, or from where it stopped, to its last."""

import contextlib
import functools
import logging
import math
import os
import re
import signal
import time
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from swinir_jax.data.pipeline import TrainingBatches
from swinir_jax.errors import InputError
from swinir_jax.evaluation.protocol import Pair
from swinir_jax.training.agreement import from_first_process
from swinir_jax.training.checkpoint import Checkpoints, read_config, write_config
from swinir_jax.training.checks import check_experiment, check_resume, tell_rate_change
from swinir_jax.training.divergence import DivergenceError, Probe, TrainingError, is_ruin
from swinir_jax.training.experiment import Experiment
from swinir_jax.training.initialization import initialise_from
from swinir_jax.training.interruption import Interruption
from swinir_jax.training.lock import held
from swinir_jax.training.logs import Logs, log_folder
from swinir_jax.training.prefetch import Prefetched
from swinir_jax.training.profiling import Profiler
from swinir_jax.training.progress import Progress
from swinir_jax.training.sharding import (
    abstract_state,
    check_batch,
    compile_step,
    make_mesh,
    place_batch,
    place_state,
)
from swinir_jax.training.state import TrainState, create_state
from swinir_jax.training.step import Metrics
from swinir_jax.training.validation import describe_setting, validate, validation_pairs

logger = logging.getLogger(__name__)


def train_and_evaluate(experiment: Experiment, workdir: str | os.PathLike[str], *, profile: int = 0) -> None:
    """Trains, from where the run in `workdir` stopped, if there is one; all processes of a run call this alike.

    Args:
      experiment: the run.
      workdir: folder for checkpoints, metrics and pictures; made if it is not there. One training at a time holds it.
      profile: steps of which a JAX profiler trace is written to `profile/` beside the logs; 0 for none.

    Raises:
      InputError: if the experiment, its data or the folder cannot be used.
      TrainingError: if the network diverges, or the logs cannot be written.
      SaveError: if the last checkpoint could not be saved; a failure before is told, and training goes on.
      KeyboardInterrupt: after Ctrl-C, when the run is saved. SIGTERM, SIGUSR1 and SIGHUP save and return.
    """
    check_experiment(experiment)
    pairs = validation_pairs(experiment)
    mesh = make_mesh(experiment.shard_optimizer)
    check_batch(experiment.batch_size, mesh, experiment.optimizer.accumulate)
    with contextlib.ExitStack() as stack:
        stack.enter_context(held(workdir))
        checkpoints = stack.enter_context(contextlib.closing(Checkpoints(workdir, experiment.checkpoint)))
        start = checkpoints.latest_step()
        stored = read_config(workdir)
        if start is not None and stored:  # without a checkpoint, nothing is lost by beginning anew
            check_resume(stored, experiment)
            tell_rate_change(stored, experiment, start)
        if start is not None and start >= experiment.steps:
            logger.info("%s: all %d steps are done.", workdir, start)
            return
        batches = stack.enter_context(contextlib.closing(_open_data(experiment)))
        if start is None:
            state = _first_state(experiment, mesh)
        else:
            state, data_state = checkpoints.restore(
                abstract_state(mesh, jax.eval_shape(lambda: create_state(experiment)))
            )
            batches.set_state(data_state)
            logger.info("%s: going on after step %d.", workdir, start)
        write_config(workdir, experiment)
        logs = None
        if jax.process_index() == 0:
            logs = stack.enter_context(contextlib.closing(Logs(log_folder(workdir), start or 0)))
        profiler = Profiler(log_folder(workdir) / "profile", start or 0, profile if logs else 0)
        run = _Run(experiment, mesh, state, batches, checkpoints, logs, pairs, start or 0)
        try:
            interrupted = run.train(profiler)
        except OSError as error:
            raise TrainingError(f"{workdir}: {error}; what was saved before is kept.") from error
    if interrupted == signal.SIGINT:
        raise KeyboardInterrupt


class _Run:
    """What the steps of one process share."""

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
        self._interruption = Interruption()
        self._running: Metrics | None = None  # of the step that the devices are at
        self._named = 0  # corrupt records that were told of

    def train(self, profiler: Profiler) -> signal.Signals | None:
        """Trains to the end; the signal, if one stopped it before."""
        data = Prefetched(self._batches, functools.partial(place_batch, self._mesh))
        stop = False
        # The profiler is closed first: it traces the threads that the others end.
        with contextlib.closing(data), contextlib.closing(self._progress), self._interruption, \
                contextlib.closing(profiler):  # fmt: skip
            while self._step < self._experiment.steps:
                self._take_batch(data)
                profiler.before(self._step + 1, self._running)
                self._update()
                profiler.after(self._step, self._running)
                stop = self._interruption.reached(self._step)
                last = stop or self._step == self._experiment.steps
                if last or self._step % self._experiment.log_every == 0:
                    self._log(data.waited)
                with self._progress.paused():
                    self._validate_and_save(last=last, stop=stop)
                if stop:
                    break
            self._checkpoints.wait()
        if stop:
            logger.info("Stopped by a signal, saved after step %d; the same command goes on from there.", self._step)
        return self._interruption.received if stop else None

    def _take_batch(self, data: Prefetched) -> None:
        """Waits for the next batch; where there is none, what was learnt until here is saved."""
        try:
            batch, data_state = data.take(self._running)
        except InputError:
            if self._step > self._start and jax.process_count() == 1:  # of many, the others would not join
                self._save()
            raise
        self._batch, self._data_state = batch, data_state

    def _update(self) -> None:
        """Begins the next step, once the one before the last is done: more would only hold memory."""
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
        logger.info("compiled in %.1f s, for %d devices", time.perf_counter() - start, self._mesh.size)

    def _log(self, waited: float) -> None:
        """Writes what happened since the last time, and ends a run that learns nothing any more."""
        values = self._progress.summary(waited)
        skipped, in_row = values["skipped"], values.pop("skipped_in_row")
        corrupt = self._batches.corrupt
        for record in corrupt[self._named :]:
            logger.warning("Skipped a damaged record: %s", record)
        self._named = len(corrupt)
        if self._logs:
            numbers = {f"train/{name}": value for name, value in values.items()}
            self._logs.write(self._step, numbers | {"train/corrupt": len(corrupt)})
        self._progress.show(self._step, values)
        if in_row:
            logger.warning("No finite gradient in the last %d steps, which were skipped; %d in all.", in_row, skipped)
        if in_row >= self._experiment.max_skipped:
            raise DivergenceError(f"No finite gradient in {in_row} steps in a row, up to step {self._step}")
        if math.isfinite(values["loss"]) and is_ruin(values["loss"]):
            raise DivergenceError(f"A loss of {values['loss']:.3g} up to step {self._step}")

    def _validate_and_save(self, *, last: bool, stop: bool) -> None:
        """Does what is due after a step, unless the weights are ruined, which would replace sound ones."""
        config = self._experiment
        validating = bool(self._pairs) and not stop and (last or self._step % config.validation.every == 0)
        if not (last or validating or self._step % config.checkpoint.every == 0):
            return
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
            except InputError:  # an image, not the weights
                self._save()
                raise
        self._save(psnr)

    def _save(self, psnr: float | None = None) -> None:
        self._checkpoints.save(self._step, self._state, self._data_state, psnr, self._setting)

    def _validate(self) -> float | None:
        """PSNR of the EMA weights, which the first process measures for all; None if it was broken off."""
        ema = jax.jit(lambda tree: tree, out_shardings=NamedSharding(self._mesh, PartitionSpec()))(self._state.ema)
        psnr = from_first_process(lambda: self._measure(jax.tree.map(np.asarray, ema)), (InputError, DivergenceError))
        return None if math.isnan(psnr) else psnr

    def _measure(self, params: Any) -> float:
        """Validates and writes down what came of it; the PSNR, NaN if it was broken off."""
        assert self._logs  # which the first process has
        measured = validate(
            self._experiment, self._state.model, params, self._pairs, lambda: self._interruption.received is not None
        )
        if measured is None:
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


def _first_state(experiment: Experiment, mesh: Mesh) -> TrainState:
    state = create_state(experiment)
    if experiment.init_from:
        params, carried, initialised = initialise_from(experiment.init_from, experiment.network, state.params)
        logger.info("Carried over from %s, %d arrays: %s", experiment.init_from, len(carried), _brief(carried))
        logger.info("Drawn at random, %d arrays: %s", len(initialised), _brief(initialised) or "none")
        state = create_state(experiment, params)
    return place_state(mesh, state)


def _brief(paths: list[str]) -> str:
    """Such as `conv_first/bias, layers_*/residual_group/blocks_*/mlp/fc1/bias`."""
    return ", ".join(dict.fromkeys(re.sub(r"_\d+", "_*", path) for path in paths))
