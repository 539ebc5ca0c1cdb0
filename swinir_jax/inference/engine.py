"""A network on its devices, run in tiles that fit into memory: what every Restorer holds."""

import logging
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np

from swinir_jax.errors import InputError, is_int
from swinir_jax.inference.plan import MAX_AUTO_TILE, Layout
from swinir_jax.inference.programs import Programs
from swinir_jax.inference.tiling import Shape
from swinir_jax.machine import resident_bytes
from swinir_jax.models import SwinIR

logger = logging.getLogger(__name__)

MEMORY_SHARE = 0.6  # of the free memory; the rest is for the host's own copies and for other processes
_CPU_BATCH_SIZE, _BATCH_SIZE = 1, 8  # tiles in one call; larger batches gain nothing on a CPU
_LARGE_PIXELS = 2**22  # whose restoration takes a CPU much longer than compiling one more program
_SURELY_TOO_MUCH = 1.5  # times the free memory


class Engine:
    """Chooses tiles by size and memory, and runs the network over batches of tiles.

    Can be pickled and copied; a copy compiles its programs anew.

    Attributes:
      layout: padding of images and division into tiles.
      programs: the compiled network and its weights.
      batch_size: tiles in one call, over all devices.
      memory: bytes that the process may hold on a CPU; None for a share of the free memory.
    """

    def __init__(
        self,
        model: SwinIR,
        params: Mapping[str, Any],
        layout: Layout,
        *,
        batch_size: int | None,
        mesh: jax.sharding.Mesh | None,
        fast: bool,
        memory: int | None = None,
    ):
        """Puts the parameters on the devices.

        Args:
          model: the network.
          params: parameters of the network.
          layout: as the attribute.
          batch_size: tiles in one call, rounded up to equally many on each device; None for 1 on each CPU and 8 on
            each other device.
          mesh: devices of this process; None for one device.
          fast: whether a single device runs `swinir_jax.cpu` or the kernel of `swinir_jax.gpu`.
          memory: as the attribute.

        Raises:
          InputError: if `batch_size` or `memory` has another value, or the mesh has devices of other processes.
        """
        if batch_size is not None and (not is_int(batch_size) or batch_size < 1):
            raise InputError(f"batch_size must be at least 1, got {batch_size}.")
        if memory is not None and (not is_int(memory) or memory < 0):
            raise InputError(f"memory must be a number of bytes, got {memory!r}.")
        self.layout, self.memory = layout, memory
        self.programs = Programs(model, params, mesh, fast=fast)
        devices = self.programs.devices
        if batch_size is None:
            batch_size = devices.count * (_CPU_BATCH_SIZE if self.on_cpu else _BATCH_SIZE)
        self.batch_size = math.ceil(batch_size / devices.count) * devices.count
        self._channels = model.config.in_chans
        self._shared_tiles: dict[Shape, Shape] = {}  # by padded image size
        self._fitting_sides: dict[tuple[int, ...], int] = {}  # by the shape of a batch that does not fit

    @property
    def on_cpu(self) -> bool:
        """Whether programs run in the host's memory."""
        return self.programs.devices.first.platform == "cpu"

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Restores `[B, h, w, C]` float32, as `Programs.run`."""
        return self.programs.run(batch)

    def tile(self, size: Shape) -> Shape:
        """Chooses the tile for an image of (height, width) before padding: shared after `plan`, else its own."""
        padded = self.layout.padded(size)
        if padded in self._shared_tiles:
            return self._shared_tiles[padded]
        return self.layout.alone(size, self.fitting_side(padded) if self.layout.tile == "auto" else None)

    def pixels(self, size: Shape) -> int:
        """Returns the pixels that run for an image of (height, width), in shared tiles or whole; compiles nothing."""
        padded = self.layout.padded(size)
        return self.layout.work(padded, self._shared_tiles.get(padded, padded))

    def plan(self, sizes: Iterable[Shape]) -> None:
        """Chooses tiles that many images share, so that few programs are compiled (see `Layout.together`).

        Args:
          sizes: (height, width) of each image before padding; repeated sizes count for more.
        """
        counts, platform = Counter(sizes), self.programs.devices.first.platform
        self._shared_tiles, limit = self.layout.together(counts, platform), MAX_AUTO_TILE
        while self.layout.tile == "auto" and self._shared_tiles:
            largest = max(self._shared_tiles.values(), key=math.prod)
            fitting = self.fitting_side(largest, self.batch_size)
            if fitting is None or fitting >= limit:
                break
            limit = fitting
            self._shared_tiles = self.layout.together(counts, platform, limit)
        if self._shared_tiles:
            shapes = ", ".join(f"{w}x{h}" for h, w in sorted(set(self._shared_tiles.values())))
            logger.info("%d sizes of pictures share tiles of %s to prepare networks less often", len(counts), shapes)

    def fitting_side(self, size: Shape, batch_size: int = 1) -> int | None:
        """Returns None if a batch of images of a padded size fits into memory, else the side of a tile that fits."""
        height, width = size
        shape = (batch_size, height, width, self._channels)
        if shape in self._fitting_sides:
            return self._fitting_sides[shape]
        need, budget = self._need(shape), self.budget()
        if need <= budget:
            return None
        self.programs.drop(shape)
        side = math.isqrt(int(budget / (need / (batch_size * height * width)) / self.batch_size))
        window = self.layout.window
        side = max(min(side, MAX_AUTO_TILE) // window * window, self.layout.smallest())
        self._fitting_sides[shape] = side
        logger.info(
            "%dx%d needs %.1f GB, %.1f GB are free: tiles of %d.", width, height, need / 1e9, budget / 1e9, side
        )
        return side

    def _need(self, shape: tuple[int, ...]) -> float:
        """Returns the bytes of a program; those of a large one that will surely not fit are told by that of a tile."""
        height, width = shape[1:3]
        if self.on_cpu and height * width > _LARGE_PIXELS:
            largest = MAX_AUTO_TILE // self.layout.window * self.layout.window
            tile = (self.layout.balanced(height, largest), self.layout.balanced(width, largest))
            self.programs.need((self.batch_size, *tile, self._channels))
        expected = self.programs.expected_need(shape)
        return expected if expected > _SURELY_TOO_MUCH * self.budget() else self.programs.need(shape)

    def budget(self) -> float:
        """Returns the bytes that a program may take."""
        budget = MEMORY_SHARE * self.programs.free()
        return min(budget, self.unused_memory()) if self.on_cpu else budget

    def unused_memory(self) -> float:
        """Returns the bytes that the process may take on the host beyond those it holds; infinite without a limit."""
        return math.inf if self.memory is None else max(0, self.memory - resident_bytes())
