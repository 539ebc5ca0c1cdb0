"""One network's answer by rows of tiles, as a source of rows for the next network or for a file."""

import bisect
import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from swinir_jax.errors import InputError
from swinir_jax.images.rows import Block, RowSource, RowWindow
from swinir_jax.inference.colour import CHANNEL_NOTES, through_network
from swinir_jax.inference.network import fingerprint
from swinir_jax.inference.padding import first_pixel, mirrored
from swinir_jax.inference.plan import MAX_AUTO_TILE
from swinir_jax.inference.restorer import Restorer, check_answer
from swinir_jax.inference.tiling import Shape, Tiling
from swinir_jax.machine import resident_bytes

_ROWS = 64  # rows of the answer that are handed on at once
_FLOAT = np.dtype(np.float32).itemsize


class NetworkRows:
    """Restoration of a source of rows by one network, with one row of tiles in memory.

    Attributes:
      answer: the restored rows, clipped and not rounded; they can be read once a tile is chosen.
    """

    def __init__(self, restorer: Restorer, source: RowSource, done: Callable[[int], None]):
        """Prepares the restoration; reads and computes nothing.

        Args:
          restorer: the network, and the options that tiles depend on.
          source: the rows to restore.
          done: called with the number of tiles just finished.

        Raises:
          InputError: if the network or an option requires the whole image in memory.
        """
        self._restorer, self._source, self._done = restorer, source, done
        self._config, self._engine = restorer.model.config, restorer.engine
        self._check()
        scale, pixels = restorer.scale, source.head.pixels
        note = CHANNEL_NOTES.get((source.channels, self._config.in_chans))
        head = dataclasses.replace(source.head, pixels=pixels.repeat(scale, axis=1))
        if note and note not in head.notes:
            head = head.noting(note)
        block_bytes = _ROWS * head.pixels.size * _FLOAT
        self.answer = RowSource(
            source.path, head, source.height * scale, block_bytes, self._blocks, np.dtype(np.float32)
        )

    def _check(self) -> None:
        source, config = self._source, self._config
        if self._restorer.tile == 0:
            raise InputError(f"{source.path}: too large to be restored whole (tile=0) in the memory allowed.")
        if self._restorer.self_ensemble:
            raise InputError(f"{source.path}: too large for the self-ensemble, which turns whole images in memory.")
        if source.channels > config.in_chans and config.upscale > 1:
            raise InputError(f"{source.path}: a colour image larger than memory needs an RGB network to be enlarged.")

    def tiles(self) -> dict[Shape, float]:
        """Returns the possible tiles, the largest first, with the bytes that program and rows take."""
        engine, layout, size = self._engine, self._engine.layout, (self._source.height, self._source.width)
        sides: list[int | None] = [None]  # an explicit tile is the only choice
        if layout.tile == "auto":
            largest = min(MAX_AUTO_TILE, max(layout.padded(size))) // layout.window * layout.window
            largest = max(largest, layout.smallest())
            fitting = engine.fitting_side(layout.alone(size, largest), engine.batch_size)
            sides = [*range(fitting or largest, layout.smallest() - 1, -layout.window)]
        tiles = [layout.alone(size, side) for side in sides]
        shape = (engine.batch_size, *tiles[0], self._config.in_chans)
        pixel_bytes = engine.programs.need(shape) / math.prod(tiles[0]) if engine.on_cpu else 0
        return {tile: pixel_bytes * math.prod(tile) + self._row_bytes(tile[0]) for tile in tiles}

    def _row_bytes(self, tile_height: int) -> int:
        """Returns the bytes held beside the program: a row of tiles, and the rows being read and handed on."""
        source, scale = self._source, self._config.upscale
        row = self._engine.layout.padded((1, source.width))[1] * source.channels
        # The row of tiles, the next one, and the padded copy.
        lq = tile_height * row * (3 * _FLOAT + source.dtype.itemsize) + source.block_bytes
        return lq + tile_height * row * scale**2 * _FLOAT + row * scale * _ROWS * 4 * _FLOAT

    def take(self, tile: Shape) -> Tiling:
        """Chooses a tile, and returns the grid of tiles over the source."""
        layout = self._engine.layout
        self._tiling = layout.grid(layout.padded((self._source.height, self._source.width)), tile)
        return self._tiling

    def settings(self) -> dict[str, Any]:
        """Returns everything that the answer depends on beside the source and the tiles, as JSON values."""
        layout, model = self._engine.layout, fingerprint(self._restorer.model, self._engine.programs.weights)
        return {"model": model, "overlap": layout.overlap, "blend": layout.blend, "pad": layout.pad}

    def _blocks(self, begin: int) -> Iterator[Block]:
        """Yields the rows of the answer from row `begin` on, `[n, w * scale, C]`, a few at a time."""
        source, tiling, scale, pad = self._source, self._tiling, self._config.upscale, self._engine.layout.pad
        height, width, above = self.answer.height, self.answer.width, first_pixel(pad) * scale
        if begin == height:
            return
        first = bisect.bisect_right(tiling.rows, (begin + above) // scale) - 1
        first_tiles = tiling.first_needed(first)
        beyond = bisect.bisect_left(tiling.rows, first_pixel(pad) + source.height)  # these tiles hold padding alone
        image_rows, image_cols = mirrored(source.height, tiling.height, pad), mirrored(source.width, tiling.width, pad)
        # The first row of the image that a row of tiles and those below it need: padding mirrors rows further up.
        needed = {y: int(image_rows[y:].min()) for y in tiling.rows}
        window = RowWindow(source, needed[tiling.rows[first_tiles]])

        def read(start: int, stop: int) -> np.ndarray:
            rows, top = image_rows[start:stop], needed[start]
            return window.read(top, rows.max() + 1).take(rows - top, axis=0).take(image_cols, axis=1)

        self._done((first_tiles + len(tiling.rows) - beyond) * len(tiling.cols))
        top = tiling.rows[first] * scale - above
        batch_size = self._engine.batch_size
        for band in tiling.bands(read, source.channels, self._run, batch_size, self._done, first=first, stop=beyond):
            for y in range(max(begin - top, 0), min(len(band), height - top), _ROWS):
                rows = band[y : min(y + _ROWS, height - top), above : above + width]
                check_answer(rows)
                yield top + y, np.clip(rows, 0, 1)
            top += len(band)

    def _run(self, tiles: np.ndarray) -> np.ndarray:
        """Runs the network over `[B, h, w, C]` of any C, as over one tall image: colours are converted by pixel."""
        scale, (b, h, w, _) = self._config.upscale, tiles.shape

        def run(tall: np.ndarray) -> np.ndarray:
            return self._engine.run(tall.reshape(b, h, w, -1)).reshape(b * h * scale, w * scale, -1)

        restored = through_network(tiles.reshape(b * h, w, -1), run, self._config.in_chans, scale)
        return restored.reshape(b, h * scale, w * scale, -1)


def choose_tiles(
    path: Path, choices: Sequence[Mapping[Shape, float]], budget: float, begun: Sequence[Any] = ()
) -> list[Shape]:
    """Chooses the tiles of networks that run in turn, all of them in memory.

    Args:
      path: file of the image, for messages.
      choices: `NetworkRows.tiles` of each network.
      budget: bytes that programs and rows may take.
      begun: tiles of an unfinished result, as lists, which are taken if they fit.

    Returns:
      The tile of each network: the largest that fit, where the network that takes most gives way first.

    Raises:
      InputError: if the smallest tiles do not fit.
    """
    same = [tile for tiles, known in zip(choices, begun, strict=False) for tile in tiles if list(tile) == known]
    if len(same) == len(choices) and sum(tiles[tile] for tiles, tile in zip(choices, same, strict=True)) <= budget:
        return same
    remaining = [list(tiles.items()) for tiles in choices]
    while (need := sum(tiles[0][1] for tiles in remaining)) > budget:
        reducible = [tiles for tiles in remaining if len(tiles) > 1]
        if not reducible:
            sizes = " and ".join(f"{w}x{h}" for (((h, w), _),) in remaining)
            raise InputError(
                f"{path}: rows of tiles of {sizes} take {need / 1e6:.0f} MB; {max(budget, 0) / 1e6:.0f} MB are left, "
                f"beside the {resident_bytes() / 1e6:.0f} MB that the process holds. Take smaller tiles or allow more "
                "memory."
            )
        max(reducible, key=lambda tiles: tiles[0][1]).pop(0)
    return [tiles[0][0] for tiles in remaining]
