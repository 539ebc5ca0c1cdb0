"""The object a user holds: photographs in, restored photographs out."""

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from swinir_jax.errors import InputError, NotFiniteError
from swinir_jax.images import extend_colours
from swinir_jax.inference.colour import resize, through_network
from swinir_jax.inference.padding import Pad, cut, pad_image
from swinir_jax.inference.plan import MAX_AUTO_TILE, Layout, is_int
from swinir_jax.inference.programs import Programs, traced
from swinir_jax.inference.tiling import Blend, Shape
from swinir_jax.models import SwinIR

logger = logging.getLogger(__name__)

MEMORY_SHARE = 0.6  # of what is free: the host's own copies and other processes need some
_BATCH_SIZE = {"cpu": 1}  # tiles at a time; a CPU gains nothing from more
_ACCELERATOR_BATCH_SIZE = 8


def _ignore(tiles: int, total: int) -> None:
    """Draws no progress bar."""


class Restorer:
    """Restores photographs of any size by one network.

    Can be pickled and copied; a copy compiles its programs anew. Not for `jax.jit`, `vmap` or `grad`: transform
    `model.apply`.

    Attributes:
      model: the network.
      tile: the largest side of a tile in pixels, a multiple of the window; 0 for whole images; "auto" for whole images
        where the compiled program fits into the free memory, else for tiles that do.
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
        mesh: jax.sharding.Mesh | None = None,
        fast: bool = True,
        done: Callable[[int, int], None] = _ignore,
    ):
        """Puts the parameters on the device.

        Args:
          model: from `load_pretrained`.
          params: from `load_pretrained`.
          tile: as the attribute; rounded down to a multiple of the window.
          overlap: of neighbouring tiles in pixels; rounded up to a multiple of the window. None for 32, or half of
            a tile below 64.
          blend: "smooth", or "average" as the official test script.
          pad: "reflect" mirrors a margin around the image, so that its border is restored as its inside; "minimal"
            mirrors up to a multiple of the window at the bottom and the right, as the network by itself; "official" as
            the official test script. With `ape`, too, whose tiles then hold less of the image.
          self_ensemble: average over the 8 flips and quarter turns (the paper's "+"), for 8 times the time.
          batch_size: tiles at a time, rounded up to as many on each device; None for 1 on a CPU, 8 on others.
          mesh: devices of this process, on any axes: each takes a part of a whole image, or of the tiles of a batch.
            The result is that of one device, to rounding. None for one device: that to which the parameters are
            committed, else `jax.default_device` of now.
          fast: whether a CPU takes `swinir_jax.cpu`, the same to rounding; False for the modules of `model`.
          done: called with (tiles finished now, tiles of this image in all its turns) for a progress bar.

        Raises:
          InputError: if the tile is smaller than the window, or not larger than the overlap, or an option is none of
            those listed, or `mesh` is none of this process.
        """
        self.model = model
        self._layout = Layout.of(model.config, tile=tile, overlap=overlap, blend=blend, pad=pad)
        self.tile = self._layout.tile
        if batch_size is not None and (not is_int(batch_size) or batch_size < 1):
            raise InputError(f"batch_size must be at least 1, got {batch_size}.")
        self._self_ensemble, self._done = self_ensemble, done
        self._programs = Programs(model, params, mesh, fast=fast)
        devices = self._programs.devices
        on_each = _BATCH_SIZE.get(devices.first.platform, _ACCELERATOR_BATCH_SIZE)
        if batch_size is not None:
            on_each = math.ceil(batch_size / devices.count)
        self._batch_size = on_each * devices.count
        self._planned: dict[Shape, Shape] = {}  # tiles of padded sizes

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Restores one photograph.

        Gray images go through an RGB network and the other way round. Alpha (a second or fourth channel that the
        network does not have) is resized; the colours of transparent pixels, which say nothing, do not show.

        Args:
          image: `[h, w]` or `[h, w, C]`; uint8, uint16 or floating in [0, 1].

        Returns:
          `[h * upscale, w * upscale(, C)]` of the same dtype, clipped to its range.

        Raises:
          InputError: if the shape, the dtype or a value is none that the network can restore.
        """
        if isinstance(image, jax.core.Tracer):
            raise traced("A Restorer")
        try:
            image = np.asarray(image)
        except ValueError as error:
            raise InputError(f"Not an image: {error}") from error
        if image.ndim not in (2, 3) or 0 in image.shape:
            raise InputError(f"An image is [h, w] or [h, w, C], got an array of shape {image.shape}.")
        full = _full_scale(image.dtype)
        lq = (image if image.ndim == 3 else image[..., None]).astype(np.float32) / np.float32(full)
        _check_finite(lq, "The image")
        alpha = None
        if lq.shape[-1] in (2, 4) and lq.shape[-1] != self.model.config.in_chans:
            lq, alpha = lq[..., :-1], lq[..., -1:]
            lq = extend_colours(lq, alpha[..., 0])
        restored = self.restore(lq)
        if alpha is not None:
            restored = np.concatenate([restored, resize(alpha, self.model.config.upscale)], axis=-1)
        return to_samples(restored, image.dtype).reshape(*restored.shape[:2], *image.shape[2:])

    def restore(self, image: np.ndarray) -> np.ndarray:
        """As `__call__` without clipping and alpha.

        Args:
          image: `[h, w, C]`, floating in [0, 1].

        Returns:
          `[h * upscale, w * upscale, C]` float32.

        Raises:
          InputError: if the network cannot restore images of C channels, a value is not finite, before or after, or
            the device has not enough memory.
        """
        if isinstance(image, jax.core.Tracer):
            raise traced("A Restorer")
        if image.ndim != 3 or not np.issubdtype(image.dtype, np.floating):
            raise InputError(f"restore takes [h, w, C] floats in [0, 1], got {image.dtype} {image.shape}.")
        image = image.astype(np.float32, copy=False)
        _check_finite(image, "The image")
        config = self.model.config
        run = self._ensemble if self._self_ensemble else self._restore_once
        restored = through_network(image, run, config.in_chans, config.upscale)
        check_answer(restored)
        return restored

    def plan(self, sizes: Iterable[tuple[int, int]]) -> None:
        """Prepares for a set of images, so that few programs are compiled.

        Where they need more than a few shapes, they share tiles (see `Layout.together`). Images of other sizes are
        restored as without a plan.

        Args:
          sizes: (height, width) of each image, in pixels; a size that comes often counts for more.
        """
        counts = Counter(sizes)
        if self._self_ensemble:
            counts += Counter({(w, h): count for (h, w), count in counts.items()})
        platform = self._programs.devices.first.platform
        self._planned, limit = self._layout.together(counts, platform), MAX_AUTO_TILE
        while self.tile == "auto" and self._planned:
            largest = max(self._planned.values(), key=math.prod)
            fitting = self._fitting_side(*largest, self._batch_size)
            if not fitting or fitting >= limit:
                break
            limit = fitting
            self._planned = self._layout.together(counts, platform, limit)
        if self._planned:
            shapes = ", ".join(f"{w}x{h}" for h, w in sorted(set(self._planned.values())))
            logger.info("%d different sizes: tiles of %s.", len(counts), shapes)

    def _ensemble(self, image: np.ndarray) -> np.ndarray:
        total = np.zeros((), np.float32)
        for turns in range(4):
            for flip in (False, True):
                turned = np.rot90(image[:, ::-1] if flip else image, turns)
                restored = np.rot90(self._restore_once(np.ascontiguousarray(turned)), -turns)
                total = total + (restored[:, ::-1] if flip else restored)
        return total / 8

    def _restore_once(self, image: np.ndarray) -> np.ndarray:
        layout, size = self._layout, image.shape[:2]
        turns = 8 if self._self_ensemble else 1
        tiling = layout.grid(layout.padded(size), self._tile_for(size))
        lq = pad_image(image, tiling.height, tiling.width, layout.pad)
        total = len(tiling) * turns
        if len(tiling) == 1 and not layout.only:  # with ape, an image cannot be split among devices
            restored = self._programs.run(lq[None])[0]
            self._done(1, total)
        else:
            restored = tiling.restore(lq, self._programs.run, self._batch_size, lambda n: self._done(n, total))
        return cut(restored, size, layout.scale, layout.pad)

    def _tile_for(self, size: Shape) -> Shape:
        """The tile of an image of (height, width)."""
        padded = self._layout.padded(size)
        if padded in self._planned:
            return self._planned[padded]
        return self._layout.alone(size, self._fitting_side(*padded) if self.tile == "auto" else 0)

    def _fitting_side(self, height: int, width: int, batch_size: int = 1) -> int:
        """0 if images of this size fit into the memory, else the side of a tile that does."""
        shape = (batch_size, height, width, self.model.config.in_chans)
        need, budget = self._programs.need(shape), self._budget()
        if need <= budget:
            return 0
        self._programs.drop(shape)
        side = math.isqrt(int(budget / (need / (batch_size * height * width)) / self._batch_size))
        window = self._layout.window
        tile = max(min(side, MAX_AUTO_TILE) // window * window, self._layout.smallest())
        logger.info(
            "%dx%d needs %.1f GB, %.1f GB are free: tiles of %d.", width, height, need / 1e9, budget / 1e9, tile
        )
        return tile

    def _budget(self) -> float:
        """Bytes that a program may take."""
        return MEMORY_SHARE * self._programs.free()


def to_samples(restored: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Clips floats to [0, 1] and turns them into the values of a dtype, integers rounded."""
    samples = np.clip(restored, 0, 1) * np.float32(_full_scale(dtype))
    return (np.round(samples) if np.issubdtype(dtype, np.integer) else samples).astype(dtype)


def check_answer(restored: np.ndarray) -> None:
    """Refuses what is not finite."""
    if not np.isfinite(restored).all():
        raise NotFiniteError("The network's answer is not finite; are its weights and img_range right?")


def _full_scale(dtype: np.dtype) -> float:
    """The value that stands for 1."""
    if dtype.newbyteorder("=") in (np.uint8, np.uint16):
        return float(np.iinfo(dtype).max)
    if jnp.issubdtype(dtype, jnp.floating):
        return 1.0
    raise InputError(f"An image is of uint8, uint16 or floats, got {dtype}.")


def _check_finite(values: np.ndarray, what: str) -> None:
    if not np.isfinite(values).all():
        raise InputError(f"{what} has values that are not finite.")
