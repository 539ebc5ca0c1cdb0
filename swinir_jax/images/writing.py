"""Pictures to files: each format keeps all that it can hold; what it cannot is converted and said, or refused."""

import dataclasses
import os
from pathlib import Path

import numpy as np

from swinir_jax.errors import InputError
from swinir_jax.files import write_bytes
from swinir_jax.images.colour import SRGB, fit_profile, to_srgb
from swinir_jax.images.encoding import ENCODERS
from swinir_jax.images.header import Header
from swinir_jax.images.picture import Picture
from swinir_jax.images.targets import LIMITS, Limits, cannot_hold, target_format

_MAX_SEGMENT = 65_500  # bytes of EXIF or XMP data that JPEG has room for


def write_picture(
    path: str | os.PathLike[str], picture: Picture, *, quality: int = 95, strip_metadata: bool = False
) -> tuple[str, ...]:
    """Writes a picture in the format its name ends with; the name never stands for half a file.

    All formats but JPEG and AVIF are written without loss. What `fitted` changes is changed.

    Args:
      path: where to, with one of the endings of `WRITABLE` in either case. An existing file is replaced.
      picture: what to write.
      quality: of a JPEG or AVIF, 1 to 100; colours are not subsampled.
      strip_metadata: whether date, camera, place, author and texts are left out.

    Returns:
      What the format could not hold and how it was converted, one short sentence each; not the picture's own notes.

    Raises:
      InputError: if the ending is unknown, its format cannot hold alpha or size of the picture, the quality is out of
        range, or the file cannot be written; then nothing is left behind.
    """
    path = Path(path)
    name = target_format(path)
    if problem := cannot_hold(path, Header.of(picture)):
        raise InputError(f"{path}: {problem}")
    if not 1 <= quality <= 100:
        raise InputError(f"{path}: quality must be 1 to 100, not {quality}")
    fitting, notes = fitted(picture.without_metadata() if strip_metadata else picture, name)
    write_bytes(path, ENCODERS[name](fitting, quality))
    return notes


def fitted(picture: Picture, name: str) -> tuple[Picture, tuple[str, ...]]:
    """Converts what a format cannot hold.

    Depth is rounded, opaque alpha left out, gray repeated for RGB, a profile adapted to the channels, colours converted
    to sRGB for formats without profiles, and texts become EXIF data.

    Args:
      picture: one that `cannot_hold` has nothing against.
      name: a key of `LIMITS`.

    Returns:
      A picture that the format holds whole, and what was lost on the way.
    """
    limits, notes = LIMITS[name], list[str]()
    if 8 * picture.pixels.itemsize > limits.bits:
        picture = dataclasses.replace(
            picture,
            pixels=_to_8_bits(picture.pixels),
            alpha=None if picture.alpha is None else _to_8_bits(picture.alpha),
        )
        notes.append(f"16 bits rounded to 8, which is what {name} holds")
    if not limits.alpha and picture.alpha is not None:
        picture = dataclasses.replace(picture, alpha=None)
    has_gray = limits.gray and not (name == "BMP" and picture.alpha is not None)
    if not has_gray and picture.pixels.ndim == 2:
        picture = dataclasses.replace(picture, pixels=np.dstack([picture.pixels] * 3))
    profile, lost = fit_profile(picture.icc_profile, 1 if picture.pixels.ndim == 2 else 3)
    picture = dataclasses.replace(picture, icc_profile=profile)
    notes += lost
    if not limits.profile:
        picture, converted = to_srgb(picture)
        notes += [f"{note}, because {name} holds no colour profile" for note in converted]
    if name != "PNG" and picture.code_points not in (None, SRGB) and not picture.icc_profile and limits.profile:
        notes.append(f"{name} does not tell what the colours are: they are not those of sRGB")
    picture, left_out = _fit_metadata(picture, name, limits)
    return picture, (*notes, *left_out)


def _fit_metadata(picture: Picture, name: str, limits: Limits) -> tuple[Picture, list[str]]:
    metadata, lost = picture.metadata, []
    if not limits.metadata:
        if metadata:
            lost.append(f"date, camera, author and the like left out: {name} holds none")
        return picture.without_metadata(), lost
    if not limits.text and metadata.text:
        comments = tuple(text for text in metadata.text if text[0] == "Comment" and name == "JPEG")[:1]
        others = tuple(text for text in metadata.text if text not in comments)
        metadata, texts = dataclasses.replace(metadata, text=others).without_texts()
        metadata = dataclasses.replace(metadata, text=comments)
        if texts:
            lost.append(f"texts left out, which {name} has no place for: {', '.join(texts)}")
    if name == "JPEG":
        if len(metadata.exif) > _MAX_SEGMENT:
            metadata = dataclasses.replace(metadata, exif=b"")
            lost.append("EXIF data left out: too long for JPEG")
        if len(metadata.xmp) > _MAX_SEGMENT:
            metadata = dataclasses.replace(metadata, xmp=b"")
            lost.append("XMP data left out: too long for JPEG")
    return dataclasses.replace(picture, metadata=metadata), lost


def _to_8_bits(samples: np.ndarray) -> np.ndarray:
    return ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)
