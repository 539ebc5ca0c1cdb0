"""The outcome of a run as JSON."""

import contextlib
import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from swinir_jax.cli.output import say
from swinir_jax.cli.tally import Tally
from swinir_jax.cli.termination import describe_end
from swinir_jax.errors import UnwritableError

logger = logging.getLogger(__name__)


class JsonReport:
    """The outcome of a run as JSON, also of a run that an error or a signal ends.

    Attributes:
      networks: networks, scale and reason, as `Chosen.as_dict`; empty values until they are chosen.
      tally: outcomes of the pictures; None until pictures are found.
    """

    def __init__(self) -> None:
        self.networks: Mapping[str, Any] = {"networks": [], "scale": None, "reason": None}
        self.tally: Tally | None = None

    @contextlib.contextmanager
    def printed(self) -> Iterator[None]:
        """Prints the report to standard output at the end of the block, whatever ends the block."""
        error = None
        try:
            yield
        except BaseException as raised:
            error = describe_end(raised)
            raise
        finally:
            outcomes = self.tally.as_dict() if self.tally else {"seconds": 0.0, "pictures": []}
            try:
                say(json.dumps({**self.networks, "error": error, **outcomes}, indent=2))
            except UnwritableError as unwritable:
                if error is None:
                    raise
                logger.error("%s", unwritable)  # the first error is the one to end with
