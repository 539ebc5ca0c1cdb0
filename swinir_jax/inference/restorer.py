"""The object a user holds: photographs in, restored photographs out."""

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from swinir_jax.errors import InputError, NotFiniteError
from swinir_jax.images import extend_colours
from swinir_jax.inference.colour import resize, through_network
from swinir_jax.inference.memory import free_bytes, keep_scratch, program_bytes, release_unused
from swinir_jax.inference.padding import Pad, pad_image, padded_side
from swinir_jax.inference.sharding import Devices
from swinir_jax.inference.tiling import Blend, Tiling, tile_starts
from swinir_jax.models import SwinIR

logger = logging.getLogger(__name__)

_OVERLAP = 32
MEMORY_SHARE = 0.6  # of what is free: the host's own copies and other processes need some
MAX_AUTO_TILE = 512  # larger tiles save little of the overlap
_MIXED_TILE = 256  # for many sizes of images: larger ones waste more on padding
_MAX_WHOLE_SHAPES = 3  # programs that a folder of images may compile before tiles are the better way
_BATCH_SIZE = {"cpu": 1}  # tiles at a time; a CPU gains nothing from more
_ACCELERATOR_BATCH_SIZE = 8


class Restorer:
    """Restores photographs of any size by one network.

    Attributes:
      model: the network.
      tile: side of the tiles in pixels, a multiple of the window; 0 for whole images; "auto" for whole images where
        the compiled program fits into the free memory, else for tiles that do.
    """

    def __init__(
        self,
        model: SwinIR,
        params: Mapping[str, Any],
        *,
        tile: int | Literal["auto"] = "auto",
        overlap: int | None = None,
        blend: Blend = "smooth",
        pad: Pad = "minimal",
        self_ensemble: bool = False,
        batch_size: int | None = None,
        mesh: jax.sharding.Mesh | None = None,
        fast: bool = True,
        done: Callable[[int, int], None] = lambda tiles, total: None,
    ):
        """Puts the parameters on the device.

        Args:
          model: from `load_pretrained`.
          params: from `load_pretrained`.
          tile: as the attribute; rounded down to a multiple of the window.
          overlap: of neighbouring tiles in pixels; rounded up to a multiple of the window. None for 32, or half of
            a tile below 64.
          blend: "smooth", or "average" as the official test script.
          pad: "minimal", or "official" as the official test script.
          self_ensemble: average over the 8 flips and quarter turns (the paper's "+"), for 8 times the time.
          batch_size: tiles at a time, rounded up to as many on each device; None for 1 on a CPU, 8 on others.
          mesh: devices of this process, on any axes: each takes a part of a whole image, or of the tiles of a batch.
            The result is that of one device, to rounding. None for one device.
          fast: whether a CPU takes `swinir_jax.cpu`, the same to rounding; False for the modules of `model`.
          done: called with (tiles finished now, tiles of this image in all its turns) for a progress bar.

        Raises:
          InputError: if the tile is smaller than the window, or not larger than the overlap, or an option is none of
            those listed, or `mesh` is none of this process.
        """
        for name, value, allowed in (("blend", blend, get_args(Blend)), ("pad", pad, get_args(Pad))):
            if value not in allowed:
                raise InputError(f"{name} must be one of {allowed}, got {value!r}.")
        if tile != "auto" and not _is_int(tile):
            raise InputError(f"tile must be a number of pixels or 'auto', got {tile!r}.")
        self.model = model
        self._window = model.config.window_size
        if model.config.ape:  # such a network takes images of one size alone
            if tile not in ("auto", model.config.img_size):
                raise InputError(f"This network, with ape, takes tiles of {model.config.img_size} alone, not {tile}.")
            if isinstance(model.config.img_size, tuple):
                raise InputError(f"This network, with ape, takes {model.config.img_size} pixels alone: call the model.")
            tile = model.config.img_size
        side = 0 if tile == "auto" else self._round_tile(tile)
        self.tile: int | Literal["auto"] = "auto" if tile == "auto" else side
        if overlap is None:
            overlap = min(_OVERLAP, side // 2 // self._window * self._window) if side else _OVERLAP
        if not _is_int(overlap) or overlap < 0:
            raise InputError(f"overlap must be a number of pixels, got {overlap!r}.")
        self._overlap = math.ceil(overlap / self._window) * self._window
        if 0 < side <= self._overlap:
            raise InputError(f"overlap={overlap}, in multiples of the window, must be below tile={tile}.")
        if batch_size is not None and (not _is_int(batch_size) or batch_size < 1):
            raise InputError(f"batch_size must be at least 1, got {batch_size}.")
        self._blend, self._pad, self._self_ensemble, self._done = blend, pad, self_ensemble, done
        self._devices = Devices(mesh, fast=fast)
        self._weights = self._devices.place(params, model)
        on_each = _BATCH_SIZE.get(self._devices.first.platform, _ACCELERATOR_BATCH_SIZE)
        if batch_size is not None:
            on_each = math.ceil(batch_size / self._devices.count)
        self._batch_size = on_each * self._devices.count
        self._programs: dict[tuple[int, ...], jax.stages.Compiled] = {}
        self._needs: dict[tuple[int, ...], int] = {}  # bytes, of programs that were dropped, too
        self._planned_tile: int | None = None

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

        With `tile="auto"` and more than a few different sizes, all images from now on are restored in tiles of one
        shape; tiles larger than all images shrink.

        Args:
          sizes: (height, width) of the images, in pixels.
        """
        shapes = {self._padded(size) for size in sizes}
        if self._self_ensemble:
            shapes |= {shape[::-1] for shape in shapes}
        longest = max((max(shape) for shape in shapes), default=0)
        if self.tile == "auto" and len(shapes) > _MAX_WHOLE_SHAPES:
            tile = self._round_tile(max(min(_MIXED_TILE, longest), self._overlap + self._window))
            self._planned_tile = min(tile, self._fitting_tile(tile, tile, self._batch_size) or tile)
            logger.info("%d different sizes: tiles of %d for all.", len(shapes), self._planned_tile)
        elif shapes:
            self._planned_tile = self._shrunk_tile(longest)

    def _ensemble(self, image: np.ndarray) -> np.ndarray:
        total = np.zeros((), np.float32)
        for turns in range(4):
            for flip in (False, True):
                turned = np.rot90(image[:, ::-1] if flip else image, turns)
                restored = np.rot90(self._restore_once(np.ascontiguousarray(turned)), -turns)
                total = total + (restored[:, ::-1] if flip else restored)
        return total / 8

    def _restore_once(self, image: np.ndarray) -> np.ndarray:
        h, w, _ = image.shape
        scale = self.model.config.upscale
        turns = 8 if self._self_ensemble else 1
        height, width = self._padded((h, w))
        tile = self._tile_for(height, width)
        if not tile:
            padded = pad_image(image, height, width, self._pad)
            restored = self._run(padded[None])[0]
            self._done(1, turns)
        else:
            tiling = self._grid((h, w), tile)
            padded = pad_image(image, tiling.height, tiling.width, self._pad)
            total = len(tiling) * turns
            restored = tiling.restore(padded, self._run, self._batch_size, lambda n: self._done(n, total))
        return restored[: h * scale, : w * scale]

    def _grid(self, size: tuple[int, int], tile: int) -> Tiling:
        """Tiles over an image of (height, width), padded."""
        height, width = self._padded(size)
        if self._pad == "official":  # the official script shrinks its tiles to small images
            tile = min(tile, height, width)
            if tile <= self._overlap and (height, width) != (tile, tile):
                raise InputError(f"An image of {size[1]}x{size[0]} is too narrow for an overlap of {self._overlap}.")
        return Tiling(
            rows=tile_starts(max(height, tile), tile, self._overlap),
            cols=tile_starts(max(width, tile), tile, self._overlap),
            tile=tile,
            overlap=self._overlap,
            scale=self.model.config.upscale,
            blend=self._blend,
        )

    def _padded(self, size: tuple[int, int]) -> tuple[int, int]:
        return padded_side(size[0], self._window, self._pad), padded_side(size[1], self._window, self._pad)

    def _tile_for(self, height: int, width: int) -> int:
        """Side of the tiles for a padded image; 0 for the whole of it."""
        if self._planned_tile is not None:
            return self._planned_tile
        shrunk = self._shrunk_tile(max(height, width))
        return self._fitting_tile(height, width) if shrunk is None else shrunk

    def _shrunk_tile(self, longest: int) -> int | None:
        """The tile for images of sides up to `longest`; None if that depends on the memory.

        A tile that is larger than the image would be mostly padding, but `ape` knows no other size.
        """
        if self.tile == "auto":
            return None
        if self.model.config.ape:
            return self.tile
        return min(self.tile, max(longest, self._overlap + self._window))

    def _run(self, batch: np.ndarray) -> np.ndarray:
        try:
            return self._devices.run(self._program(batch.shape), self._weights, batch)
        except (jax.errors.JaxRuntimeError, MemoryError) as error:
            if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in str(error):
                raise
            h, w = batch.shape[1:3]
            raise InputError(f"Not enough memory for {w}x{h} pixels at once; take smaller tiles (tile=N).") from error

    def _program(self, shape: tuple[int, ...]) -> jax.stages.Compiled:
        """The compiled network for `[B, h, w, C]` images."""
        if shape not in self._programs:
            start = time.perf_counter()
            release_unused()  # by reading the weights, say
            self._programs[shape] = self._devices.compile(self.model, self._weights, shape)
            release_unused()
            keep_scratch()
            logger.info("compiled for %s in %.1f s", "x".join(map(str, shape)), time.perf_counter() - start)
        return self._programs[shape]

    def _fitting_tile(self, height: int, width: int, batch_size: int = 1) -> int:
        """0 if images of this size fit into the memory, else the side of a tile that does."""
        shape = (batch_size, height, width, self.model.config.in_chans)
        if shape not in self._needs:
            self._needs[shape] = program_bytes(self._program(shape))
        need, budget = self._needs[shape], self._budget()
        if need <= budget:
            return 0
        self._programs.pop(shape, None)
        side = math.isqrt(int(budget / (need / (batch_size * height * width)) / self._batch_size))
        tile = self._round_tile(max(min(side, MAX_AUTO_TILE), self._overlap + self._window))
        logger.info(
            "%dx%d needs %.1f GB, %.1f GB are free: tiles of %d.", width, height, need / 1e9, budget / 1e9, tile
        )
        return tile

    def _budget(self) -> float:
        """Bytes that a program may take."""
        return MEMORY_SHARE * free_bytes(self._devices.first) / self._devices.sharing

    def _round_tile(self, tile: int) -> int:
        if tile < 0 or 0 < tile < self._window:
            raise InputError(f"tile={tile} is smaller than the window of {self._window} pixels.")
        return tile // self._window * self._window


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


def _is_int(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
