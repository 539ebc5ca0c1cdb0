import itertools

import numpy as np
import pytest

from swinir_jax.inference.tiling import Tiling, blend_weights, tile_starts


@pytest.mark.parametrize(
    ("side", "tile", "overlap", "starts"),
    [(144, 48, 16, [0, 32, 64, 96]), (40, 16, 8, [0, 8, 16, 24]), (16, 16, 8, [0]), (49, 21, 7, [0, 14, 28])],
)
def test_tile_starts_by_hand(side, tile, overlap, starts):
    assert tile_starts(side, tile, overlap) == starts


def grid(height, width, tile, overlap, scale, blend):
    rows, cols = tile_starts(height, tile, overlap), tile_starts(width, tile, overlap)
    return Tiling(rows=rows, cols=cols, tile=(tile, tile), overlap=overlap, scale=scale, blend=blend)


@pytest.mark.parametrize("blend", ["smooth", "average"])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_network_that_only_enlarges_comes_out_exact(blend, batch_size):
    image = np.random.default_rng(0).random((40, 56, 3), dtype=np.float32)
    calls, finished = [], []

    def enlarge(batch):
        calls.append(batch.shape)
        return batch.repeat(2, axis=1).repeat(2, axis=2)

    tiling = grid(40, 56, 24, 8, 2, blend)
    restored = tiling.restore(image, enlarge, batch_size, finished.append)
    np.testing.assert_allclose(restored, image.repeat(2, axis=0).repeat(2, axis=1), rtol=1e-6)
    assert set(calls) == {(batch_size, 24, 24, 3)}  # one static shape
    assert sum(finished) == len(tiling) == 6


def test_average_is_the_official_loop():
    image = np.random.default_rng(0).random((40, 24, 1), dtype=np.float32)

    def run(batch):  # depends on where in its tile a pixel lies, as a network does near a border
        return batch * np.arange(16)[None, :, None, None]

    total, count = np.zeros_like(image), np.zeros_like(image)
    for y, x in itertools.product(range(0, 25, 8), range(0, 9, 8)):
        total[y : y + 16, x : x + 16] += run(image[None, y : y + 16, x : x + 16])[0]
        count[y : y + 16, x : x + 16] += 1
    restored = grid(40, 24, 16, 8, 1, "average").restore(image, run, 3, lambda n: None)
    np.testing.assert_allclose(restored, total / count, rtol=1e-6)


def test_smooth_blending_leaves_no_step():
    # Tiles that disagree by a constant: averaging makes two steps of a half, blending a ramp along the overlap.
    image = np.zeros((16, 48, 1), np.float32)
    levels = iter(np.arange(10, dtype=np.float32))

    def run(batch):
        return batch + next(levels)

    row = Tiling(rows=[0], cols=[0, 16, 32], tile=(16, 16), overlap=0, scale=1, blend="smooth")
    assert np.abs(np.diff(row.restore(image, run, 1, lambda n: None)[0, :, 0])).max() == 1  # nothing overlaps
    levels = iter(np.arange(10, dtype=np.float32))
    restored = grid(16, 40, 16, 8, 1, "smooth").restore(image[:, :40], run, 1, lambda n: None)
    assert np.abs(np.diff(restored[0, :, 0])).max() <= 1 / 8 + 1e-6


def test_blend_weights_by_hand():
    np.testing.assert_allclose(blend_weights(6, 2, "smooth"), [0.25, 0.75, 1, 1, 0.75, 0.25])
    np.testing.assert_allclose(blend_weights(3, 2, "average"), 1)


def test_tiles_may_be_wider_than_high():
    image = np.random.default_rng(0).random((40, 56, 3), dtype=np.float32)
    calls = []

    def enlarge(batch):
        calls.append(batch.shape)
        return batch.repeat(2, axis=1).repeat(2, axis=2)

    rows, cols = tile_starts(40, 24, 8), tile_starts(56, 32, 8)
    tiling = Tiling(rows=rows, cols=cols, tile=(24, 32), overlap=8, scale=2, blend="smooth")
    restored = tiling.restore(image, enlarge, 1, lambda n: None)
    np.testing.assert_allclose(restored, image.repeat(2, axis=0).repeat(2, axis=1), rtol=1e-6)
    assert set(calls) == {(1, 24, 32, 3)}
