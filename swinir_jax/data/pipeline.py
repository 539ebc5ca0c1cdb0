"""Training batches: Grain draws images, cuts and degrades patches, and batches them in threads."""

import itertools
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import grain
import numpy as np

from swinir_jax.data.colours import as_rgb, matlab_gray, opencv_gray
from swinir_jax.data.config import DataConfig
from swinir_jax.data.image_source import JoinedSource, UsableImages
from swinir_jax.data.patches import draw_patches
from swinir_jax.data.sources import Part, open_parts, usable_images
from swinir_jax.errors import InputError

logger = logging.getLogger(__name__)

_BATCHES_AHEAD = 2  # batches that each thread prepares

Pair = tuple[np.ndarray, np.ndarray | None]  # HQ and LQ
Share = tuple[int, float]  # number of images, and their weight


class TrainingBatches(Iterator[dict[str, np.ndarray]]):
    """Endless batches of patches; an epoch has one patch of each image, in random order.

    If `config.hq` has weights, each place has separate epochs, and patches are drawn from the places by weight.

    The patches depend on the seed and the images alone: batch n of all processes together is the same for any number of
    processes and threads. An unreadable image is replaced by the next one.

    Args:
      config: images and patches.
      scale: HQ / LQ side ratio.
      channels: 1 for gray or 3 for RGB; RGB images become gray as in the test protocol of the task.
      batch_size: patches in a batch of this process.
      seed: seed of order, crops, turns and degradation.
      process_index: index of this process.
      process_count: number of processes that share the images.

    Raises:
      InputError: if there are no images, an image cannot be read, is smaller than a patch or does not fit its pair, or
        the degradation has another scale or other channels.
    """

    def __init__(
        self,
        config: DataConfig,
        *,
        scale: int,
        channels: int,
        batch_size: int,
        seed: int,
        process_index: int = 0,
        process_count: int = 1,
    ):
        shrinks = config.degradation.scale
        if shrinks != scale:
            raise InputError(
                f"--data.degradation.kind {config.degradation.kind} shrinks by {shrinks}, "
                f"but the network enlarges by {scale}."
            )
        if channels == 1 and config.degradation.kind not in _GRAY:
            raise InputError(f"--data.degradation.kind {config.degradation.kind} takes networks of 3 channels, got 1.")
        self._config, self._scale = config, scale
        self._images = _Images(config, scale=scale, channels=channels)
        records = _endless(self._images.shares, seed)
        # Before the split among processes: after it, each process would draw the same crops for record n.
        patches = records.random_map(self._draw)[process_index::process_count]
        options = grain.ReadOptions(config.threads, _BATCHES_AHEAD * config.threads)
        self._batches = iter(patches.batch(batch_size, drop_remainder=True).to_iter_dataset(options))

    def __next__(self) -> dict[str, np.ndarray]:
        """Returns the next batch.

        Returns:
          `{"lq": [b, p, p, C], "hq": [b, p * scale, p * scale, C]}`, float32 in [0, 1]; noise may exceed the range.

        Raises:
          InputError: if more images than `max_corrupt` are unreadable.
        """
        return next(self._batches)

    @property
    def images(self) -> int:
        """Number of images in an epoch."""
        return len(self._images)

    @property
    def corrupt(self) -> Sequence[str]:
        """Name and problem of each image skipped so far."""
        return self._images.corrupt

    def get_state(self) -> dict[str, Any]:
        """Returns the position as JSON types; it is valid for any number of processes with the same global batch."""
        return self._batches.get_state()

    def set_state(self, state: dict[str, Any]) -> None:
        """Continues from the position that `get_state` returned."""
        self._batches.set_state(state)

    def close(self) -> None:
        """Stops the threads."""
        self._batches.close()

    def _draw(self, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        hq, lq = self._images[index]
        return draw_patches(
            hq, lq, degradation=self._config.degradation, patch_size=self._config.patch_size, scale=self._scale, rng=rng
        )


class _Images:
    """Usable images with the channels of the network; the first ones read stay in memory up to `cache_mb`.

    No image is evicted: an epoch reads each image once, so the least recently used image is the next one needed.
    """

    def __init__(self, config: DataConfig, *, scale: int, channels: int):
        parts = open_parts(config.hq, scale=scale, pairs=config.pairs, data_dir=config.data_dir)
        source = JoinedSource([part.source for part in parts])
        side = config.patch_size * scale
        sizes = usable_images(source, side=side, scale=scale, skip_small=config.skip_small)
        self._source = UsableImages(source, sizes)
        self.shares = _shares(parts, [*sizes])
        self._max_corrupt = config.max_corrupt
        colours = as_rgb if channels == 3 else _GRAY[config.degradation.kind]
        self._convert = lambda image: np.atleast_3d(colours(image))
        self._free_bytes = config.cache_mb * 2**20
        self._cache: dict[int, Pair] = {}
        self._corrupt: dict[int, str] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Pair:
        """Returns HQ and LQ of an image, uint8 `[h, w, C]`, or of the next readable image."""
        for offset in range(len(self)):
            candidate = (index + offset) % len(self)
            if candidate in self._cache:
                return self._cache[candidate]
            try:
                hq, lq = self._source.read(candidate)
            except InputError as error:
                self._skip(candidate, str(error))
            else:
                return self._keep(candidate, (self._convert(hq), None if lq is None else self._convert(lq)))
        raise InputError(f"None of {len(self)} images can be read; the last one: {self.corrupt[-1]}")

    @property
    def corrupt(self) -> Sequence[str]:
        """Name and problem of each image skipped so far."""
        with self._lock:
            return [*self._corrupt.values()]

    def _skip(self, index: int, problem: str) -> None:
        with self._lock:
            self._corrupt.setdefault(index, problem)  # each epoch tries the image again
            count = len(self._corrupt)
        if count > self._max_corrupt:
            raise InputError(
                f"{count} images cannot be read, --data.max-corrupt allows {self._max_corrupt}; the last one: {problem}"
            )

    def _keep(self, index: int, pair: Pair) -> Pair:
        size = sum(image.nbytes for image in pair if image is not None)
        with self._lock:
            if index not in self._cache and size <= self._free_bytes:
                self._cache[index] = pair
                self._free_bytes -= size
        return pair


def _shares(parts: Sequence[Part], usable: Sequence[int]) -> list[Share]:
    """Returns the shares of the usable images, and logs them if there are several places."""
    ends = np.searchsorted(usable, np.cumsum([len(part.source) for part in parts]))
    counts = np.diff(ends, prepend=0).tolist()
    weighted = any(part.weight for part in parts)
    weights = [part.weight or 1 for part in parts] if weighted else counts
    for part, count, weight in zip(parts, counts, weights, strict=True):
        if not count:
            raise InputError(f"{part.name}: no image is as large as a patch; leave this place out of --data.hq.")
        if len(parts) > 1:
            percent = 100 * weight / sum(weights)
            logger.info("%.1f %% of the patches come from the %d images of %s", percent, count, part.name)
    return [*zip(counts, weights, strict=True)] if weighted else [(len(usable), 1)]


def _endless(shares: Sequence[Share], seed: int) -> grain.MapDataset[int]:
    """Returns the endless order of the images: separate epochs for each share, mixed by weight."""
    ends = [*itertools.accumulate(count for count, _ in shares)]
    seeds = [seed] if len(shares) == 1 else np.random.SeedSequence(seed).generate_state(len(shares)).tolist()
    drawn = [
        grain.MapDataset.range(end - count, end).seed(share_seed).shuffle().repeat()
        for (count, _), end, share_seed in zip(shares, ends, seeds, strict=True)
    ]
    return drawn[0] if len(drawn) == 1 else grain.MapDataset.mix(drawn, [weight for _, weight in shares])


# Conversions to gray in the paper's tests: OpenCV's for denoising, MATLAB's for JPEG artefact removal.
_GRAY: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "noise": opencv_gray,
    "jpeg": matlab_gray,
    "bicubic": matlab_gray,
}
