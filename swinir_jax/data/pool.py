"""Pools: photographs degraded in advance, several times each, written by `prepare-data --degrade`.

A pool is a folder with `HQ/00012.png`, `LQ/00012_0.png`, `LQ/00012_1.png`, ... and an index, `pool.json`. The HQ file
of a photograph is written after the LQ files: where it exists, a run that goes on leaves the photograph out.
"""

import concurrent.futures
import dataclasses
import json
import multiprocessing
import os
import signal
import threading
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from swinir_jax.data.blind import blind_chain, cut_to_scale
from swinir_jax.data.folders import read_uint8
from swinir_jax.errors import InputError
from swinir_jax.files import ENDING_SIGNALS, check_new_folder, make_folder, write_bytes
from swinir_jax.images import Picture, write_picture
from swinir_jax.images.result_folders import make_result_folder

# {"chain", "times", "seed", "photographs": {name: CRC of the file}, "pairs": [HQ file, LQ file] once complete}
_INDEX = "pool.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings that decide a pool, together with the pixels of the photographs.

    Attributes:
      chain: key of CHAINS in `swinir_jax.data.blind.chains`.
      times: number of draws of the chain for each photograph.
      seed: number that decides all draws.

    Raises:
      InputError: if there is no such chain.
    """

    chain: str
    times: int
    seed: int

    def __post_init__(self) -> None:
        blind_chain(self.chain)


def write_pool(
    folder: Path, photographs: Mapping[Path, str], recipe: Recipe, processes: int
) -> Iterator[InputError | None]:
    """Degrades photographs in parallel, or goes on where an earlier call was cut off.

    The pool depends on the recipe and the pixels alone, not on the number of processes.

    Args:
      folder: folder that does not exist, is empty, or holds a pool of the same recipe and photographs.
      photographs: files, and their names in the index.
      recipe: settings.
      processes: number of processes.

    Yields:
      For each photograph, in order, the error of reading or None. Photographs with an error are left out; if none is
      left, the pool is not complete.

    Raises:
      InputError: if the folder holds anything else or cannot be written.
    """
    index = {**dataclasses.asdict(recipe), "photographs": {name: _crc(file) for file, name in photographs.items()}}
    _check_target(folder, index)
    make_result_folder(folder)
    for part in (folder / "HQ", folder / "LQ"):
        make_folder(part)
    _write_index(folder, index)
    stems = [f"{number:05d}" for number in range(len(photographs))]
    pairs: list[tuple[str, str]] = []
    context = multiprocessing.get_context("spawn")  # a fork of a process with JAX's threads may hang
    with concurrent.futures.ProcessPoolExecutor(processes, context, _start_worker) as executor:
        jobs = (photographs, stems, *([value] * len(stems) for value in (folder, recipe)))
        try:
            for stem, error in zip(stems, executor.map(_degrade, *jobs), strict=True):
                pairs += [] if error else [(f"HQ/{stem}.png", lq) for lq in _lq_names(stem, recipe)]
                yield error
        except concurrent.futures.BrokenExecutor as error:
            raise InputError(f"{folder}: a process was killed; if memory is short, take fewer --processes.") from error
    if pairs:
        _write_index(folder, {**index, "pairs": pairs})


def is_pool(folder: Path) -> bool:
    """Tells whether `write_pool` wrote a folder, even if the pool is not complete."""
    return (folder / _INDEX).is_file()


def read_pool(folder: Path) -> tuple[list[tuple[Path, Path]], Recipe]:
    """Returns the HQ and LQ files of a pool, and the recipe.

    Raises:
      InputError: if the pool is not complete, or the index is damaged.
    """
    index = _read_index(folder)
    if "pairs" not in index:
        raise InputError(f"{folder}: this pool is not complete; repeat the command that writes it.")
    try:
        recipe = Recipe(**{field.name: index[field.name] for field in dataclasses.fields(Recipe)})
        return [(folder / hq, folder / lq) for hq, lq in index["pairs"]], recipe
    except (KeyError, TypeError, ValueError) as error:
        raise _not_an_index(folder, error) from error


def _check_target(folder: Path, index: Mapping[str, Any]) -> None:
    if is_pool(folder):
        found = _read_index(folder)
        if changed := [name for name, value in index.items() if found.get(name) != value]:
            raise InputError(f"{folder}: holds a pool with other {' and '.join(changed)}; choose a new folder.")
    else:
        check_new_folder(folder)


def _crc(file: Path) -> int | None:
    """Returns a number that tells a file from others; None if it cannot be read, which degrading reports."""
    try:
        return zlib.crc32(file.read_bytes())
    except OSError:
        return None


def _read_index(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / _INDEX).read_text()))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise _not_an_index(folder, error) from error


def _not_an_index(folder: Path, error: Exception) -> InputError:
    return InputError(f"{folder / _INDEX}: not readable as the index of a pool ({error!r}).")


def _write_index(folder: Path, index: Mapping[str, Any]) -> None:
    write_bytes(folder / _INDEX, json.dumps(index).encode())


def _lq_names(stem: str, recipe: Recipe) -> list[str]:
    return [f"LQ/{stem}_{time}.png" for time in range(recipe.times)]


def _start_worker() -> None:
    """Prepares a process that stops with its parent, and uses one core."""
    import cv2

    cv2.setNumThreads(1)
    for number in ENDING_SIGNALS:  # Ctrl-C and SIGHUP reach the parent, too, which stops the processes
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.SIG_IGN)
    threading.Thread(target=_stop_with_parent, daemon=True).start()


def _stop_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)  # the main thread may be waiting for work that never comes


def _degrade(file: Path, stem: str, folder: Path, recipe: Recipe) -> InputError | None:
    """Writes the pairs of a photograph, unless they are there; returns the error of reading."""
    target = folder / f"HQ/{stem}.png"
    if target.exists():
        return None
    chain = blind_chain(recipe.chain)
    try:
        photograph = cut_to_scale(read_uint8(file), chain.scale, str(file))
    except InputError as error:
        return error
    clean = np.divide(photograph, 255, dtype=np.float32)
    key = zlib.crc32(photograph.tobytes())
    hq = clean
    for time, name in enumerate(_lq_names(stem, recipe)):
        hq, lq = chain(clean, np.random.default_rng((recipe.seed, key, time)))
        _write(folder / name, lq)
    _write(target, hq)  # a chain sharpens all draws of a photograph in the same way
    return None


def _write(target: Path, image: np.ndarray) -> None:
    write_picture(target, Picture(np.round(image * 255).astype(np.uint8)))
