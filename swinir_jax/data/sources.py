"""Sources of training images: folders of image files, records and pools of `prepare-data`, and sets of TFDS."""

import dataclasses
import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from swinir_jax.data.folders import find_images, read_uint8
from swinir_jax.data.image_source import ImageSource, JoinedSource, Sizes, StoredImage
from swinir_jax.data.pairs import sizes_fit
from swinir_jax.data.places import FolderPlace, TfdsPlace, is_place, parse_places
from swinir_jax.data.pool import is_pool, read_pool
from swinir_jax.data.records import RecordSource, is_record_folder
from swinir_jax.errors import InputError, first_few
from swinir_jax.images import read_header

logger = logging.getLogger(__name__)

_HEADER_THREADS = 8  # opening files is mostly waiting, above all on network disks


class FileSource:
    """Image files.

    Args:
      pairs: HQ and LQ files; LQ is None where it is made from HQ.
    """

    def __init__(self, pairs: Sequence[tuple[Path, Path | None]]):
        self.pairs = pairs

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.pairs)

    def name(self, index: int) -> str:
        """Returns the path of the HQ file."""
        return str(self.pairs[index][0])

    def sizes(self, index: int) -> Sizes:
        """Returns (height, width) of HQ and LQ."""
        hq, lq = self.pairs[index]
        return read_header(hq).size, None if lq is None else read_header(lq).size

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns HQ and LQ, uint8."""
        hq, lq = self.pairs[index]
        return read_uint8(hq), None if lq is None else read_uint8(lq)


@dataclasses.dataclass(frozen=True)
class Part:
    """Images of one place in `DataConfig.hq`.

    Attributes:
      name: name of the place for messages.
      source: images of the place.
      weight: relative number of patches from this place; None if it is not given.
    """

    name: str
    source: ImageSource
    weight: float | None


def open_parts(text: str, *, scale: int, pairs: str = "", data_dir: str = "", option: str = "--data.hq") -> list[Part]:
    """Opens the places in a value of `DataConfig.hq`, and logs the files left out.

    Args:
      text: value in the grammar of `DataConfig.hq`.
      scale: HQ / LQ side ratio, a possible ending of LQ names.
      pairs: template of LQ names, see `match_pairs`.
      data_dir: folder of tensorflow-datasets; empty for the default of that library.
      option: name of the option for messages.

    Raises:
      InputError: if a place does not exist or has no images, or pairs do not match.
    """
    places = parse_places(text, option)
    if pairs and not any(isinstance(place, FolderPlace) and place.lq for place in places):
        raise InputError(f"The template of LQ names {pairs!r} needs an LQ folder: {option} folder:HQ,LQ, got {text!r}.")
    return [
        Part(place.name, _open(place, scale=scale, pairs=pairs, data_dir=data_dir), place.weight) for place in places
    ]


def open_pairs(
    text: str, *, scale: int, pairs: str = "", data_dir: str = "", option: str
) -> Iterator[tuple[Path | StoredImage, Path | StoredImage | None]]:
    """Opens the images to measure: a value of `DataConfig.hq`, or the path of a folder or file; see `open_parts`.

    Yields:
      HQ and LQ of each image; LQ is None where it is made from HQ.

    Raises:
      InputError: as for `open_parts`, or if a header cannot be read or the sizes of a pair do not fit the scale.
    """
    if is_place(text):
        sources = [part.source for part in open_parts(text, scale=scale, pairs=pairs, data_dir=data_dir, option=option)]
    else:
        sources = [_open_folder(Path(os.path.expanduser(text)), None, scale=scale, template=pairs)]
    hint = f"leave it out of {option}"
    usable_images(JoinedSource(sources), side=scale, scale=scale, skip_small=False, need="a pixel of LQ", hint=hint)
    for source in sources:
        if isinstance(source, FileSource):
            yield from source.pairs
            continue
        for index in range(len(source)):
            has_lq = source.sizes(index)[1] is not None
            yield StoredImage(source, index, 0), StoredImage(source, index, 1) if has_lq else None


def _open(place: FolderPlace | TfdsPlace, *, scale: int, pairs: str, data_dir: str) -> ImageSource:
    if isinstance(place, TfdsPlace):
        from swinir_jax.data.tfds_source import TfdsSource  # here, because the import takes a second

        return TfdsSource(place.name, scale=scale, data_dir=data_dir)
    place.check()
    return _open_folder(place.hq, place.lq, scale=scale, template=pairs if place.lq else "")


def _open_folder(hq: Path, lq: Path | None, *, scale: int, template: str) -> ImageSource:
    if lq is None and is_record_folder(hq):
        return RecordSource(hq)
    if lq is None and is_pool(hq):
        pairs, recipe = read_pool(hq)
        logger.info(
            "%s: %d pairs degraded by %s, in place of the degradation on the fly.", hq, len(pairs), recipe.chain
        )
        return FileSource(pairs)
    images = find_images(hq, lq, scale=scale, template=template)
    if images.left_out:
        logger.warning("%s: %s", hq, images.left_out)
    return FileSource(images.pairs)


def usable_images(
    source: ImageSource,
    *,
    side: int,
    scale: int,
    skip_small: bool,
    need: str = "a patch",
    hint: str | None = None,
) -> dict[int, Sizes]:
    """Finds the images that are large enough, from their headers.

    Args:
      source: all images.
      side: least side of an HQ image, in pixels.
      scale: HQ / LQ side ratio.
      skip_small: leave out smaller images, which are an error otherwise.
      need: name of a square of that side, for messages.
      hint: what to do about smaller images, for the error; None for the options of training.

    Returns:
      Sizes by index in the source, in order; at least one.

    Raises:
      InputError: if a file cannot be read, the sizes of a pair do not fit the scale, or images are too small; the
        message names the first few images and the number of the others.
    """
    unreadable, unfit, small = [], [], []
    usable: dict[int, Sizes] = {}
    with ThreadPoolExecutor(_HEADER_THREADS) as threads:
        sizes = threads.map(lambda index: _sizes(source, index), range(len(source)))
        for index, found in enumerate(sizes):
            name = source.name(index)
            if isinstance(found, InputError):
                unreadable.append(str(found).rstrip("."))
                continue
            (h, w), lq = found
            if lq is not None and not sizes_fit((h, w), lq, scale):
                unfit.append(f"{name}: the LQ image of {lq[1]}x{lq[0]}, enlarged by {scale}, is not {w}x{h}")
            elif min(h, w) < side:
                small.append(f"{name}: {w}x{h} is smaller than {need} of {side}x{side}")
            else:
                usable[index] = found
    if hint is None:
        hint = "take a smaller --data.patch-size" + (", or --data.skip-small" if usable else "")
    for problems, advice in (
        (unreadable, "swinir-jax prepare-data FOLDER lists them"),
        (unfit, "pairs must have the scale of the network"),
        (small if not (skip_small and usable) else [], hint),
    ):
        if problems:
            raise InputError(f"{first_few(problems)}; {advice}.")
    if small:
        logger.warning("%d of %d images skipped: %s", len(small), len(source), first_few(small))
    return usable


def _sizes(source: ImageSource, index: int) -> Sizes | InputError:
    try:
        return source.sizes(index)
    except InputError as error:
        return error
