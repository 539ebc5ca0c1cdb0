"""Writing of picture files. What a format cannot hold is converted and noted, or the picture is refused."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np

from swinir_jax.errors import InputError
from swinir_jax.files import write_bytes
from swinir_jax.images.colour import SRGB, fit_profile, to_srgb
from swinir_jax.images.encoding import ENCODERS
from swinir_jax.images.header import Header
from swinir_jax.images.picture import Picture, to_8_bits
from swinir_jax.images.targets import LIMITS, Limits, cannot_hold, target_format

_PLACEHOLDER = (72, 72)  # pixels per inch that cameras and Pillow name where none are known
_MAX_SEGMENT = 65_500  # largest size of EXIF, XMP or IPTC data or a text in JPEG, in bytes


def write_picture(
    path: str | os.PathLike[str], picture: Picture, *, quality: int = 95, strip_metadata: bool = False
) -> tuple[str, ...]:
    """Writes a picture in the format that the file's ending stands for.

    All formats but JPEG and AVIF are lossless, after the conversions of `fitted`. The file appears only when it is
    complete.

    Args:
      path: file to write or replace, with an ending of `WRITABLE` in any case.
      picture: picture to write.
      quality: quality of JPEG and AVIF, 1 to 100; colours are not subsampled.
      strip_metadata: whether to leave out date, camera, place, author and texts.

    Returns:
      Short sentences on what the format could not hold, without the picture's own notes.

    Raises:
      InputError: if the ending is unknown, the format cannot hold the picture's alpha or size, the quality is out of
        range, or the file cannot be written.
    """
    path = Path(path)
    name = target_format(path)
    if problem := cannot_hold(path, Header.of(picture)):
        raise InputError(f"{path}: {problem}")
    if not 1 <= quality <= 100:
        raise InputError(f"{path}: quality must be 1 to 100, not {quality}")
    fitting, notes = fitted(picture.without_metadata() if strip_metadata else picture, name)
    try:
        data = ENCODERS[name](fitting, quality)
    except MemoryError:
        raise
    except Exception as error:  # encoders raise errors of any class for metadata and sizes that they do not take
        raise InputError(f"{path}: cannot be encoded as {name} ({type(error).__name__}: {error})") from error
    write_bytes(path, data)
    return notes


def fitted(picture: Picture, name: str) -> tuple[Picture, tuple[str, ...]]:
    """Adapts a picture to a format.

    Samples are rounded to the format's depth, opaque alpha is left out, gray becomes RGB, the profile is adapted to the
    channels, colours are converted to sRGB for formats without profiles, and texts become EXIF data.

    Args:
      picture: picture for which `cannot_hold` returns no objection.
      name: format, a key of `LIMITS`.

    Returns:
      A picture that the format holds without loss, and notes on what was lost.
    """
    limits, notes = LIMITS[name], list[str]()
    if 8 * picture.pixels.itemsize > limits.bits:
        picture = dataclasses.replace(
            picture,
            pixels=to_8_bits(picture.pixels),
            alpha=None if picture.alpha is None else to_8_bits(picture.alpha),
        )
        notes.append(f"16 bits rounded to 8, as {name} holds no more")
    if not limits.alpha and picture.alpha is not None:
        picture = dataclasses.replace(picture, alpha=None)
    has_gray = limits.gray and not (name == "BMP" and picture.alpha is not None)
    if not has_gray and picture.pixels.ndim == 2:
        picture = dataclasses.replace(picture, pixels=np.dstack([picture.pixels] * 3))
    profile, left_out = fit_profile(picture.icc_profile, picture.channels)
    picture = dataclasses.replace(picture, icc_profile=profile)
    notes += left_out
    if name != "PNG" and picture.code_points not in (None, SRGB) and not picture.icc_profile:
        notes.append(f"colours are not sRGB, which {name} cannot say")
    if not limits.profile:
        picture, converted = to_srgb(picture)
        notes += [f"{note}, because {name} holds no colour profile" for note in converted]
    if picture.dpi not in (None, _PLACEHOLDER) and not limits.resolution:
        notes.append(f"resolution (pixels per inch) left out: {name} cannot hold it")
    picture, lost_metadata = _fit_metadata(picture, name, limits)
    return picture, (*notes, *lost_metadata)


def _fit_metadata(picture: Picture, name: str, limits: Limits) -> tuple[Picture, list[str]]:
    metadata, lost = picture.metadata, []
    if not limits.metadata:
        if metadata:
            lost.append(f"date, camera, author and other metadata left out: {name} cannot hold them")
        return picture.without_metadata(), lost
    if not limits.text and metadata.text:
        if name == "JPEG" and (keys := [key for key, text in metadata.text if len(text.encode()) > _MAX_SEGMENT]):
            metadata = dataclasses.replace(metadata, text=tuple(text for text in metadata.text if text[0] not in keys))
            lost.append(f"texts left out, too long for JPEG: {', '.join(keys)}")
        comments = tuple(text for text in metadata.text if text[0] == "Comment" and name == "JPEG")[:1]
        others = tuple(text for text in metadata.text if text not in comments)
        metadata, texts = dataclasses.replace(metadata, text=others).without_texts()
        metadata = dataclasses.replace(metadata, text=comments)
        if texts:
            lost.append(f"texts left out, which {name} cannot hold: {', '.join(texts)}")
    if not limits.iptc and metadata.iptc:
        metadata = dataclasses.replace(metadata, iptc=b"")
        lost.append(f"IPTC data (author, caption, rights) left out: {name} cannot hold them")
    if name == "JPEG":
        long = [kind for kind in ("exif", "xmp", "iptc") if len(getattr(metadata, kind)) > _MAX_SEGMENT]
        nothing: dict[str, Any] = dict.fromkeys(long, b"")
        metadata = dataclasses.replace(metadata, **nothing)
        lost += [f"{kind.upper()} data left out: too long for JPEG" for kind in long]
    return dataclasses.replace(picture, metadata=metadata), lost
