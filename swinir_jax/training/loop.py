"""A training run from its first step, or from where it stopped, to its last."""

import contextlib
import functools
import logging
import math
import os
import re
import signal
import time

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from swinir_jax.data.pipeline import TrainingBatches
from swinir_jax.errors import InputError
from swinir_jax.evaluation.protocol import Pair
from swinir_jax.training.checkpoint import Checkpoints, read_config, write_config
from swinir_jax.training.checks import check_experiment, check_resume
from swinir_jax.training.experiment import Experiment
from swinir_jax.training.initialization import initialise_from
from swinir_jax.training.interruption import Interruption
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
from swinir_jax.training.step import Batch
from swinir_jax.training.validation import validate, validation_pairs

logger = logging.getLogger(__name__)


class TrainingError(RuntimeError):
    """A run had to end early; the message is one line, and what was saved before is kept."""


def train_and_evaluate(experiment: Experiment, workdir: str | os.PathLike[str], *, profile: int = 0) -> None:
    """Trains, from where the run in `workdir` stopped, if there is one; all processes of a run call this alike.

    Args:
      experiment: the run.
      workdir: folder for checkpoints, metrics and pictures; made if it is not there.
      profile: steps of which a JAX profiler trace is written to `profile/` beside the logs; 0 for none.

    Raises:
      InputError: if the experiment, its data or the folder cannot be used.
      TrainingError: if the gradient is no longer finite, or the logs cannot be written.
      SaveError: if the last checkpoint could not be saved; a failure before is told, and training goes on.
      KeyboardInterrupt: after Ctrl-C, when the run is saved. SIGTERM saves and returns.
    """
    check_experiment(experiment)
    pairs = validation_pairs(experiment)
    mesh = make_mesh(experiment.shard_optimizer)
    check_batch(experiment.batch_size, mesh, experiment.optimizer.accumulate)
    with contextlib.ExitStack() as stack:
        checkpoints = stack.enter_context(contextlib.closing(Checkpoints(workdir, experiment.checkpoint)))
        start = checkpoints.latest_step()
        stored = read_config(workdir)
        if start is not None and stored:  # without a checkpoint, nothing is lost by beginning anew
            check_resume(stored, experiment)
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
        run = _Run(experiment, mesh, state, batches, checkpoints, logs, pairs)
        profiler = Profiler(log_folder(workdir) / "profile", start or 0, profile if logs else 0)
        try:
            interrupted = run.train(start or 0, stack.enter_context(contextlib.closing(profiler)))
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
    ):
        self._experiment, self._mesh, self._state = experiment, mesh, state
        self._batches, self._checkpoints, self._logs, self._pairs = batches, checkpoints, logs, pairs
        self._named = 0  # corrupt records that were told of

    def train(self, start: int, profiler: Profiler) -> signal.Signals | None:
        """Trains to the end; the signal, if one stopped it before."""
        experiment = self._experiment
        data = Prefetched(self._batches, functools.partial(place_batch, self._mesh))
        progress = Progress(start, experiment.steps, experiment.batch_size)
        train_step, previous, running = None, None, None
        with contextlib.closing(data), contextlib.closing(progress), Interruption() as interruption:
            for step in range(start + 1, experiment.steps + 1):
                try:
                    batch, data_state = data.take(running)
                except InputError:
                    if step - 1 > start and jax.process_count() == 1:  # of many, the others would not join
                        self._checkpoints.save(step - 1, self._state, data_state)
                    raise
                if train_step is None:
                    with progress.paused():
                        train_step = self._compile(batch)
                profiler.before(step, running)
                self._state, metrics = train_step(self._state, batch)
                jax.block_until_ready(previous)  # the host runs ahead by one step: more would only hold memory
                previous, running = running, metrics
                progress.add(metrics)
                profiler.after(step, running)
                stop = interruption.reached(step)
                last = stop or step == experiment.steps
                if last or step % experiment.log_every == 0:
                    self._log(step, progress, data.waited)
                with progress.paused():
                    psnr = None
                    if self._pairs and not stop and (last or step % experiment.validation.every == 0):
                        try:
                            psnr = self._validate(step, interruption)
                        except InputError:  # an image, not the weights
                            if jax.process_count() == 1:
                                self._checkpoints.save(step, self._state, data_state)
                            raise
                    if last or psnr is not None or step % experiment.checkpoint.every == 0:
                        self._checkpoints.save(step, self._state, data_state, psnr)
                if last:
                    break
            self._checkpoints.wait()
        if stop:
            logger.info("Stopped by a signal, saved after step %d; the same command goes on from there.", step)
        return interruption.received if stop else None

    def _compile(self, batch: Batch) -> jax.stages.Compiled:
        start = time.perf_counter()
        compiled = compile_step(self._mesh, self._state).lower(self._state, batch).compile()
        logger.info("compiled in %.1f s, for %d devices", time.perf_counter() - start, self._mesh.size)
        return compiled

    def _log(self, step: int, progress: Progress, waited: float) -> None:
        """Writes what happened since the last time, and ends a run that learns nothing any more."""
        values = progress.summary(waited)
        skipped, in_row = values["skipped"], values.pop("skipped_in_row")
        corrupt = self._batches.corrupt
        for record in corrupt[self._named :]:
            logger.warning("Skipped a damaged record: %s", record)
        self._named = len(corrupt)
        if self._logs:
            self._logs.write(
                step, {f"train/{name}": value for name, value in values.items()} | {"train/corrupt": len(corrupt)}
            )
        progress.show(step, values)
        if in_row:
            logger.warning("No finite gradient in the last %d steps, which were skipped; %d in all.", in_row, skipped)
        if in_row >= self._experiment.max_skipped:
            raise TrainingError(
                f"No finite gradient in {in_row} steps in a row, up to step {step}: a lower --optimizer.learning-rate "
                "or --optimizer.clip-norm may help. What was saved before is kept."
            )

    def _validate(self, step: int, interruption: Interruption) -> float | None:
        """PSNR of the EMA weights, which the first process measures for all; None if it was broken off."""
        ema = jax.jit(lambda tree: tree, out_shardings=NamedSharding(self._mesh, PartitionSpec()))(self._state.ema)
        psnr = math.nan
        if self._logs:
            params = jax.tree.map(np.asarray, ema)
            measured = validate(
                self._experiment, self._state.model, params, self._pairs, lambda: interruption.received is not None
            )
            if measured:
                psnr = measured.psnr
                self._logs.write(step, {f"validation/{name}": value for name, value in measured.scores.items()})
                for name, picture in measured.pictures.items():
                    self._logs.write_picture(step, name, picture)
                scores = ", ".join(f"{name} {value:.4f}" for name, value in measured.scores.items())
                logger.info("validation after step %d: %s (%.1f s)", step, scores, measured.seconds)
        if jax.process_count() > 1:
            psnr = float(multihost_utils.broadcast_one_to_all(np.float32(psnr)))
        return None if math.isnan(psnr) else psnr


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
