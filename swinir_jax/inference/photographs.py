"""Photographs of all kinds as arrays: to floats and back, alpha apart."""

import abc
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from swinir_jax.arrays import check_image, check_values
from swinir_jax.errors import InputError
from swinir_jax.images import extend_colours
from swinir_jax.inference.colour import resize
from swinir_jax.models import SwinIR

# Of Pillow's pictures whose arrays are gray or RGB; "I" is refused by its dtype, because converting it would clip.
_PILLOW_MODES = ("L", "LA", "RGB", "RGBA", "F", "I", "I;16", "I;16L", "I;16B", "I;16N")


class PhotoRestorer(abc.ABC):
    """Restores photographs of any size and kind; subclasses say how floats are restored.

    Cannot be transformed by `jax.jit`, `vmap` or `grad`: transform `model.apply`.
    """

    @property
    @abc.abstractmethod
    def models(self) -> tuple[SwinIR, ...]:
        """Networks in the order in which they run."""

    @property
    @abc.abstractmethod
    def scale(self) -> int:
        """Sides of the result over sides of the image."""

    @abc.abstractmethod
    def plan(self, sizes: Iterable[tuple[int, int]]) -> None:
        """Chooses tiles for a set of images, so that few programs are compiled.

        Images of other sizes are restored as without a plan.

        Args:
          sizes: (height, width) of each image, in pixels; repeated sizes count for more.
        """

    @abc.abstractmethod
    def _restore(self, image: np.ndarray) -> np.ndarray:
        """Restores one image of finite float32, as `restore` does."""

    def __call__(self, image: np.ndarray | jax.Array | Image.Image) -> np.ndarray:
        """Restores one photograph.

        A gray image goes through an RGB network as three equal channels; of a colour image, a gray network restores the
        luma. Alpha (a second or fourth channel that the network does not have) is resized; the meaningless colours of
        transparent pixels do not reach the visible ones.

        Args:
          image: `[h, w]` or `[h, w, C]`; uint8, uint16 or floating in [0, 1]; or a gray or RGB picture of Pillow.

        Returns:
          `[h * scale, w * scale(, C)]` of the same dtype, clipped to the range of the dtype.

        Raises:
          InputError: if the network cannot restore images of this shape or dtype, or floats are not finite or clearly
            not in [0, 1].
        """
        image = self._as_image(image)
        lq = _to_floats(image if image.ndim == 3 else image[..., None])
        alpha = None
        if lq.shape[-1] in (2, 4) and lq.shape[-1] != self.models[0].config.in_chans:
            lq, alpha = lq[..., :-1], lq[..., -1:]
            lq = extend_colours(lq, alpha[..., 0])
        restored = self._restore(lq)
        if alpha is not None:
            restored = np.concatenate([restored, resize(alpha, self.scale)], axis=-1)
        return to_samples(restored, image.dtype).reshape(*restored.shape[:2], *image.shape[2:])

    def restore(self, image: np.ndarray | jax.Array) -> np.ndarray:
        """Restores one image of floats, not clipped and without alpha.

        Args:
          image: `[h, w, C]`, floating in [0, 1]; noise may leave the range.

        Returns:
          `[h * scale, w * scale, C]` float32.

        Raises:
          InputError: if the network cannot restore images of C channels, the image is clearly not in [0, 1], a value of
            the image or of the result is not finite, or the memory of the device does not suffice.
        """
        image = self._as_image(image)
        if image.ndim != 3 or not jnp.issubdtype(image.dtype, jnp.floating):
            raise InputError(f"restore takes [h, w, C] floats in [0, 1], got {image.dtype} {image.shape}.")
        return self._restore(_to_floats(image))

    def _as_image(self, image: Any) -> np.ndarray:
        if isinstance(image, jax.core.Tracer):
            raise InputError(
                "A Restorer reads and writes NumPy arrays, and cannot be transformed by jax.jit, vmap or grad; "
                'there, call model.apply({"params": params}, lq).'
            )
        if isinstance(image, Image.Image) and image.mode not in _PILLOW_MODES:
            raise InputError(
                f'Pillow\'s mode {image.mode} is neither gray nor RGB; pass image.convert("RGB"), or "RGBA" if parts '
                "are transparent."
            )
        try:
            array = np.asarray(image)
        except ValueError as error:
            raise InputError(f"Not an image: {error}") from error
        if array.ndim == 0:  # a path, or None
            raise InputError(f"An image is an array [h, w] or [h, w, C], got {type(image).__name__}.")
        check_image(array, self.models[0].config.in_chans)
        return array


def to_samples(restored: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Clips floats to [0, 1] and converts them to a dtype; integers are rounded to the full scale."""
    samples = np.clip(restored, 0, 1) * np.float32(_full_scale(dtype))
    return (np.round(samples) if np.issubdtype(dtype, np.integer) else samples).astype(dtype)


def _full_scale(dtype: np.dtype) -> float:
    """Returns the value of a dtype that stands for 1.0."""
    if dtype.newbyteorder("=") in (np.uint8, np.uint16):
        return float(np.iinfo(dtype).max)
    if jnp.issubdtype(dtype, jnp.floating):
        return 1.0
    raise InputError(f"An image holds uint8, uint16 or floats, got {dtype}.")


def _to_floats(image: np.ndarray) -> np.ndarray:
    """Converts samples to float32 with 1.0 as full scale.

    Raises:
      InputError: if floats are not finite, or so many are far from [0, 1] that the image has another scale.
    """
    scale = _full_scale(image.dtype)
    with np.errstate(over="ignore"):  # what float32 cannot hold is refused below
        floats = image.astype(np.float32, copy=False)
    if scale != 1:
        return floats / np.float32(scale)
    check_values(floats)
    return floats
