"""Restoration of pictures with profile, alpha and notes."""

import dataclasses

import numpy as np

from swinir_jax.images import Picture
from swinir_jax.inference.colour import CHANNEL_NOTES
from swinir_jax.inference.photographs import PhotoRestorer


def restore_picture(picture: Picture, restorer: PhotoRestorer) -> Picture:
    """Restores a picture; profile and resolution stay, alpha is resized.

    Args:
      picture: picture as read from a file.
      restorer: restorer of any networks.

    Returns:
      The restored picture of the same kind, with a note on each change that no network made.
    """
    pixels = picture.pixels if picture.pixels.ndim == 3 else picture.pixels[..., None]
    channels = [(pixels.shape[-1], model.config.in_chans) for model in restorer.models]
    notes = dict.fromkeys(CHANNEL_NOTES[pair] for pair in channels if pair in CHANNEL_NOTES)
    image = pixels if picture.alpha is None else np.concatenate([pixels, picture.alpha[..., None]], axis=-1)
    restored = restorer(image)
    alpha = None
    if picture.alpha is not None:
        restored, alpha = restored[..., :-1], restored[..., -1]
    restored = restored.reshape(*restored.shape[:2], *picture.pixels.shape[2:])
    result = dataclasses.replace(picture, pixels=restored, alpha=alpha, notes=(*picture.notes, *notes))
    if restorer.scale > 1 and result.is_translucent:  # opaque alpha holds nothing to resize
        result = result.noting("alpha was resized, not restored")
    return result
