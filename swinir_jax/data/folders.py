"""The images of folders, alone or in pairs."""

import dataclasses
from pathlib import Path

from swinir_jax.data.pairs import match_pairs
from swinir_jax.errors import InputError
from swinir_jax.images.finding import Found, describe_left_out, find_pictures


@dataclasses.dataclass(frozen=True)
class Images:
    """Image files.

    Attributes:
      pairs: HQ and LQ files; None where there is no LQ folder.
      left_out: what else the folders hold, counted and named; empty if nothing.
    """

    pairs: list[tuple[Path, Path | None]]
    left_out: str


def find_images(hq: Path, lq: Path | None = None, *, scale: int = 1, template: str = "") -> Images:
    """Finds the images of a folder and those below it, and their LQ in another.

    Args:
      hq: a folder, or one file.
      lq: another, or None.
      scale: HQ / LQ side ratio, which names of LQ files may end with.
      template: how LQ files are called, see `match_pairs`.

    Raises:
      InputError: if a folder is none or has no images, or pairs do not match.
    """
    found = _find(hq)
    if lq is None:
        if template:
            raise InputError(f"A template of pairs ({template}) needs a folder of LQ images beside {hq}.")
        return Images([(file, None) for file in found.pictures], _describe(found.left_out))
    found_lq = _find(lq)
    above_hq, above_lq = (place.parent if place.is_file() else place for place in (hq, lq))
    pairs = match_pairs(
        [file.relative_to(above_hq) for file in found.pictures],
        [file.relative_to(above_lq) for file in found_lq.pictures],
        scale,
        template,
    )
    unused = len(found_lq.pictures) - len(pairs)
    left_out = [_describe([*found.left_out, *found_lq.left_out])]
    left_out += [f"{unused} left out in {lq}, not called {template}"] if unused else []
    return Images([(above_hq / a, above_lq / b) for a, b in pairs], "; ".join(filter(None, left_out)))


def _find(place: Path) -> Found:
    found = Found([place], []) if place.is_file() else find_pictures(place, recursive=True)
    if not found.pictures:
        others = f" ({_describe(found.left_out)})" if found.left_out else ""
        raise InputError(f"{place}: no images in this folder{others}.")
    return found


def _describe(left_out: list[Path]) -> str:
    return describe_left_out(left_out) if left_out else ""
