"""What became of the pictures of a run."""

import dataclasses
import logging
import time
from collections.abc import Sequence
from pathlib import Path

from swinir_jax.errors import printable
from swinir_jax.images import describe_left_out

logger = logging.getLogger(__name__)

EXIT_SOME_FAILED = 1
EXIT_ALL_FAILED = 2

_NAMES_SHOWN = 3


@dataclasses.dataclass
class Tally:
    """Counts pictures, and names those that failed.

    Attributes:
      total: how many there are.
      left_out: what was found and is no picture.
      debug: whether to show where an error comes from.
      restored: how many are done.
      skipped: how many were done before.
      failed: names of the others.
    """

    total: int
    left_out: Sequence[Path] = ()
    debug: bool = False
    restored: int = 0
    skipped: int = 0
    failed: list[str] = dataclasses.field(default_factory=list)
    _start: float = dataclasses.field(default_factory=time.perf_counter)

    def fail(self, name: str, error: Exception, reason: str = "") -> None:
        """Says what is wrong with a picture: the reason, or else the error's text."""
        self.failed.append(name)
        reason = reason or str(error)
        said = reason if printable(name) in printable(reason) else f"{name}: {reason}"
        logger.error("failed: %s", said, exc_info=error if self.debug else None)

    def tell(self, where: object) -> None:
        """Sums up: `8 of 10 pictures, 66 s, in restored/; 1 not restored: a.png; ...`."""
        seconds = time.perf_counter() - self._start
        parts = [f"{self.restored} of {self.total} pictures, {seconds:.{0 if seconds >= 10 else 1}f} s, {where}"]
        if self.skipped:
            parts.append(f"{self.skipped} skipped, as their results exist")
        if self.failed:
            shown = ", ".join(self.failed[:_NAMES_SHOWN]) + (", ..." if len(self.failed) > _NAMES_SHOWN else "")
            parts.append(f"{len(self.failed)} not restored: {shown}")
        if self.left_out:
            parts.append(describe_left_out(self.left_out))
        level = logging.WARNING if self.failed or self.left_out else logging.INFO
        logger.log(level, "%s", "; ".join(parts))

    @property
    def exit_code(self) -> int:
        """0 if nothing failed, 2 if all did, else 1."""
        if not self.failed:
            return 0
        return EXIT_SOME_FAILED if self.restored + self.skipped else EXIT_ALL_FAILED
