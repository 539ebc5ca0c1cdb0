"""Restoration of images larger than memory, by rows of tiles."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from swinir_jax.errors import InputError
from swinir_jax.images import Picture, read_header
from swinir_jax.images.row_reading import decoded_rows, open_rows
from swinir_jax.images.row_writing import GROUP, RowWriter, check_target, read_progress
from swinir_jax.images.rows import RowSource
from swinir_jax.inference.network_rows import NetworkRows, choose_tiles
from swinir_jax.inference.photographs import to_samples
from swinir_jax.inference.restorer import Restorer
from swinir_jax.inference.tiling import Tiling

logger = logging.getLogger(__name__)


def fitting_size(path: Path, memory: float, scale: int, *, beside: int = 0) -> tuple[int, int] | None:
    """Decides by a file's header whether the image can be restored in memory.

    Args:
      path: file of the image.
      memory: bytes that may be taken.
      scale: sides of the largest image that is held, over those of the image.
      beside: bytes held beside samples and floats, for each pixel of the largest image.

    Returns:
      Height and width of the image if its samples and floats, and those that are held of the largest image, fit; else
      None.

    Raises:
      InputError: if the header cannot be read.
    """
    header = read_header(path)
    h, w = header.size
    channels, itemsize = header.channels + header.has_alpha, header.bits // 8
    floats = (9 if header.channels == 3 else 7) + (4 if header.has_alpha else 0)  # of answers in RGB, seen in a profile
    bytes_a_pixel = channels * (itemsize + 4) + scale**2 * (4 * floats + channels * itemsize + beside)
    return (h, w) if h * w * bytes_a_pixel <= memory else None


def continues_by_rows(restorers: Sequence[Restorer], path: Path, target: Path) -> bool:
    """Returns whether `restore_by_rows` would go on with an unfinished result, if the memory allows the same tiles.

    Args:
      restorers: the networks in the order in which they run, and their options.
      path: file of the image.
      target: file of the result.
    """
    unfinished = read_progress(target)
    source = open_rows(path) if unfinished else None
    if not unfinished or not source:
        return False
    try:
        settings = _settings(path, _in_turn(restorers, source, lambda tiles: None))
    except InputError:
        return False
    return all(unfinished.get(key) == value for key, value in settings.items())


def restore_by_rows(
    restorers: Sequence[Restorer],
    path: Path,
    target: Path,
    done: Callable[[int, int], None],
    *,
    background: str | None = None,
    strip_metadata: bool = False,
) -> tuple[int, Picture]:
    """Restores an image of any size by networks in turn, with one row of tiles of each network in memory.

    The result equals that of the whole image restored in the same tiles by one network after the other. If the process
    is killed, the same call continues the unfinished result; a call with other options begins anew.

    Args:
      restorers: the networks in the order in which they run, and their options.
      path: file that `read_picture` reads. Gray and RGB files of PNG and TIFF are read by rows, others whole.
      target: PNG or TIFF file to write (TIFF as a tiled BigTIFF).
      done: called with (tiles just finished, tiles of the image in all networks).
      background: colour behind an image with alpha, as for `flatten`; None if alpha is opaque everywhere.
      strip_metadata: whether to leave out date, camera, place, author and texts.

    Returns:
      The height of the result, and a picture of one row with the width, the kind and the notes of the result.

    Raises:
      InputError: if the image, a network, an option or the target requires the whole image in memory, the memory does
        not suffice, the file is damaged, or the target cannot be written.
    """
    engine = restorers[0].engine
    if source := open_rows(path):
        background = None  # because there is no alpha
    else:
        source = _decode(path, background, engine.unused_memory())
    tilings: list[Tiling] = []
    networks = _in_turn(restorers, source, lambda tiles: done(tiles, sum(map(len, tilings))))
    rows = networks[-1].answer
    head = rows.head.without_metadata() if strip_metadata else rows.head
    check_target(target, rows.height, rows.width)
    unfinished = read_progress(target)
    writing = GROUP * 5 * head.pixels.nbytes
    choices = [network.tiles() for network in networks]  # compiles programs, which take memory
    tiles = choose_tiles(path, choices, engine.unused_memory() - writing, (unfinished or {}).get("tile", ()))
    tilings += map(NetworkRows.take, networks, tiles)
    sizes = " and ".join(f"{w}x{h}" for h, w in tiles)
    logger.info("%s: %dx%d, by rows of tiles of %s", path, source.width, source.height, sizes)
    settings = {**_settings(path, networks), "background": background, "tile": [list(tile) for tile in tiles]}
    if unfinished and unfinished != settings:
        changed = ", ".join(key for key in settings if unfinished.get(key) != settings[key])
        logger.info("%s: an unfinished result is dropped, because of another %s", target, changed)
    with RowWriter(target, head, rows.height, settings) as writer:
        if writer.rows:
            logger.info("%s: continues after row %d of %d", target, writer.rows, rows.height)
        try:
            for _, block in rows.blocks(writer.rows):
                writer.write(to_samples(block, head.pixels.dtype).reshape(len(block), *head.pixels.shape[1:]))
            writer.finish()
        except KeyboardInterrupt:
            logger.info("%s: %d of %d rows are kept; the same command continues", target, writer.rows, rows.height)
            raise
    return rows.height, head.noting(*writer.notes)


def _decode(path: Path, background: str | None, memory: float) -> RowSource:
    if 2 * read_header(path).sample_bytes > memory:  # the decoder's copy and ours
        raise InputError(f"{path}: the image exceeds the memory allowed, and its format cannot be read by rows.")
    return decoded_rows(path, background)


def _in_turn(restorers: Sequence[Restorer], source: RowSource, done: Callable[[int], None]) -> list[NetworkRows]:
    """Lets each network restore the rows of the one before; `done` counts the tiles of all."""
    networks: list[NetworkRows] = []
    for restorer in restorers:
        networks.append(NetworkRows(restorer, networks[-1].answer if networks else source, done))
    return networks


def _settings(path: Path, networks: Sequence[NetworkRows]) -> dict[str, Any]:
    """Returns everything that the result depends on beside the tiles, to compare with that of an unfinished result."""
    file, settings = path.stat(), [network.settings() for network in networks]
    by_network = {key: [of_network[key] for of_network in settings] for key in settings[0]}
    return {"input": [str(path.resolve()), file.st_size, file.st_mtime_ns], **by_network}
