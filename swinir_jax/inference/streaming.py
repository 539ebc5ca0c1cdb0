"""Restoration of images larger than memory, by rows of tiles."""

import bisect
import dataclasses
import hashlib
import logging
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from swinir_jax.errors import InputError
from swinir_jax.images import Picture, read_size
from swinir_jax.images.row_reading import decoded_rows, open_rows
from swinir_jax.images.row_writing import GROUP, RowWriter, check_target, read_progress
from swinir_jax.images.rows import RowSource, RowWindow
from swinir_jax.inference.colour import through_network
from swinir_jax.inference.engine import MEMORY_SHARE
from swinir_jax.inference.memory import free_bytes, resident_bytes
from swinir_jax.inference.padding import first_pixel, mirrored
from swinir_jax.inference.photographs import to_samples
from swinir_jax.inference.pictures import CHANNEL_NOTES
from swinir_jax.inference.plan import MAX_AUTO_TILE
from swinir_jax.inference.restorer import Restorer, check_answer
from swinir_jax.inference.tiling import Shape, Tiling
from swinir_jax.models import SwinIR

logger = logging.getLogger(__name__)

_ROWS = 64  # rows of the result that are converted to samples at once


def size_if_fits(path: Path, memory: int, scale: int, *, beside: int = 0) -> tuple[int, int] | None:
    """Decides by a file's header whether the image can be restored in memory.

    Args:
      path: file of the image.
      memory: bytes that may be taken.
      scale: sides of the largest image that is held, over those of the image.
      beside: bytes held beside samples and floats, for each pixel of the largest image.

    Returns:
      Height and width of the image if its samples and floats, and twice those of the largest image, fit; else None.

    Raises:
      InputError: if the header cannot be read.
    """
    source = open_rows(path)
    h, w = (source.height, source.width) if source else read_size(path)
    channels, itemsize = (source.channels, source.head.pixels.itemsize) if source else (3, 1)
    bytes_a_pixel = channels * (itemsize + 4 + scale**2 * 2 * (4 + itemsize)) + scale**2 * beside
    return (h, w) if h * w * bytes_a_pixel <= memory else None


class StreamingRestorer(Restorer):
    """A Restorer that also restores files whose images do not fit into memory."""

    def __init__(self, model: SwinIR, params: Mapping[str, Any], *, memory: int | None = None, **options: Any):
        """Puts the parameters on the device.

        Args:
          model: network, as for a Restorer.
          params: parameters, as for a Restorer.
          memory: bytes that the process may hold; None for those it holds now and a share of the free ones.
          **options: other options of a Restorer.

        Raises:
          InputError: as a Restorer does.
        """
        memory = memory or resident_bytes() + int(MEMORY_SHARE * free_bytes(jax.devices("cpu")[0]))
        super().__init__(model, params, memory=memory, **options)

    def size_if_fits(self, path: Path) -> tuple[int, int] | None:
        """Returns height and width of the image in a file if it can be restored in memory, as `size_if_fits`."""
        return size_if_fits(path, self.engine.unused_memory(), self.scale)

    def restore_file(self, path: Path, target: Path, *, strip_metadata: bool = False) -> tuple[int, Picture]:
        """Restores an image of any size, a row of tiles at a time.

        The result equals that of the whole image restored in the same tiles. If the process is killed, the same call
        continues the unfinished result; a call with other options begins anew.

        Args:
          path: file that `read_picture` reads. Gray and RGB files of PNG and TIFF are read by rows, others whole.
          target: PNG or TIFF file to write (TIFF as a tiled BigTIFF).
          strip_metadata: whether to leave out date, camera, place, author and texts.

        Returns:
          The height of the result, and a picture of one row with the width, the kind and the notes of the result.

        Raises:
          InputError: if the image, the network, an option or the target requires the whole image in memory, the memory
            does not suffice, the file is damaged, or the target cannot be written.
        """
        source = open_rows(path) or self._decode(path)
        height, width = (side * self.model.config.upscale for side in (source.height, source.width))
        check_target(target, height, width)
        self._check_options(source)
        unfinished, layout = read_progress(target), self.engine.layout
        tile = self._affordable_tile(source, unfinished)
        tiling = layout.grid(layout.padded((source.height, source.width)), tile)
        logger.info("%s: %dx%d, by rows of tiles of %dx%d", path, source.width, source.height, tile[1], tile[0])
        settings = self._settings(source, tiling)
        if unfinished and unfinished != settings:
            changed = ", ".join(key for key in settings if unfinished.get(key) != settings[key])
            logger.info("%s: an unfinished result is dropped, because of another %s", target, changed)
        head = self._head(source)
        if strip_metadata:
            head = head.without_metadata()
        with RowWriter(target, head, height, settings) as writer:
            if writer.rows:
                logger.info("%s: continues after row %d of %d", target, writer.rows, height)
            try:
                for rows in self._rows(source, tiling, writer.rows):
                    writer.write(rows.reshape(len(rows), *head.pixels.shape[1:]))
                writer.finish()
            except KeyboardInterrupt:
                logger.info("%s: %d of %d rows are kept; the same command continues", target, writer.rows, height)
                raise
        return height, head

    def _decode(self, path: Path) -> RowSource:
        h, w = read_size(path)
        if h * w * 3 * 2 > self.engine.unused_memory():  # the decoder's copy and ours
            raise InputError(f"{path}: the image exceeds the memory allowed, and its format cannot be read by rows.")
        return decoded_rows(path)

    def _check_options(self, source: RowSource) -> None:
        config = self.model.config
        if self.tile == 0:
            raise InputError(f"{source.path}: too large to be restored whole (tile=0) in the memory allowed.")
        if self._self_ensemble:
            raise InputError(f"{source.path}: too large for the self-ensemble, which turns whole images in memory.")
        if source.channels > config.in_chans and config.upscale > 1:
            raise InputError(f"{source.path}: a colour image larger than memory needs an RGB network to be enlarged.")

    def _affordable_tile(self, source: RowSource, unfinished: Mapping[str, Any] | None) -> Shape:
        """Returns the tile of an unfinished result if program and rows fit into memory, else the largest that fits."""
        engine, layout, size = self.engine, self.engine.layout, (source.height, source.width)
        sides = [0]  # an explicit tile is the only choice
        if layout.tile == "auto":
            largest = min(MAX_AUTO_TILE, max(layout.padded(size))) // layout.window * layout.window
            largest = max(largest, layout.smallest())
            fitting = engine.fitting_side(layout.alone(size, largest), engine.batch_size)
            sides = [*range(fitting or largest, layout.smallest() - 1, -layout.window)]
        tiles = [layout.alone(size, side) for side in sides]
        shape = (engine.batch_size, *tiles[0], self.model.config.in_chans)
        program = engine.programs.need(shape) if engine.on_cpu else 0
        pixels, budget = math.prod(tiles[0]), engine.unused_memory()
        begun = [tile for tile in tiles if unfinished and unfinished.get("tile") == list(tile)]
        for tile in begun + tiles:
            need = program * math.prod(tile) / pixels + self._row_bytes(source, tile[0])
            if need <= budget:
                return tile
        raise InputError(
            f"{source.path}: rows of tiles of {tile[1]}x{tile[0]} take {need / 1e6:.0f} MB; {budget / 1e6:.0f} MB are "
            f"left, beside the {resident_bytes() / 1e6:.0f} MB that the process holds. Take smaller tiles or allow "
            "more memory."
        )

    def _row_bytes(self, source: RowSource, tile_height: int) -> int:
        """Returns the bytes held beside the program: floats of a row of tiles, and samples being read and written."""
        scale, itemsize = self.model.config.upscale, source.head.pixels.itemsize
        row = self.engine.layout.padded((1, source.width))[1] * source.channels
        # The row of tiles, the next one, and the padded copy.
        lq = tile_height * row * (3 * 4 + itemsize) + source.block_bytes
        return lq + tile_height * row * scale**2 * 4 + row * scale * (_ROWS * 3 * 4 + GROUP * 5 * itemsize)

    def _settings(self, source: RowSource, tiling: Tiling) -> dict[str, Any]:
        """Returns everything that decides the result, to compare with that of an unfinished one."""
        file = source.path.stat()
        model = hashlib.sha256(repr(self.model).encode())
        for leaf in jax.tree.leaves(self.engine.programs.weights):
            model.update(np.asarray(leaf).tobytes())
        return {
            "input": [str(source.path.resolve()), file.st_size, file.st_mtime_ns],
            "model": model.hexdigest(),
            "tile": list(tiling.tile),
            "overlap": tiling.overlap,
            "blend": tiling.blend,
            "pad": self.engine.layout.pad,
        }

    def _head(self, source: RowSource) -> Picture:
        width = source.width * self.model.config.upscale
        pixels = np.zeros((1, width, *source.head.pixels.shape[2:]), source.head.pixels.dtype)
        note = CHANNEL_NOTES.get((source.channels, self.model.config.in_chans))
        return dataclasses.replace(source.head, pixels=pixels, notes=source.head.notes + ((note,) if note else ()))

    def _rows(self, source: RowSource, tiling: Tiling, begin: int) -> Iterator[np.ndarray]:
        """Yields the rows of the result after the first `begin` ones, `[n, w * scale, C]`, a few at a time."""
        scale, dtype, pad = self.model.config.upscale, source.head.pixels.dtype, self.engine.layout.pad
        height, width, above = source.height * scale, source.width * scale, first_pixel(pad) * scale
        if begin == height:
            return
        first = bisect.bisect_right(tiling.rows, (begin + above) // scale) - 1
        first_tiles, total = tiling.first_needed(first), len(tiling)
        image_rows, image_cols = mirrored(source.height, tiling.height, pad), mirrored(source.width, tiling.width, pad)
        # The first row of the image that a row of tiles and those below it need: padding mirrors rows further up.
        needed = {y: int(image_rows[y:].min()) for y in tiling.rows}
        window = RowWindow(source, needed[tiling.rows[first_tiles]])

        def read(start: int, stop: int) -> np.ndarray:
            rows, top = image_rows[start:stop], needed[start]
            return window.read(top, rows.max() + 1).take(rows - top, axis=0).take(image_cols, axis=1)

        self._done(first_tiles * len(tiling.cols), total)
        top = tiling.rows[first] * scale - above
        for band in tiling.bands(
            read, source.channels, self._run, self.engine.batch_size, lambda n: self._done(n, total), first=first
        ):
            for y in range(max(begin - top, 0), min(len(band), height - top), _ROWS):
                rows = band[y : min(y + _ROWS, height - top), above : above + width]
                check_answer(rows)
                yield to_samples(rows, dtype)
            top += len(band)

    def _run(self, tiles: np.ndarray) -> np.ndarray:
        """Runs the network over `[B, h, w, C]` of any C, as over one tall image: colours are converted by pixel."""
        scale, (b, h, w, _) = self.model.config.upscale, tiles.shape

        def run(tall: np.ndarray) -> np.ndarray:
            return self.engine.run(tall.reshape(b, h, w, -1)).reshape(b * h * scale, w * scale, -1)

        restored = through_network(tiles.reshape(b * h, w, -1), run, self.model.config.in_chans, scale)
        return restored.reshape(b, h * scale, w * scale, -1)
