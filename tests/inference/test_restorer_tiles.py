"""Tiles of a Restorer: which ones it takes, and what comes out."""

import dataclasses
import json
import math

import numpy as np
import pytest
from goldens import TINY, generated_weights, relative_error
from PIL import Image
from restorers import network, photo

from swinir_jax import InputError, Restorer, SwinIR, SwinIRConfig
from swinir_jax.checkpoints.names import params_from_official
from swinir_jax.inference import engine, programs


@pytest.mark.parametrize("pad", ["reflect", "minimal", "official"])
@pytest.mark.parametrize("size", [(40, 27), (12, 40), (1, 1)])
def test_tiles_of_any_image(tiny, pad, size):
    restored = Restorer(*tiny, tile=16, overlap=8, pad=pad)(photo(*size, 3))
    assert restored.shape == (2 * size[0], 2 * size[1], 3)


def test_tiles_are_close_to_the_whole_away_from_their_borders(tiny):
    lq = photo(48, 64, 3, dtype=np.float32)
    whole = Restorer(*tiny, tile=0).restore(lq)
    tiled = Restorer(*tiny, tile=32, overlap=16).restore(lq)
    assert 0 < relative_error(tiled, whole) < 0.05
    np.testing.assert_allclose(tiled[:8, :8], whole[:8, :8], atol=1e-5)


def test_tiles_begin_on_multiples_of_seven():
    config = dataclasses.replace(TINY, window_size=7, img_size=14)
    seen = []
    held = Restorer(*network(config), tile=30, overlap=8, pad="minimal")
    assert (held.tile, held.engine.layout.overlap) == (28, 14)
    held.engine.run = lambda batch: seen.append(batch) or batch.repeat(2, axis=1).repeat(2, axis=2)
    ramp = np.broadcast_to(np.arange(60, dtype=np.float32)[:, None, None] / 64, (60, 60, 3))
    held.restore(ramp)
    assert {float(tile[0, 0, 0, 0]) * 64 % 7 for tile in seen} == {0.0}
    assert {tile.shape for tile in seen} == {(1, 28, 28, 3)}


@pytest.mark.as_shipped
@pytest.mark.parametrize(
    ("tile", "overlap", "case"), [(0, 0, "whole"), (32, 8, "tile32_overlap8"), (48, 16, "tile48_overlap16")]
)
def test_official_protocol(tile, overlap, case, shared):
    golden = np.load(shared / "goldens" / "test_protocol.npz")
    config = SwinIRConfig.from_dict(json.loads(str(golden["config"])))
    shapes = json.loads(str(golden["parameters"]))
    params = params_from_official(generated_weights(shapes, int(golden["seed"])), config)
    image = np.asarray(Image.open(shared / "data/testsets/Set5/LR_bicubic/X4/birdx4.png").convert("RGB"))
    held = Restorer(SwinIR(config), params, tile=tile, overlap=overlap, blend="average", pad="official")
    restored = held.restore(image.astype(np.float32) / 255)
    assert relative_error(restored, golden[case]) < 1e-5


def test_auto_takes_the_whole_image_where_it_fits_and_tiles_where_not(tiny, monkeypatch):
    lq = photo(160, 200, 3, dtype=np.float32)
    held = Restorer(*tiny)
    padded = held.engine.layout.padded((160, 200))
    need = held.engine.programs.need((1, *padded, 3))
    assert held.engine.tile((160, 200)) == padded == (176, 216)
    monkeypatch.setattr(programs, "free_bytes", lambda device: need)  # of which only a share is taken
    tile = held.engine.tile((160, 200))
    assert 40 <= min(tile) <= max(tile) < 176
    assert held.engine.programs.need((1, *tile, 3)) < need
    assert held.restore(lq).shape == (320, 400, 3)
    assert {shape[1:3] for shape in held.engine.programs._compiled} == {tile}


def test_an_image_that_surely_does_not_fit_is_not_compiled_and_its_tile_is_told_once(tiny, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr(engine, "_LARGE_PIXELS", 176 * 216 - 1)
    monkeypatch.setattr(engine, "MAX_AUTO_TILE", 96)
    monkeypatch.setattr(programs, "_TELLING_PIXELS", 1)
    held = Restorer(*tiny)
    tile = (held.engine.layout.balanced(176, 96), held.engine.layout.balanced(216, 96))
    need = held.engine.programs.need((1, *tile, 3))
    monkeypatch.setattr(programs, "free_bytes", lambda device: 2 * need)
    assert held.restore(photo(160, 200, 3, dtype=np.float32)).shape == (320, 400, 3)
    assert {shape[1:3] for shape in held.engine.programs._needs} == {tile}
    [line] = [record.getMessage() for record in caplog.records if "tiles of" in record.getMessage()]
    assert line.startswith("216x176 needs ")


def test_a_program_is_compiled_before_progress_counts(tiny):
    compiled = []
    held = Restorer(*tiny, tile=32, done=lambda count, total: compiled.append(len(held.engine.programs)))
    held.restore(photo(40, 40, 3, dtype=np.float32))
    assert compiled[0] == compiled[-1] == 1


def test_many_sizes_share_one_program(tiny):
    held = Restorer(*tiny)
    sizes = [(20, 30), (31, 17), (64, 40), (25, 25), (70, 9)]
    held.plan(sizes)
    for size in sizes:
        held(photo(*size, 3))
    assert len(held.engine.programs) == 1


def test_a_plan_for_the_self_ensemble_covers_quarter_turns(tiny):
    held = Restorer(*tiny, tile=128, self_ensemble=True)
    sizes = [(20, 30), (31, 170), (64, 40), (25, 25), (170, 9)]
    held.plan(sizes)
    assert {held.engine.layout.padded((w, h)) for h, w in sizes} < held.engine._shared_tiles.keys()


def test_a_batch_of_shared_tiles_fits_into_memory(tiny, monkeypatch):
    monkeypatch.setattr(programs.Programs, "need", lambda self, shape: math.prod(shape))
    monkeypatch.setattr(programs, "free_bytes", lambda device: 8 * 110 * 110 * 3 / engine.MEMORY_SHARE)
    held = Restorer(*tiny, batch_size=8)
    assert held.engine.fitting_side((512, 512)) == 104
    held.plan((200 + 8 * i, 300 - 8 * i) for i in range(8))
    assert 64 < max(map(max, held.engine._shared_tiles.values())) <= 104


def test_few_sizes_stay_whole(tiny):
    held = Restorer(*tiny)
    held.plan([(20, 30), (24, 32), (17, 26), (30, 20)])  # two, after padding to 8
    whole = Restorer(*tiny, tile=0)
    np.testing.assert_array_equal(held(photo(20, 30, 3)), whole(photo(20, 30, 3)))


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"tile": 7}, "smaller than the window"),
        ({"tile": -8}, "window"),
        ({"tile": 32, "overlap": 32}, "overlap=32"),
        ({"overlap": -1}, "overlap must"),
        ({"overlap": "8"}, "overlap must"),
        ({"tile": "64"}, "tile must"),
        ({"tile": 64.0}, "tile must"),
        ({"blend": "averge"}, "averge"),
        ({"pad": "oficial"}, "oficial"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_tiles_that_cannot_be(tiny, options, word):
    with pytest.raises(InputError, match=word):
        Restorer(*tiny, **options)


def test_official_tiles_shrink_to_the_shorter_side(tiny):
    shapes = []
    held = Restorer(*tiny, tile=32, overlap=8, pad="official")
    held.engine.run = lambda batch: shapes.append(batch.shape) or batch.repeat(2, axis=1).repeat(2, axis=2)
    held.restore(photo(13, 70, 3, dtype=np.float32))
    assert set(shapes) == {(1, 16, 16, 3)}  # min(tile, h, w) of the padded 16x72, as the official script
    with pytest.raises(InputError, match="too narrow"):
        Restorer(*tiny, tile=64, overlap=32, pad="official").restore(photo(13, 70, 3, dtype=np.float32))


def test_a_size_that_does_not_fit_is_measured_once(tiny, monkeypatch):
    held = Restorer(*tiny)
    monkeypatch.setattr(programs, "free_bytes", lambda device: 2e6)
    measured = []
    monkeypatch.setattr(programs, "program_bytes", lambda compiled: measured.append(1) or 1e9)
    for _ in range(2):
        held.restore(photo(60, 60, 3, dtype=np.float32))
    assert len(measured) == 1


def test_a_network_with_position_embedding_takes_its_own_tile():
    held = Restorer(*network(dataclasses.replace(TINY, ape=True)))
    assert held(photo(40, 30, 3)).shape == (80, 60, 3)
    assert held(photo(3, 5, 3)).shape == (6, 10, 3)
    large = Restorer(*network(dataclasses.replace(TINY, ape=True, img_size=64)))
    large.plan([(3, 5)])
    assert large(photo(3, 5, 3)).shape == (6, 10, 3)
    with pytest.raises(InputError, match="only tiles of 16x16, not 32"):
        Restorer(*network(dataclasses.replace(TINY, ape=True)), tile=32)


def test_small_tiles_overlap_by_half(tiny):
    assert Restorer(*tiny, tile=32).engine.layout.overlap == 16
    assert Restorer(*tiny, tile=128).engine.layout.overlap == 32


def test_a_tile_fits_a_narrow_picture(tiny):
    shapes = []
    held = Restorer(*tiny, tile=256)
    held.engine.run = lambda batch: shapes.append(batch.shape) or batch.repeat(2, axis=1).repeat(2, axis=2)
    image = photo(3, 700, 3, dtype=np.float32)
    np.testing.assert_allclose(held.restore(image), image.repeat(2, axis=0).repeat(2, axis=1), rtol=1e-6)
    assert set(shapes) == {(1, 24, 208, 3)}  # four of 208 in place of four of 256
