"""Images in folders, single or in HQ-LQ pairs."""

import dataclasses
from pathlib import Path

import numpy as np

from swinir_jax.data.pairs import match_pairs
from swinir_jax.errors import InputError
from swinir_jax.images import read_picture
from swinir_jax.images.finding import Found, describe_left_out, find_pictures
from swinir_jax.images.picture import to_8_bits


@dataclasses.dataclass(frozen=True)
class Images:
    """Image files of one or two folders.

    Attributes:
      pairs: HQ and LQ files; LQ is None without an LQ folder.
      left_out: number and names of other files in the folders; empty if there are none.
    """

    pairs: list[tuple[Path, Path | None]]
    left_out: str


def find_images(hq: Path, lq: Path | None = None, *, scale: int = 1, template: str = "") -> Images:
    """Finds the images in a folder and its subfolders, and their LQ images in another folder.

    Args:
      hq: folder of HQ images, or one file.
      lq: folder of LQ images, or one file; None for HQ images alone.
      scale: HQ / LQ side ratio, a possible ending of LQ names.
      template: template of LQ names, see `match_pairs`.

    Raises:
      InputError: if a folder is missing or has no images, or pairs do not match.
    """
    found = _find(hq)
    if lq is None:
        if template:
            raise InputError(f"The template of LQ names {template!r} needs a folder of LQ images beside {hq}.")
        return Images([(file, None) for file in found.pictures], _describe(found.left_out))
    found_lq = _find(lq)
    hq_folder, lq_folder = (place.parent if place.is_file() else place for place in (hq, lq))
    pairs = match_pairs(
        [file.relative_to(hq_folder) for file in found.pictures],
        [file.relative_to(lq_folder) for file in found_lq.pictures],
        scale,
        template,
    )
    unused = len(found_lq.pictures) - len(pairs)
    left_out = [_describe([*found.left_out, *found_lq.left_out])]
    left_out += [f"{unused} left out in {lq}, not named {template}"] if unused else []
    return Images([(hq_folder / a, lq_folder / b) for a, b in pairs], "; ".join(filter(None, left_out)))


def read_uint8(path: Path) -> np.ndarray:
    """Reads an image as uint8 `[h, w]` or `[h, w, 3]` RGB, rounding 16 bits to 8.

    Raises:
      InputError: if the file cannot be read.
    """
    return to_8_bits(read_picture(path).pixels)


def _find(place: Path) -> Found:
    found = Found([place], []) if place.is_file() else find_pictures(place, recursive=True)
    if not found.pictures:
        others = f" ({_describe(found.left_out)})" if found.left_out else ""
        raise InputError(f"{place}: no images in this folder{others}.")
    return found


def _describe(left_out: list[Path]) -> str:
    return describe_left_out(left_out) if left_out else ""
