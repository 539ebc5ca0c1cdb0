"""The Restorer: photographs in, restored photographs out."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import jax
import numpy as np

from swinir_jax.checkpoints.names import check_network
from swinir_jax.errors import NotFiniteError
from swinir_jax.inference.colour import through_network
from swinir_jax.inference.engine import Engine
from swinir_jax.inference.padding import Pad, cut, pad_image
from swinir_jax.inference.photographs import PhotoRestorer
from swinir_jax.inference.plan import Layout
from swinir_jax.inference.progress import pixel_products
from swinir_jax.inference.tiling import Blend, Tiling
from swinir_jax.models import SwinIR


def ignore(tiles: int, total: int) -> None:
    """Shows no progress."""


class Restorer(PhotoRestorer):
    """Restores photographs of any size with one network.

    Can be pickled and copied; a copy compiles its programs anew.

    Attributes:
      model: the network.
      engine: chooses the tiles and runs the network.
      self_ensemble: whether results are averaged over the 8 flips and quarter turns.
    """

    def __init__(
        self,
        model: SwinIR,
        params: Mapping[str, Any],
        *,
        tile: int | Literal["auto"] = "auto",
        overlap: int | None = None,
        blend: Blend = "smooth",
        pad: Pad = "reflect",
        self_ensemble: bool = False,
        batch_size: int | None = None,
        memory: int | None = None,
        mesh: jax.sharding.Mesh | None = None,
        fast: bool = True,
        done: Callable[[int, int], None] = ignore,
    ):
        """Puts the parameters on the device.

        Args:
          model: network from `load_pretrained`.
          params: parameters from `load_pretrained`.
          tile: largest side of a tile in pixels, rounded down to a multiple of the window; 0 for whole images; "auto"
            for whole images where the compiled program fits into memory, else for tiles that fit.
          overlap: overlap of neighbouring tiles in pixels, rounded up to a multiple of the window. None for 32, or for
            half a tile if the tile is below 64.
          blend: "smooth" fades overlaps into each other; "average" averages them, as the official test script does.
          pad: "reflect" mirrors a margin around the image, so that the border is restored as well as the inside;
            "minimal" mirrors up to a multiple of the window at the bottom and the right, as the network does;
            "official" pads as the official test script does. A margin leaves less of a tile to the image, which counts
            for networks with `ape`, whose tiles have one size.
          self_ensemble: whether to average over the 8 flips and quarter turns (the paper's "+"), in 8 times the time.
          batch_size: tiles in one call, rounded up to equally many on each device; None for 1 on each CPU and 8 on each
            other device.
          memory: bytes that the process may hold on a CPU; None for a share of the free memory.
          mesh: devices of this process, on any axes: each device takes a part of a whole image, or some tiles of a
            batch. The result equals that of one device up to float32 rounding. None for one device: the one that holds
            committed parameters, else JAX's default device.
          fast: whether a CPU runs `swinir_jax.cpu`, which equals `model.apply` up to float32 rounding, and a single
            NVIDIA GPU the attention of `swinir_jax.gpu` in bfloat16.
          done: called with (tiles just finished, tiles of the image in all turns), for a progress bar; the first time
            with 0, once programs are compiled.

        Raises:
          InputError: if the parameters are not those of the network, an option has a value other than those above, the
            tile is smaller than the window or not larger than the overlap, or the mesh has devices of other processes.
        """
        check_network(model, params)
        self.model = model
        layout = Layout.of(model.config, tile=tile, overlap=overlap, blend=blend, pad=pad)
        self.engine = Engine(model, params, layout, batch_size=batch_size, memory=memory, mesh=mesh, fast=fast)
        self.self_ensemble, self._done = self_ensemble, done

    @property
    def tile(self) -> int | Literal["auto"]:
        """Largest side of a tile in pixels, 0 for whole images, or "auto"."""
        return self.engine.layout.tile

    @property
    def models(self) -> tuple[SwinIR, ...]:
        """The network, alone."""
        return (self.model,)

    @property
    def scale(self) -> int:
        """Enlargement by the network."""
        return self.model.config.upscale

    def plan(self, sizes: Iterable[tuple[int, int]]) -> None:
        """Chooses tiles for a set of images, so that few programs are compiled.

        Images of other sizes are restored as without a plan.

        Args:
          sizes: (height, width) of each image, in pixels; repeated sizes count for more.
        """
        sizes = list(sizes)
        self.engine.plan(sizes + [(w, h) for h, w in sizes] if self.self_ensemble else sizes)

    def prepare(self, size: tuple[int, int]) -> None:
        """Compiles what an image of (height, width) needs, so that progress counts the network's time alone.

        Raises:
          InputError: if the memory of the device does not suffice.
        """
        for turned in set(self._turned(size)):
            tiling = self._tiling(turned)
            batch_size = 1 if self._is_whole(tiling) else self.engine.batch_size
            self.engine.programs.prepare((batch_size, *tiling.tile, self.model.config.in_chans))

    def count_tiles(self, size: tuple[int, int]) -> int:
        """Returns the number of tiles of an image of (height, width), in all turns."""
        return sum(len(self._tiling(turned)) for turned in self._turned(size))

    def work(self, size: tuple[int, int]) -> float:
        """Returns the multiplications for an image of (height, width); overlaps of tiles count after `plan` only."""
        return pixel_products(self.model.config) * sum(map(self.engine.pixels, self._turned(size)))

    def tile_works(self, size: tuple[int, int]) -> list[float]:
        """Returns the part of `work` that each tile takes, in the order in which tiles run."""
        count = self.count_tiles(size)
        return [self.work(size) / count] * count

    def _turned(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        """Returns the sizes of the image in all turns; lying and upright ones may differ in their tiles."""
        return [size, size[::-1]] * 4 if self.self_ensemble else [size]

    def _tiling(self, size: tuple[int, int]) -> Tiling:
        layout = self.engine.layout
        return layout.grid(layout.padded(size), self.engine.tile(size))

    def _is_whole(self, tiling: Tiling) -> bool:
        """Returns whether an image runs as one, divided among devices; with `ape`, a tile cannot be divided."""
        return len(tiling) == 1 and not self.engine.layout.only

    def _restore(self, image: np.ndarray) -> np.ndarray:
        config = self.model.config
        self.prepare(image.shape[:2])
        self._done(0, self.count_tiles(image.shape[:2]))
        run = self._ensemble if self.self_ensemble else self._restore_once
        restored = through_network(image, run, config.in_chans, config.upscale)
        check_answer(restored)
        return restored

    def _ensemble(self, image: np.ndarray) -> np.ndarray:
        total = np.zeros((), np.float32)
        for turns in range(4):
            for flip in (False, True):
                turned = np.rot90(image[:, ::-1] if flip else image, turns)
                restored = np.rot90(self._restore_once(np.ascontiguousarray(turned)), -turns)
                total = total + (restored[:, ::-1] if flip else restored)
        return total / 8

    def _restore_once(self, image: np.ndarray) -> np.ndarray:
        layout, size = self.engine.layout, image.shape[:2]
        tiling = self._tiling(size)
        lq = pad_image(image, tiling.height, tiling.width, layout.pad)
        total = self.count_tiles(size)
        if self._is_whole(tiling):
            restored = self.engine.run(lq[None])[0]
            self._done(1, total)
        else:
            restored = tiling.restore(lq, self.engine.run, self.engine.batch_size, lambda n: self._done(n, total))
        return cut(restored, size, layout.scale, layout.pad)


def check_answer(restored: np.ndarray) -> None:
    """Raises NotFiniteError if a value of the result is not finite."""
    if not np.isfinite(restored).all():
        raise NotFiniteError("The network's answer is not finite; are its weights and img_range right?")
