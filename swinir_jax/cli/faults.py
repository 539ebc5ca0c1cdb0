"""Warnings about faults of pictures that the chosen networks leave or enlarge."""

import logging
import threading
from collections.abc import Sequence

from swinir_jax.checkpoints.catalogue import purpose_of
from swinir_jax.cli.choosing import Chosen
from swinir_jax.images import Header, Picture
from swinir_jax.inference.noise import NOISY_LEVEL, noise_level

logger = logging.getLogger(__name__)

_REMOVING_NOISE = {"photo", "noise", "gray-noise"}  # purposes


class FaultWatch:
    """Counts pictures with faults that known networks do not remove; says so once for each kind.

    A picture gets one piece of advice: a JPEG file that is noisy, too, counts as a JPEG file.
    """

    def __init__(self, chosen: Chosen):
        """Looks the purposes of the networks up; networks that have no known name are not watched."""
        purposes = [purpose_of(name) for name in chosen.names]
        self._names, self._enlarges_faults = chosen.names, purposes[0] == "clean"
        self._leaves_noise = None not in purposes and not _REMOVING_NOISE & {*purposes}
        self._pictures = self._noisy = 0
        self._lock = threading.Lock()

    def look_at_headers(self, headers: Sequence[Header]) -> None:
        """Warns of JPEG files."""
        count = sum(header.format == "JPEG" for header in headers)
        if self._enlarges_faults and count:
            what = "are JPEG files" if count > 1 else "is a JPEG file"
            self._warn(count, len(headers), what, "--for photo or jpeg removes them first")

    def look_at(self, picture: Picture, header: Header) -> None:
        """Estimates the noise of a picture, in any thread."""
        is_watched = header.format != "JPEG" if self._enlarges_faults else self._leaves_noise
        is_noisy = is_watched and noise_level(picture) > NOISY_LEVEL
        with self._lock:
            self._pictures += 1
            self._noisy += is_noisy

    def tell(self) -> None:
        """Warns of noisy pictures among those that were looked at."""
        if not self._noisy:
            return
        what = "are noisy" if self._noisy > 1 else "is noisy"
        if self._enlarges_faults:
            self._warn(self._noisy, self._pictures, what, "--for noise removes them first")
        else:
            logger.warning(
                "%d of %d pictures %s, and the noise stays after %s; --for photo --best removes it, and --for noise, "
                "where no telephone has smoothed and compressed it",
                self._noisy, self._pictures, what, " and ".join(self._names),
            )  # fmt: skip

    def _warn(self, count: int, total: int, what: str, remedy: str) -> None:
        logger.warning(
            "%d of %d pictures %s; %s knows only clean ones and enlarges the faults, too; %s",
            count, total, what, self._names[0], remedy,
        )  # fmt: skip
