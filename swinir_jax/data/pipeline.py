"""Training batches: images drawn, cut, degraded and batched by Grain, in threads."""

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

_BATCHES_AHEAD = 2  # that each thread has made before they are asked for

Pair = tuple[np.ndarray, np.ndarray | None]  # HQ and LQ
Share = tuple[int, float]  # a number of images, and the weight by which they are drawn


class TrainingBatches(Iterator[dict[str, np.ndarray]]):
    """Endless batches of patches; an epoch takes one patch of each image, in an order of its own.

    Where weights are given, each place of `config.hq` has epochs of its own, and its turn as often as its weight says.

    What comes depends on the seed and the images alone: batch n of all processes together holds the same patches
    whatever the number of processes and threads. A record that cannot be read gives way to the next one.

    Args:
      config: what to read, and how.
      scale: HQ / LQ side ratio.
      channels: 1 for gray or 3 for RGB; colour images are turned to gray as the test protocol of the task does.
      batch_size: patches in a batch of this process.
      seed: decides order, crops, turns and degradation.
      process_index: which of the processes this one is.
      process_count: how many processes share the images.

    Raises:
      InputError: if there are no images, one cannot be read, is smaller than a patch or unlike its pair, or the
        degradation has another scale.
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
        shrinks = config.degradation.low if config.degradation.kind == "bicubic" else 1
        if shrinks != scale:
            raise InputError(f"data.degradation shrinks by {shrinks}, but the network enlarges by {scale}.")
        self._config, self._scale = config, scale
        self._images = _Images(config, scale=scale, channels=channels)
        records = _endless(self._images.shares, seed)
        # Drawn before the processes take their shares: each would draw the same crops for its own n-th record.
        patches = records.random_map(self._draw)[process_index::process_count]
        options = grain.ReadOptions(config.threads, _BATCHES_AHEAD * config.threads)
        self._batches = iter(patches.batch(batch_size, drop_remainder=True).to_iter_dataset(options))

    def __next__(self) -> dict[str, np.ndarray]:
        """The next batch.

        Returns:
          `{"lq": [b, p, p, C], "hq": [b, p * scale, p * scale, C]}`, float32 in [0, 1]; noise is not clipped.

        Raises:
          InputError: if more records than `max_corrupt` could not be read.
        """
        return next(self._batches)

    @property
    def images(self) -> int:
        """How many images an epoch visits."""
        return len(self._images)

    @property
    def corrupt(self) -> Sequence[str]:
        """Records skipped so far, each with its name and what is wrong."""
        return self._images.corrupt

    def get_state(self) -> dict[str, Any]:
        """How many batches came, as JSON knows it; good for any number of processes with the same batch in all."""
        return self._batches.get_state()

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on where `get_state` was asked."""
        self._batches.set_state(state)

    def close(self) -> None:
        """Ends the threads."""
        self._batches.close()

    def _draw(self, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        hq, lq = self._images[index]
        return draw_patches(
            hq, lq, degradation=self._config.degradation, patch_size=self._config.patch_size, scale=self._scale, rng=rng
        )


class _Images:
    """Images of a source with the channels of the network; those read first stay in memory, while there is room.

    None makes room for another: an epoch visits each once, so that what was used longest ago is what comes next.
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
        self._room = config.cache_mb * 2**20  # bytes
        self._kept: dict[int, Pair] = {}
        self._corrupt: dict[int, str] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Pair:
        """An image, uint8 `[h, w, C]`, and its LQ, if there is one; the next one if it cannot be read."""
        for following in range(len(self)):
            number = (index + following) % len(self)
            if number in self._kept:
                return self._kept[number]
            try:
                hq, lq = self._source.read(number)
            except InputError as error:
                self._skip(number, str(error))
            else:
                return self._keep(number, (self._convert(hq), None if lq is None else self._convert(lq)))
        raise InputError(f"None of {len(self)} images can be read; the last: {self.corrupt[-1]}")

    @property
    def corrupt(self) -> Sequence[str]:
        """Images skipped so far, each with its name and what is wrong."""
        with self._lock:
            return [*self._corrupt.values()]

    def _skip(self, number: int, problem: str) -> None:
        with self._lock:
            self._corrupt.setdefault(number, problem)  # named once, though each epoch tries again
            count = len(self._corrupt)
        if count > self._max_corrupt:
            raise InputError(f"{count} images cannot be read, data.max_corrupt allows {self._max_corrupt}: {problem}")

    def _keep(self, number: int, pair: Pair) -> Pair:
        size = sum(image.nbytes for image in pair if image is not None)
        with self._lock:
            if number not in self._kept and size <= self._room:
                self._kept[number] = pair
                self._room -= size
        return pair


def _shares(parts: Sequence[Part], usable: Sequence[int]) -> list[Share]:
    """Which usable images are drawn together, and how often; told where there is more than one place."""
    ends = np.searchsorted(usable, np.cumsum([len(part.source) for part in parts]))
    counts = np.diff(ends, prepend=0).tolist()
    weighted = any(part.weight for part in parts)
    weights = [part.weight or 1 for part in parts] if weighted else counts
    for part, count, weight in zip(parts, counts, weights, strict=True):
        if not count:
            raise InputError(f"{part.name}: no image is as large as a patch; leave it out of data.hq.")
        if len(parts) > 1:
            percent = 100 * weight / sum(weights)
            logger.info("%.1f %% of the patches come from %s, of %d images", percent, part.name, count)
    return [*zip(counts, weights, strict=True)] if weighted else [(len(usable), 1)]


def _endless(shares: Sequence[Share], seed: int) -> grain.MapDataset[int]:
    """Numbers of images as they are drawn: each share in epochs of its own, by its weight between the others."""
    ends = [*itertools.accumulate(count for count, _ in shares)]
    seeds = [seed] if len(shares) == 1 else np.random.SeedSequence(seed).generate_state(len(shares)).tolist()
    drawn = [
        grain.MapDataset.range(end - count, end).seed(share_seed).shuffle().repeat()
        for (count, _), end, share_seed in zip(shares, ends, seeds, strict=True)
    ]
    return drawn[0] if len(drawn) == 1 else grain.MapDataset.mix(drawn, [weight for _, weight in shares])


# Gray as the paper's tests take it: OpenCV's for denoising, MATLAB's for JPEG artefact removal.
_GRAY: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "noise": opencv_gray,
    "jpeg": matlab_gray,
    "bicubic": matlab_gray,
}
