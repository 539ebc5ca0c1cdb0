"""Warnings about pictures with faults that a network for clean pictures would enlarge."""

import logging
from collections.abc import Sequence

from swinir_jax.checkpoints.catalogue import purpose_of
from swinir_jax.cli.choosing import Chosen
from swinir_jax.images import Header, Picture
from swinir_jax.inference.noise import NOISY_LEVEL, noise_level

logger = logging.getLogger(__name__)


class FaultWatch:
    """Counts pictures with faults, if the first network knows only clean pictures; says so once for each kind."""

    def __init__(self, chosen: Chosen):
        """Looks the purpose of the first network up; a network that has no known name is not watched."""
        self._name, self._is_on = chosen.names[0], purpose_of(chosen.names[0]) == "clean"
        self._pictures = self._noisy = 0

    def look_at_headers(self, headers: Sequence[Header]) -> None:
        """Warns of JPEG files."""
        if self._is_on:
            count = sum(header.format == "JPEG" for header in headers)
            self._warn(count, len(headers), "JPEG files" if count > 1 else "a JPEG file", "--for photo or jpeg")

    def look_at(self, picture: Picture) -> None:
        """Estimates the noise of a picture."""
        if self._is_on:
            self._pictures += 1
            self._noisy += noise_level(picture) > NOISY_LEVEL

    def tell(self) -> None:
        """Warns of noisy pictures among those that were looked at."""
        self._warn(self._noisy, self._pictures, "noisy", "--for noise")

    def _warn(self, count: int, total: int, what: str, remedy: str) -> None:
        if count:
            verb = "is" if count == 1 else "are"
            logger.warning(
                "%d of %d pictures %s %s; %s knows only clean ones and enlarges the faults, too; %s removes them first",
                count, total, verb, what, self._name, remedy,
            )  # fmt: skip
