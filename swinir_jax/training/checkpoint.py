"""Files of a run: the experiment as JSON, and Orbax checkpoints."""

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
    ITEMS,
    best_first,
    checkpoint_metrics,
    comparable_scores,
    is_not_from_orbax,
    run_folder,
)
from swinir_jax.errors import InputError, one_line
from swinir_jax.files import cannot_write
from swinir_jax.training.experiment import CheckpointConfig, Experiment
from swinir_jax.training.state import TrainState

logger = logging.getLogger(__name__)

# Folders of a checkpoint; `checkpoints.run` reads parameters and EMA alone.
_PARAMS, _EMA, _REST, _DATA = ITEMS["raw"], ITEMS["ema"], "training", "data"
_REST_FIELDS = ("step", "opt_state", "key", "skipped", "skipped_in_row")
_ADVERSARY, _ADVERSARY_FIELDS = "adversary", ("params", "spectral", "opt_state")
_REMOVAL_ATTEMPTS = 20  # at intervals of 0.1 s, while threads of a failed save still write


class SaveError(InputError):
    """A checkpoint could not be written; earlier checkpoints are intact, and a later save may succeed."""


class _Manager(ocp.CheckpointManager):
    """Checkpoint manager that leaves the question whether to stop to the training loop.

    JAX takes each call of `reached_preemption_sync_point` for the current step of the process, to find a step at which
    all processes stop. Orbax would also call it with the saved step when a save ends: the processes would then stop at
    different steps, or never.
    """

    def reached_preemption(self, step: int) -> bool:
        return False


@dataclasses.dataclass(frozen=True)
class _Best(preservation_policy.PreservationPolicy):
    """Keeps the best `count` checkpoints among those with scores comparable to the newest."""

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
    """Checkpoints of a run; all processes of the run must create one and make the same calls.

    Saving runs in the background of training. A checkpoint appears complete, by one rename, so that a killed or failed
    save leaves the previous checkpoint intact. The last `keep_last` checkpoints are kept, and the best `keep_best` by
    PSNR among those with comparable scores.
    """

    def __init__(self, workdir: str | os.PathLike[str], config: CheckpointConfig):
        """Opens the checkpoints of a run, and removes the remains of killed saves.

        Args:
          workdir: folder of the run, a path or `gs://...`.
          config: numbers of checkpoints to keep.

        Raises:
          InputError: if the folder cannot be created.
        """
        logging.getLogger("absl").addFilter(is_not_from_orbax)
        self._folder = run_folder(workdir) / CHECKPOINTS_FOLDER
        self._config = config
        self._pending: int | None = None  # step of the save that may still fail
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
                best_fn=lambda metrics: metrics.get("psnr", -math.inf),  # Orbax writes metrics only with a `best_fn`
                preservation_policy=preservation_policy.AnyPreservationPolicy(policies),
                # If creating a folder failed in a thread, other threads would wait for minutes.
                async_options=ocp.options.AsyncOptions(create_directories_asynchronously=False),
            ),
        )

    def latest_step(self) -> int | None:
        """Waits for the current save, and returns the step of the last complete checkpoint, or None."""
        with self._reporting():
            self._manager.wait_until_finished()
        return self._manager.latest_step()

    def save(
        self, step: int, state: TrainState, data_state: Mapping[str, Any], psnr: float | None = None, setting: str = ""
    ) -> None:
        """Starts saving a state, unless there is a checkpoint of this step already.

        A failed save is logged as a warning, now or at the next call, and training may continue.

        Args:
          step: step of the state.
          state: training state; later steps may overwrite the buffers as soon as this returns.
          data_state: position of the data, as JSON types.
          psnr: validation PSNR in dB; None if the state was not validated.
          setting: validation setting of the run, from `describe_setting`; empty for no validation.
        """
        with self._reporting():
            self._manager.wait_until_finished()
        self._pending = step
        with self._reporting():
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    **{
                        _PARAMS: ocp.args.StandardSave(state.params),
                        _EMA: ocp.args.StandardSave(state.ema),
                        _REST: ocp.args.StandardSave(_rest(state)),
                        _DATA: ocp.args.JsonSave(dict(data_state)),
                    }
                ),
                metrics=checkpoint_metrics(psnr, setting),
            )

    def wait(self) -> None:
        """Waits until the last save is complete.

        Raises:
          SaveError: if the save failed.
        """
        with self._reporting(SaveError):
            self._manager.wait_until_finished()

    def restore(self, state: TrainState) -> tuple[TrainState, dict[str, Any]]:
        """Reads the last checkpoint.

        Args:
          state: shapes, dtypes and shardings from `abstract_state`; shardings may differ from the saved ones.

        Returns:
          The training state, whose `features` stay as given, and the position of the data.

        Raises:
          InputError: if there is no checkpoint, or it is damaged or does not fit the state.
        """
        step = self.latest_step()
        if step is None:
            raise InputError(f"{self._folder}: this folder has no checkpoint.")
        targets = {
            _PARAMS: state.params,
            _EMA: state.ema,
            _REST: _rest(state),
        }
        arguments: dict[str, Any] = {name: ocp.args.StandardRestore(target) for name, target in targets.items()}
        try:
            found = self._manager.restore(step, args=ocp.args.Composite(**arguments, **{_DATA: ocp.args.JsonRestore()}))
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                f"{self._folder / str(step)}: damaged, or of another experiment ({one_line(error)})."
            ) from error
        rest = found[_REST]
        if state.adversary is not None:
            rest[_ADVERSARY] = state.adversary.replace(**rest[_ADVERSARY])
        return state.replace(params=found[_PARAMS], ema=found[_EMA], **rest), found[_DATA]

    def close(self) -> None:
        """Waits until the last save is complete, and stops the threads.

        Raises:
          SaveError: if the last save failed.
        """
        try:
            self.wait()
        finally:
            self._manager.close()

    @contextlib.contextmanager
    def _reporting(self, raised: type[SaveError] | None = None) -> Iterator[None]:
        """Turns the error of a failed save into a SaveError or a warning, and reopens the checkpoints."""
        try:
            yield
        except (OSError, ValueError, RuntimeError) as error:  # from Orbax, TensorStore or XLA
            # The manager counts the failed step as saved, and the checkpoints that it would replace as removed.
            with contextlib.suppress(Exception):  # closing raises the same error again
                self._manager.close()
            self._manager = self._open()
            latest = self._manager.latest_step()
            kept = "there is no earlier one" if latest is None else f"the last good one is of step {latest}"
            failed = SaveError(f"{self._folder / str(self._pending)}: could not be saved ({one_line(error)}); {kept}.")
            if raised:
                raise failed from error
            logger.warning("%s", failed)


def _rest(state: TrainState) -> dict[str, Any]:
    """Returns what a checkpoint holds of the state beside parameters and EMA."""
    rest = {name: getattr(state, name) for name in _REST_FIELDS}
    if state.adversary is not None:
        rest[_ADVERSARY] = {name: getattr(state.adversary, name) for name in _ADVERSARY_FIELDS}
    return rest


def _remove_unfinished(folder: epath.Path) -> None:
    """Removes the remains of killed and failed saves.

    Orbax would remove them in a thread, without another attempt if threads of the failed save are still writing.
    """
    for _ in range(_REMOVAL_ATTEMPTS):
        unfinished = [path.get() for path in ocp.utils.tmp_checkpoints(folder)]
        if not unfinished:
            return
        for path in unfinished:
            with contextlib.suppress(OSError):  # the next opening of the run tries again
                path.rmtree()
        time.sleep(0.1)


def write_config(workdir: str | os.PathLike[str], experiment: Experiment) -> None:
    """Writes `experiment.json` by one rename, in the first process of a run.

    Raises:
      InputError: if the file cannot be written.
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
    """Reads the experiment of a run; None if the folder has no `experiment.json`.

    Raises:
      InputError: if the file cannot be read or is not an experiment.
    """
    path: epath.Path = run_folder(workdir) / EXPERIMENT_FILE
    try:
        return Experiment.from_dict(json.loads(path.read_text())) if path.exists() else None
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: not readable as an experiment ({error}).") from error
