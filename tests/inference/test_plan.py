import math
from collections import Counter

import numpy as np
import pytest

from swinir_jax import SwinIRConfig
from swinir_jax.inference.plan import MAX_PROGRAMS, MAX_WORK, Layout

CONFIGS = {
    8: SwinIRConfig(upscale=2, upsampler="pixelshuffledirect"),
    7: SwinIRConfig(window_size=7, img_size=126),
}
SPRITES = [(32, 32), (32, 40), (48, 48), (48, 64), (64, 64), (64, 96)]


def layout(window=8, *, tile="auto", overlap=None, blend="smooth", pad="reflect"):
    return Layout.of(CONFIGS[window], tile=tile, overlap=overlap, blend=blend, pad=pad)


def sizes(count, seed=0):
    """Heights from 1 to 4000, widths from 1 to 3000, as many small ones as large ones; and the corners."""
    sides = np.exp(np.random.default_rng(seed).uniform(0, np.log([4001, 3001]), (count, 2))).astype(int)
    return [(1, 1), (1, 3000), (4000, 1), (4000, 3000), *((int(h), int(w)) for h, w in sides)]


@pytest.mark.parametrize("window", [7, 8])
@pytest.mark.parametrize(("tile", "limit"), [("auto", 256), ("auto", 512), (256, 0), (512, 0)])
def test_work_of_an_image_alone(window, tile, limit):
    plan = layout(window, tile=tile)
    for size in sizes(2000):
        padded = plan.padded(size)
        fitting = plan.alone(size, limit // window * window)
        assert max(fitting) <= (limit or tile)
        assert plan.work(padded, fitting) <= (1.25 if 512 in (tile, limit) else 1.45) * math.prod(padded)
        if tile == "auto":
            assert plan.alone(size) == padded


@pytest.mark.parametrize("window", [7, 8])
@pytest.mark.parametrize("tile", ["auto", 64, 256])
@pytest.mark.parametrize("count", [1, 10, 100, 1000])
def test_work_and_programs_of_images_together(window, tile, count):
    plan = layout(window, tile=tile)
    tiles = plan.together(Counter(sizes(count)), "cpu")
    assert tiles.keys() == set(map(plan.padded, sizes(count)))
    assert len(set(tiles.values())) <= MAX_PROGRAMS
    for padded, shape in tiles.items():
        assert plan.work(padded, shape) <= MAX_WORK * math.prod(padded)
        assert all(side % window == 0 for side in shape)


def test_work_is_what_the_grid_runs():
    plan = layout()
    for size in sizes(100):
        padded = plan.padded(size)
        for tile in ((64, 128), plan.alone(size, 256)):
            if all(side > plan.overlap or length <= side for length, side in zip(padded, tile, strict=True)):
                grid = plan.grid(padded, tile)
                assert len(grid) * math.prod(tile) == plan.work(padded, tile)
                assert (grid.height, grid.width) == tuple(map(max, padded, tile))


def test_small_images_share_one_small_program_and_many_of_them_get_more():
    plan = layout()
    few = plan.together(Counter(SPRITES), "cpu")
    assert set(few.values()) == {(80, 80)}
    many = plan.together(Counter(SPRITES * 1000), "cpu")
    assert many == {padded: padded for padded in map(plan.padded, SPRITES)}


def test_a_strip_among_small_images_is_run_in_strips():
    plan = layout()
    tiles = plan.together(Counter([*SPRITES, (1, 20000)]), "cpu")
    assert tiles[plan.padded((1, 20000))][0] <= 32


def test_up_to_three_shapes_are_left_alone():
    plan = layout()
    counts = Counter([(300, 400), (301, 399), (400, 300), (50, 50)])  # of which two are padded alike
    assert plan.together(counts, "cpu") == {}
    photos = Counter((side, side + 8) for side in range(600, 800, 8))
    assert layout(tile=0).together(photos, "cpu") == layout(pad="official").together(photos, "cpu") == {}


def test_photos_of_many_sizes_share_tiles_at_little_cost():
    photos = Counter((side, side + 8) for side in range(600, 800, 8))
    for tile in ("auto", 256):
        plan = layout(tile=tile)
        tiles = plan.together(photos, "cpu")
        assert len(set(tiles.values())) <= MAX_PROGRAMS
        shared = sum(plan.work(padded, shape) for padded, shape in tiles.items())
        assert shared < 0.9 * sum(plan.work(padded, (256, 256)) for padded in tiles)


@pytest.mark.parametrize(("tile", "least"), [("auto", 128), (256, 128), (16, 16)])
@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_images_share_large_tiles_also_where_these_do_not_overlap(tile, least, platform):
    photos = [(600, 900), (900, 600), (1200, 1800), (2000, 3000), (3000, 4000)]
    plan = layout(tile=tile, overlap=0, pad="minimal")
    tiles = plan.together(Counter([*photos, (5, 5), (5, 100), (100, 5)]), platform)
    assert all(side >= least for photo in photos for side in tiles[plan.padded(photo)])


def test_a_square_takes_four_tiles_in_place_of_nine():
    plan = layout(tile=288)
    assert len(plan.grid(plan.padded((512, 512)), plan.alone((512, 512)))) == 4
    plan = layout(tile=256)
    padded, tile = plan.padded((512, 512)), plan.alone((512, 512))
    assert len(plan.grid(padded, tile)) == 9
    assert plan.work(padded, tile) < 1.3 * math.prod(padded)  # tiles of 256 would run 2.1 times the pixels


def test_an_accelerator_which_computes_fast_compiles_less():
    counts = Counter([(side, side) for side in range(100, 400, 20)] * 100)
    programs = [len(set(layout().together(counts, platform).values())) for platform in ("cpu", "gpu")]
    assert programs[0] > programs[1]


def test_a_network_of_one_size_takes_tiles_of_its_own():
    config = SwinIRConfig(ape=True, img_size=(16, 24))
    plan = Layout.of(config, tile="auto", overlap=None, blend="smooth", pad="reflect")
    assert plan.alone((3, 5)) == plan.alone((300, 500)) == (16, 24)
    assert plan.together(Counter(sizes(10)), "cpu") == {}
