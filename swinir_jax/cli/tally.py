"""The outcome of a run, picture by picture."""

import contextlib
import dataclasses
import errno
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from swinir_jax.cli.exit_codes import code_of
from swinir_jax.cli.inputs import Inputs, Source
from swinir_jax.errors import InputError, listed, printable

logger = logging.getLogger(__name__)

State = Literal["restored", "skipped", "failed"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What happened to one picture.

    Attributes:
      input: name of the picture, as the user wrote it.
      output: file of the result; None if there is none.
      state: "restored", "skipped" if the result existed before the run, or "failed".
      seconds: time of reading, restoring and writing; None if the picture was not restored.
      error: why the picture failed, in one line without the name; None if it did not.
    """

    input: str
    output: str | None = None
    state: State
    seconds: float | None = None
    error: str | None = None


@dataclasses.dataclass
class Tally:
    """Counts restored, skipped and failed pictures.

    Attributes:
      inputs: pictures to restore, and what was left out of the folders.
      debug: whether to log the traceback of an error.
      outcomes: outcome of each picture so far.
      is_full: whether a picture failed because the disk is full.
    """

    inputs: Inputs
    debug: bool = False
    outcomes: list[Outcome] = dataclasses.field(default_factory=list)
    is_full: bool = False
    _start: float = dataclasses.field(default_factory=time.perf_counter)

    def finish(self, name: str, target: Path, seconds: float) -> None:
        """Counts a restored picture."""
        self.outcomes.append(Outcome(input=name, output=str(target), state="restored", seconds=round(seconds, 3)))

    def skip(self, name: str, target: Path) -> None:
        """Counts a picture whose result exists and is kept."""
        logger.info("%s: exists, skipped", target)
        self.outcomes.append(Outcome(input=name, output=str(target), state="skipped"))

    def fail(self, name: str, error: Exception, reason: str = "") -> None:
        """Counts a failed picture and logs the reason, by default the error's text."""
        reason = reason or str(error)
        self.outcomes.append(Outcome(input=name, state="failed", error=reason.removeprefix(f"{name}: ")))
        self.is_full |= any(
            isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)
            for cause in (error, error.__cause__)
        )
        message = reason if printable(name) in printable(reason) else f"{name}: {reason}"
        logger.error("failed: %s", message, exc_info=error if self.debug else None)

    def give_up(self, name: str) -> None:
        """Counts a picture that is left, because the disk is full; its result may still have been written."""
        self.outcomes.append(Outcome(input=name, state="failed", error="given up, as the disk is full"))

    @property
    def targets(self) -> list[Path]:
        """Files of the results that were written."""
        return [Path(outcome.output) for outcome in self._of("restored") if outcome.output]

    def _of(self, state: State) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.state == state]

    @property
    def _seconds(self) -> float:
        return time.perf_counter() - self._start

    def tell(self, where: object) -> None:
        """Logs a summary: `8 of 10 pictures, 66 s, in restored/; 2 not restored: a.png, b.png`."""
        seconds, failed, skipped = self._seconds, self._of("failed"), self._of("skipped")
        total = len(self.inputs.sources) + len(self.inputs.problems)
        parts = [f"{len(self.targets)} of {total} pictures, {seconds:.{0 if seconds >= 10 else 1}f} s, {where}"]
        if skipped:
            parts.append(f"{len(skipped)} skipped, as their results exist")
        if failed:
            parts.append(f"{len(failed)} not restored: {listed([outcome.input for outcome in failed])}")
        others = self.inputs.describe_others()
        logger.log(logging.WARNING if failed or others else logging.INFO, "%s", "; ".join(parts + others))

    def as_dict(self) -> dict[str, Any]:
        """Returns the seconds of the run and the outcomes, as values of JSON."""
        return {
            "seconds": round(self._seconds, 3),
            "pictures": [dataclasses.asdict(outcome) for outcome in self.outcomes],
        }

    @property
    def exit_code(self) -> int:
        """Exit code of the run, in which a result that existed counts as done."""
        failed = len(self._of("failed"))
        return code_of(failed, len(self.outcomes) - failed)


@contextlib.contextmanager
def counting(source: Source, tally: Tally | None) -> Iterator[None]:
    """Counts a failure of one picture, if there is a tally, and lets the run continue."""
    try:
        yield
    except BrokenPipeError:  # handled by `main`
        raise
    except (InputError, OSError, MemoryError) as error:  # concern one picture
        if tally:
            tally.fail(source.name, error, source.renamed(error))
