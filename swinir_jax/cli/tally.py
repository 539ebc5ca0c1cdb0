"""The outcome of a run, picture by picture."""

import dataclasses
import logging
import time

from swinir_jax.cli.inputs import Inputs, describe_subfolders
from swinir_jax.errors import listed, printable
from swinir_jax.images import describe_left_out

logger = logging.getLogger(__name__)

EXIT_SOME_FAILED = 1
EXIT_ALL_FAILED = 2


@dataclasses.dataclass
class Tally:
    """Counts restored, skipped and failed pictures.

    Attributes:
      inputs: pictures to restore, and what was left out of the folders.
      debug: whether to log the traceback of an error.
      restored: number of restored pictures.
      skipped: number of pictures whose results existed before the run.
      failed: names of the pictures that could not be restored.
    """

    inputs: Inputs
    debug: bool = False
    restored: int = 0
    skipped: int = 0
    failed: list[str] = dataclasses.field(default_factory=list)
    _start: float = dataclasses.field(default_factory=time.perf_counter)

    def fail(self, name: str, error: Exception, reason: str = "") -> None:
        """Counts a failed picture and logs the reason, by default the error's text."""
        self.failed.append(name)
        reason = reason or str(error)
        message = reason if printable(name) in printable(reason) else f"{name}: {reason}"
        logger.error("failed: %s", message, exc_info=error if self.debug else None)

    def tell(self, where: object) -> None:
        """Logs a summary: `8 of 10 pictures, 66 s, in restored/; 2 not restored: a.png, b.png`."""
        seconds = time.perf_counter() - self._start
        total = len(self.inputs.sources) + len(self.inputs.problems)
        parts = [f"{self.restored} of {total} pictures, {seconds:.{0 if seconds >= 10 else 1}f} s, {where}"]
        if self.skipped:
            parts.append(f"{self.skipped} skipped, as their results exist")
        if self.failed:
            parts.append(f"{len(self.failed)} not restored: {listed(self.failed)}")
        if self.inputs.left_out:
            parts.append(describe_left_out(self.inputs.left_out))
        if self.inputs.subfolders:
            parts.append(describe_subfolders(self.inputs.subfolders))
        incomplete = self.failed or self.inputs.left_out or self.inputs.subfolders
        logger.log(logging.WARNING if incomplete else logging.INFO, "%s", "; ".join(parts))

    @property
    def exit_code(self) -> int:
        """0 if no picture failed, 2 if all pictures failed, else 1."""
        if not self.failed:
            return 0
        return EXIT_SOME_FAILED if self.restored + self.skipped else EXIT_ALL_FAILED
