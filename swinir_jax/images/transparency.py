"""Colours of transparent pixels, for networks and for formats without alpha."""

import dataclasses

import numpy as np
from PIL import ImageColor

from swinir_jax.errors import InputError
from swinir_jax.images.picture import Picture


def flatten(picture: Picture, background: str) -> Picture:
    """Puts a picture onto a background of one colour.

    Args:
      picture: any picture; one without alpha is returned as it is.
      background: `white`, `black`, another CSS name, or `#rrggbb`, in the colours of the picture's profile.

    Returns:
      The picture without alpha, with a note. Gray stays gray on a gray background, and becomes RGB on others.

    Raises:
      InputError: if the background is not a colour.
    """
    colour = parse_colour(background)
    if picture.alpha is None:
        return picture
    dtype = picture.pixels.dtype
    white = int(np.iinfo(dtype).max)
    pixels = picture.pixels
    if pixels.ndim == 2:
        pixels = pixels[..., None] if len(set(colour)) == 1 else np.dstack([pixels] * 3)
    behind = np.array(colour[: pixels.shape[2]], np.uint32) * (white // 255)
    alpha = picture.alpha[..., None].astype(np.uint32)
    flat = ((pixels * alpha + behind * (white - alpha) + white // 2) // white).astype(dtype)  # at most 65535 * 65535
    pixels = flat.reshape(flat.shape if flat.shape[2] == 3 else flat.shape[:2])
    return dataclasses.replace(picture, pixels=pixels, alpha=None).noting(f"put onto a {background} background")


def parse_colour(text: str) -> tuple[int, int, int]:
    """Parses a CSS colour name or `#rrggbb` to red, green and blue in 0..255.

    Raises:
      InputError: if the text is not a colour, or a colour with alpha.
    """
    try:
        colour = ImageColor.getrgb(text)
    except ValueError as error:
        raise InputError(f"{text!r} is not a colour: use white, black or #rrggbb.") from error
    if len(colour) != 3:
        raise InputError(f"{text!r} is a colour with alpha, and a background is opaque: use #rrggbb.")
    return colour


def extend_colours(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Fills fully transparent pixels with the colours of the visible pixels around them.

    The hidden colours of a cut-out picture, mostly black, would otherwise bleed into the edge as a dark fringe when a
    network restores the picture. The method is pull-push: means weighted by alpha are halved in size until no hole is
    left, and each level fills the holes of the next larger one.

    Args:
      colours: `[h, w]` or `[h, w, 3]`, straight; uint8, uint16 or float.
      alpha: `[h, w]`, 0 where fully transparent.

    Returns:
      Colours of the same shape and dtype, unchanged where alpha is above 0; `colours` itself if no pixel or every
      pixel is fully transparent.
    """
    hidden = alpha == 0
    if hidden.all() or not hidden.any():
        return colours
    h, w = alpha.shape
    samples = colours.reshape(h, w, -1)
    weights = alpha[..., None].astype(np.float32)
    filled = _fill(samples * weights, weights)
    if np.issubdtype(colours.dtype, np.integer):
        filled = np.rint(filled)
    filled = filled.astype(colours.dtype)
    return np.where(hidden[..., None], filled, samples).reshape(colours.shape)


def _fill(sums: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Divides `[h, w, c]` weighted sums by `[h, w, 1]` weights; fills pixels of weight 0 from the halved picture."""
    holes = weights == 0
    means = sums / np.where(holes, 1, weights)
    if not holes.any():
        return means
    h, w, _ = sums.shape
    coarse = _fill(_halve(sums), _halve(weights))
    return np.where(holes, coarse.repeat(2, axis=0).repeat(2, axis=1)[:h, :w], means)


def _halve(x: np.ndarray) -> np.ndarray:
    """Averages 2 x 2 pixels; pads odd sides by 0."""
    h, w, c = x.shape
    x = np.pad(x, ((0, h % 2), (0, w % 2), (0, 0)))
    return x.reshape(-(-h // 2), 2, -(-w // 2), 2, c).mean(axis=(1, 3))
