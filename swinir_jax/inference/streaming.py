"""Images larger than memory: read, restored and written by rows of tiles."""

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
import psutil

from swinir_jax.errors import InputError
from swinir_jax.images import Picture, read_size
from swinir_jax.images.row_reading import decoded_rows, open_rows
from swinir_jax.images.row_writing import GROUP, RowWriter, check_target, read_progress
from swinir_jax.images.rows import RowSource, RowWindow
from swinir_jax.inference.colour import through_network
from swinir_jax.inference.memory import free_bytes
from swinir_jax.inference.padding import first_pixel, mirrored
from swinir_jax.inference.pictures import CHANNEL_NOTES
from swinir_jax.inference.plan import MAX_AUTO_TILE
from swinir_jax.inference.restorer import MEMORY_SHARE, Restorer, check_answer, to_samples
from swinir_jax.inference.tiling import Shape, Tiling
from swinir_jax.models import SwinIR

logger = logging.getLogger(__name__)

_ROWS = 64  # of the result that become samples at a time


class StreamingRestorer(Restorer):
    """A Restorer that also takes files whose images do not fit into memory.

    Attributes:
      memory: that the process may take, in bytes.
    """

    def __init__(self, model: SwinIR, params: Mapping[str, Any], *, memory: int | None = None, **options: Any):
        """Puts the parameters on the device.

        Args:
          model: as for a Restorer.
          params: as for a Restorer.
          memory: as the attribute; None for a share of what is free.
          **options: as for a Restorer.

        Raises:
          InputError: as a Restorer.
        """
        super().__init__(model, params, **options)
        self.memory = memory or _resident_bytes() + int(MEMORY_SHARE * free_bytes(jax.devices("cpu")[0]))

    def size_if_fits(self, path: Path) -> tuple[int, int] | None:
        """Tells from a file's header whether the whole image can be restored in memory.

        Returns:
          Its height and width if samples and floats of it, and twice of the result, fit.

        Raises:
          InputError: if the header cannot be read.
        """
        source = open_rows(path)
        h, w = (source.height, source.width) if source else read_size(path)
        channels, itemsize = (source.channels, source.head.pixels.itemsize) if source else (3, 1)
        bytes_a_pixel = itemsize + 4 + self.model.config.upscale**2 * 2 * (4 + itemsize)
        return (h, w) if h * w * channels * bytes_a_pixel <= self._left() else None

    def restore_file(self, path: Path, target: Path, *, strip_metadata: bool = False) -> tuple[int, Picture]:
        """Restores an image of any size, a row of tiles at a time.

        The result is that of restoring the whole image in the same tiles. If the process is killed, the same call goes
        on where it was; one with other options begins anew.

        Args:
          path: a file that `read_picture` reads. PNG and TIFF of gray and RGB are read by rows, the others whole.
          target: a file to write, PNG or TIFF (as a tiled BigTIFF).
          strip_metadata: whether date, camera, place, author and texts are left out.

        Returns:
          The height of the result, and a picture like its first row, for the width, the kind and the notes.

        Raises:
          InputError: if the kind of image, network, option or target is for images in memory alone, the memory is not
            enough even so, the file is damaged, or the target cannot be written.
        """
        source = open_rows(path) or self._decode(path)
        height, width = (side * self.model.config.upscale for side in (source.height, source.width))
        check_target(target, height, width)
        self._check_options(source)
        unfinished = read_progress(target)
        tiling = self._layout.grid(
            self._layout.padded((source.height, source.width)), self._affordable_tile(source, unfinished)
        )
        about = self._about(source, tiling)
        tile = "{1}x{0}".format(*tiling.tile)
        logger.info("%s: %dx%d, by rows of tiles of %s", path, source.width, source.height, tile)
        if unfinished and unfinished != about:
            changed = ", ".join(key for key in about if unfinished.get(key) != about[key])
            logger.info("%s: an unfinished result is dropped, because of another %s", target, changed)
        head = self._head(source)
        if strip_metadata:
            head = head.without_metadata()
        with RowWriter(target, head, height, about) as writer:
            if writer.rows:
                logger.info("%s: goes on behind row %d of %d", target, writer.rows, height)
            try:
                for rows in self._rows(source, tiling, writer.rows):
                    writer.write(rows.reshape(len(rows), *head.pixels.shape[1:]))
                writer.finish()
            except KeyboardInterrupt:
                logger.info("%s: %d of %d rows are kept; the same command goes on", target, writer.rows, height)
                raise
        return height, head

    def _decode(self, path: Path) -> RowSource:
        h, w = read_size(path)
        if h * w * 3 * 2 > self._left():  # the decoder's copy and ours
            raise InputError(
                f"{path}: an image of this kind is not read by rows, and is larger than the memory allowed."
            )
        return decoded_rows(path)

    def _check_options(self, source: RowSource) -> None:
        config = self.model.config
        if self.tile == 0:
            raise InputError(f"{source.path}: too large to be restored whole (tile=0) in the memory allowed.")
        if self._self_ensemble:
            raise InputError(f"{source.path}: too large for the self-ensemble, which turns whole images in memory.")
        if source.channels > config.in_chans and config.upscale > 1:
            raise InputError(
                f"{source.path}: an image in colour larger than memory takes an RGB network to enlarge it."
            )

    def _affordable_tile(self, source: RowSource, unfinished: Mapping[str, Any] | None) -> Shape:
        """The largest tiles whose program and rows fit into the memory; if possible, as was begun with."""
        layout, devices, size = self._layout, self._programs.devices, (source.height, source.width)
        sides = [0]  # of explicit tiles, the one that there is
        if self.tile == "auto":
            largest = min(MAX_AUTO_TILE, max(layout.padded(size))) // layout.window * layout.window
            largest = max(largest, layout.smallest())
            fitting = self._fitting_side(*layout.alone(size, largest), self._batch_size)
            sides = [*range(fitting or largest, layout.smallest() - 1, -layout.window)]
        tiles = [layout.alone(size, side) for side in sides]
        shape = (self._batch_size, *tiles[0], self.model.config.in_chans)
        in_memory = self._programs.need(shape) if devices.first.platform == "cpu" else 0
        pixels, budget = math.prod(tiles[0]), self._left()
        begun = [tile for tile in tiles if unfinished and unfinished.get("tile") == list(tile)]
        for tile in begun + tiles:
            need = in_memory * math.prod(tile) / pixels + self._row_bytes(source, tile[0])
            if need <= budget:
                return tile
        raise InputError(
            f"{source.path}: rows of tiles of {tile[1]}x{tile[0]} take {need / 1e6:.0f} MB; {budget / 1e6:.0f} MB are "
            f"left of the {self.memory / 1e6:.0f} MB allowed, of which the process holds "
            f"{_resident_bytes() / 1e6:.0f}. Take smaller tiles or allow more memory."
        )

    def _row_bytes(self, source: RowSource, tile: int) -> int:
        """What is held of an image besides the program: floats of a row of tiles, and samples on their way."""
        scale, itemsize = self.model.config.upscale, source.head.pixels.itemsize
        row = self._layout.padded((1, source.width))[1] * source.channels
        lq = tile * row * (3 * 4 + itemsize) + source.block_bytes  # one row of tiles, the next, and that being padded
        return lq + tile * row * scale**2 * 4 + row * scale * (_ROWS * 3 * 4 + GROUP * 5 * itemsize)

    def _left(self) -> int:
        """Bytes of those allowed that the process does not hold yet."""
        return max(0, self.memory - _resident_bytes())

    def _budget(self) -> float:
        budget = super()._budget()
        return min(budget, self._left()) if self._programs.devices.first.platform == "cpu" else budget

    def _about(self, source: RowSource, tiling: Tiling) -> dict[str, Any]:
        """All that the result depends on."""
        file = source.path.stat()
        model = hashlib.sha256(repr(self.model).encode())
        for leaf in jax.tree.leaves(self._programs.weights):
            model.update(np.asarray(leaf).tobytes())
        return {
            "input": [str(source.path.resolve()), file.st_size, file.st_mtime_ns],
            "model": model.hexdigest(),
            "tile": list(tiling.tile),
            "overlap": tiling.overlap,
            "blend": tiling.blend,
            "pad": self._layout.pad,
        }

    def _head(self, source: RowSource) -> Picture:
        width = source.width * self.model.config.upscale
        pixels = np.zeros((1, width, *source.head.pixels.shape[2:]), source.head.pixels.dtype)
        note = CHANNEL_NOTES.get((source.channels, self.model.config.in_chans))
        return dataclasses.replace(source.head, pixels=pixels, notes=source.head.notes + ((note,) if note else ()))

    def _rows(self, source: RowSource, tiling: Tiling, begin: int) -> Iterator[np.ndarray]:
        """The rows of the result behind the first `begin`, `[n, w * scale, C]`, a few at a time."""
        scale, dtype, pad = self.model.config.upscale, source.head.pixels.dtype, self._layout.pad
        height, width, above = source.height * scale, source.width * scale, first_pixel(pad) * scale
        if begin == height:
            return
        first = bisect.bisect_right(tiling.rows, (begin + above) // scale) - 1
        begun, total = tiling.first_needed(first), len(tiling)
        places, cols = mirrored(source.height, tiling.height, pad), mirrored(source.width, tiling.width, pad)
        # The rows that a row of tiles and those below it need: padding asks for some a second time.
        needed = {y: int(places[y:].min()) for y in tiling.rows}
        window = RowWindow(source, needed[tiling.rows[begun]])

        def read(start: int, stop: int) -> np.ndarray:
            rows, top = places[start:stop], needed[start]
            return window.read(top, rows.max() + 1).take(rows - top, axis=0).take(cols, axis=1)

        self._done(begun * len(tiling.cols), total)
        top = tiling.rows[first] * scale - above
        for band in tiling.bands(
            read, source.channels, self._run_any, self._batch_size, lambda n: self._done(n, total), first=first
        ):
            for y in range(max(begin - top, 0), min(len(band), height - top), _ROWS):
                rows = band[y : min(y + _ROWS, height - top), above : above + width]
                check_answer(rows)
                yield to_samples(rows, dtype)
            top += len(band)

    def _run_any(self, tiles: np.ndarray) -> np.ndarray:
        """Runs the network over `[B, h, w, C]` of any number of channels; they are treated pixel by pixel."""
        scale, (b, h, w, _) = self.model.config.upscale, tiles.shape

        def run(tall: np.ndarray) -> np.ndarray:
            return self._programs.run(tall.reshape(b, h, w, -1)).reshape(b * h * scale, w * scale, -1)

        restored = through_network(tiles.reshape(b * h, w, -1), run, self.model.config.in_chans, scale)
        return restored.reshape(b, h * scale, w * scale, -1)


def _resident_bytes() -> int:
    return psutil.Process().memory_info().rss
