"""One network or several in turn, images larger than memory, and scales that no network has."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from swinir_jax.checkpoints.pretrained import load_pretrained
from swinir_jax.checkpoints.purposes import Choice
from swinir_jax.data.degradations import imresize
from swinir_jax.errors import InputError, is_int
from swinir_jax.images import Picture, read_header
from swinir_jax.inference.engine import MEMORY_SHARE
from swinir_jax.inference.memory import free_bytes
from swinir_jax.inference.photographs import PhotoRestorer
from swinir_jax.inference.restorer import Restorer, ignore
from swinir_jax.inference.streaming import continues_by_rows, fitting_size, restore_by_rows
from swinir_jax.machine import resident_bytes
from swinir_jax.models import SwinIR

Network = tuple[SwinIR, Mapping[str, Any]]
"""Model and parameters from `load_pretrained`."""

_REDUCING_BYTES = 28  # held by `imresize` for each pixel of a channel: float64 samples of both sizes and copies


class NetworkChain(PhotoRestorer):
    """Restores photographs of any size, also in files larger than memory, by one network or several in turn.

    MATLAB's bicubic reduces an answer that is too large. Between networks, and before bicubic, answers are clipped to
    [0, 1]; they are never rounded.

    Attributes:
      restorers: the networks' Restorers, in the order in which they run.
    """

    def __init__(
        self,
        networks: Sequence[Network],
        scale: int | None = None,
        *,
        memory: int | None = None,
        done: Callable[[int, int], None] = ignore,
        **options: Any,
    ):
        """Puts the parameters on the device.

        Args:
          networks: models and parameters in the order in which they run.
          scale: sides of the result over sides of the image; None for what the networks give.
          memory: bytes that the process may hold; None for those it holds now and a share of the free ones.
          done: called with (tiles just finished, tiles of the image in all networks), for a progress bar; the first
            time with 0, once programs are compiled.
          **options: other options of a `Restorer`, for each network.

        Raises:
          InputError: if there are no networks, they enlarge by less than `scale`, or an argument has a wrong value.
        """
        if memory is None:
            memory = resident_bytes() + int(MEMORY_SHARE * free_bytes(jax.devices("cpu")[0]))
        self.restorers = [Restorer(*network, memory=memory, done=self._count, **options) for network in networks]
        if not self.restorers:
            raise InputError("A NetworkChain needs at least one network, got none.")
        enlarged = math.prod(restorer.scale for restorer in self.restorers)
        self._scale = enlarged if scale is None else scale
        if not is_int(self._scale) or self._scale < 1:
            raise InputError(f"The scale must be a whole number of at least 1, got {scale!r}.")
        if self._scale > enlarged:
            raise InputError(f"The networks enlarge by {enlarged}, which is less than the scale of {scale}.")
        self._is_reduced, self._largest = self._scale < enlarged, enlarged
        self._done, self._tiles = done, 0

    @property
    def models(self) -> tuple[SwinIR, ...]:
        """Networks in the order in which they run."""
        return tuple(restorer.model for restorer in self.restorers)

    @property
    def scale(self) -> int:
        """Sides of the result over sides of the image."""
        return self._scale

    def plan(self, sizes: Iterable[tuple[int, int]]) -> None:
        """Chooses tiles for a set of images, as `PhotoRestorer.plan`, for each network."""
        stages = [[*self._stages(size)] for size in sizes]
        for i, restorer in enumerate(self.restorers):
            restorer.plan(networks[i][1] for networks in stages)

    def work(self, size: tuple[int, int]) -> float:
        """Returns the multiplications of all networks for an image of (height, width), as `Restorer.work`."""
        return sum(restorer.work(enlarged) for restorer, enlarged in self._stages(size))

    def tile_works(self, size: tuple[int, int]) -> list[float]:
        """Returns the part of `work` that each tile takes, in the order in which tiles run."""
        return [work for restorer, enlarged in self._stages(size) for work in restorer.tile_works(enlarged)]

    def size_if_fits(self, path: Path) -> tuple[int, int] | None:
        """Returns height and width of the image in a file if it can be restored in memory, as `fitting_size`.

        Raises:
          InputError: if the header cannot be read, or the image fits neither in memory nor by rows.
        """
        memory = self.restorers[0].engine.unused_memory()
        size = fitting_size(path, memory, self._largest, beside=_REDUCING_BYTES if self._is_reduced else 0)
        if size is None:
            self._check_rows(path)
        return size

    def continues(self, path: Path, target: Path) -> bool:
        """Returns whether `restore_file` would go on with an unfinished result, as `continues_by_rows`."""
        return not self._is_reduced and continues_by_rows(self.restorers, path, target)

    def restore_file(
        self, path: Path, target: Path, *, background: str | None = None, strip_metadata: bool = False
    ) -> tuple[int, Picture]:
        """Restores an image of any size, a row of tiles of each network at a time, as `restore_by_rows`.

        Raises:
          InputError: as `restore_by_rows` does, or if bicubic reduces the answer.
        """
        self._check_rows(path)
        return restore_by_rows(
            self.restorers, path, target, self._done, background=background, strip_metadata=strip_metadata
        )

    def _check_rows(self, path: Path) -> None:
        if self._is_reduced:
            height, width = read_header(path).size
            raise InputError(
                f"{path}: {width}x{height} pixels are too many for the memory allowed; scale {self._scale} ends with "
                f"bicubic resizing, which needs the whole image; scale {self._largest} does not (--scale)."
            )

    def _restore(self, image: np.ndarray) -> np.ndarray:
        h, w = image.shape[:2]
        for restorer, size in self._stages((h, w)):
            restorer.prepare(size)
        self._tiles = sum(restorer.count_tiles(size) for restorer, size in self._stages((h, w)))
        for i, restorer in enumerate(self.restorers):
            image = restorer.restore(np.clip(image, 0, 1) if i else image)
        return _reduced(np.clip(image, 0, 1), (h * self.scale, w * self.scale)) if self._is_reduced else image

    def _stages(self, size: tuple[int, int]) -> Iterator[tuple[Restorer, tuple[int, int]]]:
        """Yields each network's restorer with the size of the image that the networks before it give."""
        h, w = size
        for restorer in self.restorers:
            yield restorer, (h, w)
            h, w = h * restorer.scale, w * restorer.scale

    def _count(self, tiles: int, total: int) -> None:
        self._done(tiles, self._tiles)


def load_restorer(
    choice: Choice,
    *,
    strength: float | None = None,
    dtype: Any = jnp.float32,
    weights_dir: str | None = None,
    progress: bool = False,
    **options: Any,
) -> NetworkChain:
    """Loads the networks of a choice, and downloads those that are not on this machine.

    Args:
      choice: answer of `choose_models`.
      strength: if the first network has two ends, 0 for the faithful one, 1 for the strong one, between for a blend;
        None for the network's default.
      dtype: dtype in which the networks compute, float32 or bfloat16.
      weights_dir: folder in which official files are looked for first.
      progress: whether to draw a progress bar while downloading.
      **options: options of a `NetworkChain`, such as `memory` and `done`.

    Returns:
      A chain, which is called with an image `[h, w]` or `[h, w, C]`, as a `Restorer`.

    Raises:
      InputError: if weights cannot be loaded, an option has a wrong value, or a strength is given for a network without
        two ends.
    """
    strengths = [strength, *[None] * (len(choice.passes) - 1)]
    networks = [
        load_pretrained(step.source, strength=given, dtype=dtype, weights_dir=weights_dir, progress=progress)
        for step, given in zip(choice.passes, strengths, strict=True)
    ]
    return NetworkChain(networks, choice.scale, **options)


def _reduced(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes `[h, w, C]` float32 like MATLAB, one channel after the other to save memory."""
    planes = [imresize(image[..., i], size=size).astype(np.float32) for i in range(image.shape[-1])]
    return np.stack(planes, axis=-1)
