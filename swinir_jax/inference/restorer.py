"""The Restorer: photographs in, restored photographs out."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from swinir_jax.errors import InputError, NotFiniteError
from swinir_jax.images import extend_colours
from swinir_jax.inference.colour import resize, through_network
from swinir_jax.inference.engine import Engine
from swinir_jax.inference.padding import Pad, cut, pad_image
from swinir_jax.inference.plan import Layout
from swinir_jax.inference.programs import not_traceable
from swinir_jax.inference.tiling import Blend
from swinir_jax.models import SwinIR


def _ignore(tiles: int, total: int) -> None:
    """Shows no progress."""


class Restorer:
    """Restores photographs of any size with one network.

    Can be pickled and copied; a copy compiles its programs anew. Cannot be transformed by `jax.jit`, `vmap` or `grad`:
    transform `model.apply`.

    Attributes:
      model: the network.
      engine: chooses the tiles and runs the network.
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
        done: Callable[[int, int], None] = _ignore,
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
          fast: whether a CPU runs `swinir_jax.cpu`, which equals `model.apply` up to float32 rounding.
          done: called with (tiles just finished, tiles of the image in all turns), for a progress bar.

        Raises:
          InputError: if an option has a value other than those above, the tile is smaller than the window or not larger
            than the overlap, or the mesh has devices of other processes.
        """
        self.model = model
        layout = Layout.of(model.config, tile=tile, overlap=overlap, blend=blend, pad=pad)
        self.engine = Engine(model, params, layout, batch_size=batch_size, memory=memory, mesh=mesh, fast=fast)
        self._self_ensemble, self._done = self_ensemble, done

    @property
    def tile(self) -> int | Literal["auto"]:
        """Largest side of a tile in pixels, 0 for whole images, or "auto"."""
        return self.engine.layout.tile

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Restores one photograph.

        A gray image goes through an RGB network as three equal channels; of a colour image, a gray network restores the
        luma. Alpha (a second or fourth channel that the network does not have) is resized; the meaningless colours of
        transparent pixels do not reach the visible ones.

        Args:
          image: `[h, w]` or `[h, w, C]`; uint8, uint16 or floating in [0, 1].

        Returns:
          `[h * upscale, w * upscale(, C)]` of the same dtype, clipped to the range of the dtype.

        Raises:
          InputError: if the network cannot restore images of this shape or dtype, or a value is not finite.
        """
        if isinstance(image, jax.core.Tracer):
            raise not_traceable("A Restorer")
        try:
            image = np.asarray(image)
        except ValueError as error:
            raise InputError(f"Not an image: {error}") from error
        if image.ndim not in (2, 3) or 0 in image.shape:
            raise InputError(f"An image is [h, w] or [h, w, C], got an array of shape {image.shape}.")
        lq = (image if image.ndim == 3 else image[..., None]).astype(np.float32) / np.float32(_full_scale(image.dtype))
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
        """Restores one image of floats, neither clipped nor with alpha.

        Args:
          image: `[h, w, C]`, floating in [0, 1].

        Returns:
          `[h * upscale, w * upscale, C]` float32.

        Raises:
          InputError: if the network cannot restore images of C channels, a value of the image or of the result is not
            finite, or the memory of the device does not suffice.
        """
        if isinstance(image, jax.core.Tracer):
            raise not_traceable("A Restorer")
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
        """Chooses tiles for a set of images, so that few programs are compiled.

        Images of other sizes are restored as without a plan.

        Args:
          sizes: (height, width) of each image, in pixels; repeated sizes count for more.
        """
        sizes = list(sizes)
        self.engine.plan(sizes + [(w, h) for h, w in sizes] if self._self_ensemble else sizes)

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
        tiling = layout.grid(layout.padded(size), self.engine.tile(size))
        lq = pad_image(image, tiling.height, tiling.width, layout.pad)
        total = len(tiling) * (8 if self._self_ensemble else 1)
        if len(tiling) == 1 and not layout.only:  # one image is divided among devices, but not with `ape`
            restored = self.engine.run(lq[None])[0]
            self._done(1, total)
        else:
            restored = tiling.restore(lq, self.engine.run, self.engine.batch_size, lambda n: self._done(n, total))
        return cut(restored, size, layout.scale, layout.pad)


def to_samples(restored: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Clips floats to [0, 1] and converts them to a dtype; integers are rounded to the full scale."""
    samples = np.clip(restored, 0, 1) * np.float32(_full_scale(dtype))
    return (np.round(samples) if np.issubdtype(dtype, np.integer) else samples).astype(dtype)


def check_answer(restored: np.ndarray) -> None:
    """Raises NotFiniteError if a value of the result is not finite."""
    if not np.isfinite(restored).all():
        raise NotFiniteError("The network's answer is not finite; are its weights and img_range right?")


def _full_scale(dtype: np.dtype) -> float:
    """Returns the value of a dtype that stands for 1.0."""
    if dtype.newbyteorder("=") in (np.uint8, np.uint16):
        return float(np.iinfo(dtype).max)
    if jnp.issubdtype(dtype, jnp.floating):
        return 1.0
    raise InputError(f"An image holds uint8, uint16 or floats, got {dtype}.")


def _check_finite(values: np.ndarray, what: str) -> None:
    if not np.isfinite(values).all():
        raise InputError(f"{what} has values that are not finite.")
