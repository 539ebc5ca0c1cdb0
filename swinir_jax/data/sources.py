"""Where training images come from: folders of image files, and sets that `prepare-data` or TFDS has written."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np

from swinir_jax.data.degradations import to_uint8
from swinir_jax.data.pairs import match_pairs
from swinir_jax.data.records import RecordSource, is_record_folder
from swinir_jax.errors import InputError
from swinir_jax.images import is_image_file, read_picture, read_size

logger = logging.getLogger(__name__)

Size = tuple[int, int]  # height, width

_HEADER_THREADS = 8  # opening files is waiting, above all on network disks


class ImageSource(Protocol):
    """Images by number; some sources have an LQ image beside each."""

    def __len__(self) -> int:
        """How many there are."""

    def name(self, index: int) -> str:
        """What messages call an image."""

    def sizes(self, index: int) -> tuple[Size, Size | None]:
        """Height and width of HQ and of LQ, without decoding; InputError if they cannot be read."""

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray | None]:
        """HQ and LQ, each uint8 `[h, w]` or `[h, w, 3]` RGB; InputError if they cannot be read."""


class FileSource:
    """Image files.

    Args:
      pairs: HQ and LQ files; None where LQ is to be made of HQ.
    """

    def __init__(self, pairs: Sequence[tuple[Path, Path | None]]):
        self._pairs = pairs

    def __len__(self) -> int:
        """How many pairs there are."""
        return len(self._pairs)

    def name(self, index: int) -> str:
        """The HQ file."""
        return str(self._pairs[index][0])

    def sizes(self, index: int) -> tuple[Size, Size | None]:
        """Height and width of HQ and of LQ."""
        hq, lq = self._pairs[index]
        return read_size(hq), None if lq is None else read_size(lq)

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray | None]:
        """HQ and LQ, uint8."""
        hq, lq = self._pairs[index]
        return read_uint8(hq), None if lq is None else read_uint8(lq)


def open_source(text: str, *, scale: int, data_dir: str = "") -> ImageSource:
    """Opens what `DataConfig.hq` names.

    Args:
      text: `folder:PATH` for images in any nesting, or for what `prepare-data` wrote; `folder:HQ,LQ` for two folders of
        images; `tfds:NAME[/CONFIG][:SPLIT]`.
      scale: HQ / LQ side ratio, which names of LQ files may end with.
      data_dir: where TFDS keeps its sets; empty for its own default.

    Raises:
      InputError: if there is no such source, it has no images, or pairs do not match.
    """
    kind, _, place = text.partition(":")
    if kind == "folder" and place:
        hq, comma, lq = place.partition(",")
        if comma:
            return FileSource([*match_pairs(find_images(hq), find_images(lq), scale)])
        return (
            RecordSource(Path(hq)) if is_record_folder(Path(hq)) else FileSource([(f, None) for f in find_images(hq)])
        )
    if kind == "tfds" and place:
        from swinir_jax.data.tfds_source import TfdsSource  # takes a second, and a package that few need

        return TfdsSource(place, scale=scale, data_dir=data_dir)
    raise InputError(f"data.hq must be folder:PATH, folder:HQ,LQ or tfds:NAME[/CONFIG][:SPLIT], got {text!r}.")


def find_images(folder: str | Path) -> list[Path]:
    """The images of a folder and those below it, hidden ones left out, in an order that no machine changes.

    Raises:
      InputError: if there are none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder.")
    files = [file for file in folder.rglob("*") if is_image_file(file)]
    files = [file for file in files if not any(part.startswith(".") for part in file.relative_to(folder).parts)]
    if not files:
        raise InputError(f"{folder}: no images in this folder.")
    return sorted(files)


def read_uint8(path: Path) -> np.ndarray:
    """Reads an image, `[h, w]` or `[h, w, 3]` RGB; 16 bits are rounded to 8.

    Raises:
      InputError: if it cannot be read.
    """
    pixels = read_picture(path).pixels
    return pixels if pixels.dtype == np.uint8 else to_uint8(pixels / 257)


def usable_images(source: ImageSource, *, side: int, scale: int, skip_small: bool) -> list[int]:
    """Finds which images patches can be cut from, by their headers.

    Args:
      source: the images.
      side: of an HQ patch.
      scale: HQ / LQ side ratio.
      skip_small: leave smaller images out, in place of an error.

    Returns:
      Their numbers in the source, in order; at least one.

    Raises:
      InputError: if a file cannot be read, a pair's sizes do not fit the scale, or images are smaller than the patch;
        the message names the first of them and says how many there are.
    """
    unreadable, unfit, small, usable = [], [], [], []
    with ThreadPoolExecutor(_HEADER_THREADS) as threads:
        sizes = threads.map(lambda index: _sizes(source, index), range(len(source)))
        for index, found in enumerate(sizes):
            name = source.name(index)
            if isinstance(found, InputError):
                unreadable.append(str(found))
                continue
            (h, w), lq = found
            if lq is not None and lq != (h // scale, w // scale):
                unfit.append(f"{name}: its LQ image of {lq[1]}x{lq[0]}, enlarged by {scale}, is not {w}x{h}")
            elif min(h, w) < side:
                small.append(f"{name}: {w}x{h} is smaller than a patch of {side}x{side}")
            else:
                usable.append(index)
    for problems, hint in (
        (unreadable, "swinir-jax prepare-data FOLDER lists them"),
        (unfit, "pairs must have the scale of the network"),
        (small if not (skip_small and usable) else [], "take a smaller patch, or skip them (skip_small)"),
    ):
        if problems:
            more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
            raise InputError(f"{problems[0].rstrip('.')}{more}; {hint}.")
    for problem in small:
        logger.warning("skipped: %s", problem)
    return usable


def _sizes(source: ImageSource, index: int) -> tuple[Size, Size | None] | InputError:
    try:
        return source.sizes(index)
    except InputError as error:
        return error
