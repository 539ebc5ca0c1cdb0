"""What a run keeps on disk: its experiment, and checkpoints by Orbax."""

import contextlib
import dataclasses
import json
import logging
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath
from orbax.checkpoint.checkpoint_managers import preservation_policy

from swinir_jax.checkpoints.run import (
    CHECKPOINTS_FOLDER,
    EXPERIMENT_FILE,
    best_first,
    checkpoint_metrics,
    comparable_scores,
    run_folder,
)
from swinir_jax.errors import InputError
from swinir_jax.files import cannot_write
from swinir_jax.training.experiment import CheckpointConfig, Experiment
from swinir_jax.training.state import TrainState

logger = logging.getLogger(__name__)

# Folders of a checkpoint, as `checkpoints.run` reads them: parameters and EMA by themselves, then all else.
_PARAMS, _EMA, _REST, _DATA = "params", "ema", "training", "data"
_REST_FIELDS = ("step", "opt_state", "key", "skipped", "skipped_in_row")
_REMOVALS = 20  # at most, of what a failed save goes on writing; a tenth of a second apart


class SaveError(InputError):
    """A checkpoint could not be written; those before it are whole, and a later one may succeed."""


class _Manager(ocp.CheckpointManager):
    """Does not ask JAX whether the run is to stop: the loop does.

    JAX takes each question for the step that this process has come to, and agrees on the first that none has passed.
    Orbax also asks when a save ends, of the step that was saved: processes then stop at different steps, or never.
    """

    def reached_preemption(self, step: int) -> bool:
        return False


@dataclasses.dataclass(frozen=True)
class _Best(preservation_policy.PreservationPolicy):
    """Keeps the best `count` of those that can be compared with the newest."""

    count: int

    def should_preserve(
        self,
        checkpoints: Sequence[preservation_policy.PolicyCheckpointInfo],
        *,
        context: preservation_policy.PreservationContext,
    ) -> Sequence[bool]:
        scores = comparable_scores({checkpoint.step: checkpoint.metrics for checkpoint in checkpoints})
        best = best_first(scores)[: self.count]
        return [checkpoint.step in best for checkpoint in checkpoints]


class Checkpoints:
    """The checkpoints of a run; all its processes make and call one alike.

    Saving goes on while training does. A checkpoint appears by one rename, whole or not at all, so that a killed or
    failed save leaves the one before. The last `keep_last` are kept, and the `keep_best` by PSNR of those that were
    measured alike.
    """

    def __init__(self, workdir: str | os.PathLike[str], config: CheckpointConfig):
        """Opens the checkpoints of a run, and removes what killed saves have left.

        Args:
          workdir: folder of the run, on this machine or `gs://...`.
          config: what is kept.

        Raises:
          InputError: if the folder cannot be made.
        """
        logging.getLogger("absl").addFilter(_is_not_of_orbax)
        self._folder = run_folder(workdir) / CHECKPOINTS_FOLDER
        self._config = config
        self._unsure: int | None = None  # the step of a save that may still fail
        try:
            self._manager = self._open()
        except OSError as error:
            raise cannot_write(self._folder, error) from error

    def _open(self) -> _Manager:
        if jax.process_index() == 0:
            _remove_unfinished(self._folder)
        policies = [preservation_policy.LatestN(self._config.keep_last), _Best(self._config.keep_best)]
        return _Manager(
            self._folder,
            item_names=(_PARAMS, _EMA, _REST, _DATA),
            options=ocp.CheckpointManagerOptions(
                best_fn=lambda metrics: metrics.get("psnr", -math.inf),  # without one, metrics are not written
                preservation_policy=preservation_policy.AnyPreservationPolicy(policies),
                # Where it fails in a thread, others wait for minutes.
                async_options=ocp.options.AsyncOptions(create_directories_asynchronously=False),
            ),
        )

    def latest_step(self) -> int | None:
        """Steps of the last whole checkpoint, or None if there is none; waits for a save that is under way."""
        with self._telling():
            self._manager.wait_until_finished()
        return self._manager.latest_step()

    def save(
        self, step: int, state: TrainState, data_state: Mapping[str, Any], psnr: float | None = None, setting: str = ""
    ) -> None:
        """Begins to save; a checkpoint of this step that is there already is left.

        A save that fails is told by a warning, now or at the next call, and training may go on.

        Args:
          step: of the state.
          state: its buffers may be used again once this returns.
          data_state: of the data's iterator, as JSON can hold it.
          psnr: by validation, in dB; None if there was none.
          setting: of the validation that the run has at this time, as `describe_setting` says; empty for none.
        """
        with self._telling():
            self._manager.wait_until_finished()
        self._unsure = step
        with self._telling():
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    **{
                        _PARAMS: ocp.args.StandardSave(state.params),
                        _EMA: ocp.args.StandardSave(state.ema),
                        _REST: ocp.args.StandardSave({name: getattr(state, name) for name in _REST_FIELDS}),
                        _DATA: ocp.args.JsonSave(dict(data_state)),
                    }
                ),
                metrics=checkpoint_metrics(psnr, setting),
            )

    def wait(self) -> None:
        """Waits until the last save is on disk.

        Raises:
          SaveError: if it failed.
        """
        with self._telling(SaveError):
            self._manager.wait_until_finished()

    def restore(self, state: TrainState) -> tuple[TrainState, dict[str, Any]]:
        """Reads the last checkpoint.

        Args:
          state: shapes, dtypes and shardings, as from `abstract_state`; others than it was saved with will do.

        Returns:
          The state and the data's state.

        Raises:
          InputError: if there is none, or it does not fit the state or is damaged.
        """
        step = self.latest_step()
        if step is None:
            raise InputError(f"{self._folder}: no checkpoint here.")
        targets = {
            _PARAMS: state.params,
            _EMA: state.ema,
            _REST: {name: getattr(state, name) for name in _REST_FIELDS},
        }
        arguments: dict[str, Any] = {name: ocp.args.StandardRestore(target) for name, target in targets.items()}
        try:
            found = self._manager.restore(step, args=ocp.args.Composite(**arguments, **{_DATA: ocp.args.JsonRestore()}))
        except (OSError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())[:300]
            raise InputError(f"{self._folder / str(step)}: damaged, or of another experiment ({reason}).") from error
        return state.replace(params=found[_PARAMS], ema=found[_EMA], **found[_REST]), found[_DATA]

    def close(self) -> None:
        """Waits as `wait`, and lets go of threads.

        Raises:
          SaveError: if the last save failed.
        """
        try:
            self.wait()
        finally:
            self._manager.close()

    @contextlib.contextmanager
    def _telling(self, raised: type[SaveError] | None = None) -> Iterator[None]:
        """Turns what a failed save raises into a SaveError or a warning, and opens the checkpoints anew."""
        try:
            yield
        except (OSError, ValueError, RuntimeError) as error:  # of Orbax itself, TensorStore, XLA
            # It still takes the failed step for saved and those for removed that were to make room for it.
            with contextlib.suppress(Exception):  # the same error again
                self._manager.close()
            self._manager = self._open()
            latest = self._manager.latest_step()
            kept = "there is none before it" if latest is None else f"the last good one is of step {latest}"
            reason = " ".join(str(error).split())[:300]
            failed = SaveError(f"{self._folder / str(self._unsure)}: could not be saved ({reason}); {kept}.")
            if raised:
                raise failed from error
            logger.warning("%s", failed)


def _remove_unfinished(folder: epath.Path) -> None:
    """Removes what killed and failed saves have left.

    Orbax would do so in a thread, and not try again where threads of the failed save are still writing.
    """
    for _ in range(_REMOVALS):
        unfinished = [path.get() for path in ocp.utils.tmp_checkpoints(folder)]
        if not unfinished:
            return
        for path in unfinished:
            with contextlib.suppress(OSError):  # in use, or on a disk that is gone: the next to open tries again
                path.rmtree()
        time.sleep(0.1)


def _is_not_of_orbax(record: logging.LogRecord) -> bool:
    """Of a failed save, each thread of Orbax logs a traceback; it is told once, in a line."""
    return f"{os.sep}orbax{os.sep}" not in record.pathname


def write_config(workdir: str | os.PathLike[str], experiment: Experiment) -> None:
    """Writes `experiment.json`, by one rename; in a run of several processes the first one writes.

    Raises:
      InputError: if it cannot be written.
    """
    if jax.process_index():
        return
    path = run_folder(workdir) / EXPERIMENT_FILE
    temporary = path.with_name(f".{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(experiment.to_dict(), indent=2) + "\n")
        temporary.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error


def read_config(workdir: str | os.PathLike[str]) -> Experiment | None:
    """The experiment of a run, or None if the folder holds none.

    Raises:
      InputError: if the file cannot be read or is not one of an experiment.
    """
    path: epath.Path = run_folder(workdir) / EXPERIMENT_FILE
    try:
        return Experiment.from_dict(json.loads(path.read_text())) if path.exists() else None
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: not readable as an experiment ({error}).") from error
