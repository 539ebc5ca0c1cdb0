import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens import TINY, generated_weights, relative_error
from PIL import Image

from swinir_jax import InputError, Restorer, SwinIR, SwinIRConfig, fast_apply
from swinir_jax.checkpoints.names import official_shapes, params_from_official
from swinir_jax.checkpoints.pretrained import load_pretrained
from swinir_jax.data.degradations import gaussian_noise_official
from swinir_jax.images import Picture, read_picture, write_picture
from swinir_jax.inference import engine, programs
from swinir_jax.inference.chain import NetworkChain
from swinir_jax.inference.streaming import StreamingRestorer


def network(config, seed=1):
    return SwinIR(config), params_from_official(generated_weights(official_shapes(config), seed), config)


def photo(*shape, dtype=np.uint8):
    values = np.random.default_rng(0).random(shape)
    return (values * np.iinfo(dtype).max).astype(dtype) if np.issubdtype(dtype, np.integer) else values.astype(dtype)


@pytest.fixture(scope="module")
def tiny():
    return network(TINY)


def answer(model, params, lq):
    return np.asarray(jax.jit(model.apply)({"params": params}, lq[None])[0])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(19, 14), (19, 14, 1), (19, 14, 3), (19, 14, 2), (19, 14, 4)])
def test_same_kind_out(tiny, dtype, shape):
    restored = Restorer(*tiny)(photo(*shape, dtype=dtype))
    assert restored.dtype == dtype
    assert restored.shape == (38, 28, *shape[2:])


def test_whole_image_is_what_the_model_answers(tiny):
    model, params = tiny
    lq = photo(19, 14, 3, dtype=np.float32)
    expected = answer(model, params, lq)
    whole = Restorer(*tiny, tile=0, pad="minimal")
    np.testing.assert_allclose(whole.restore(lq), expected, atol=1e-5)
    eight_bits = whole((lq * 255).round().astype(np.uint8))
    levels = answer(model, params, (lq * 255).round() / 255) * 255
    np.testing.assert_array_equal(eight_bits, np.clip(np.round(levels), 0, 255))


@pytest.mark.parametrize("size", [(19, 14), (1, 30), (3, 4)])
def test_a_margin_is_mirrored_around_the_image_and_cut_off(tiny, size):
    model, params = tiny
    lq = photo(*size, 3, dtype=np.float32)
    ends = [(8, -(side + 8) % 8 + (8 if -(side + 8) % 8 < 8 else 0)) for side in size]
    padded = np.pad(lq, (*ends, (0, 0)), mode="reflect")
    expected = answer(model, params, padded)[16 : 16 + 2 * size[0], 16 : 16 + 2 * size[1]]
    np.testing.assert_allclose(Restorer(*tiny, tile=0).restore(lq), expected, atol=1e-5)


def test_opaque_alpha_changes_nothing(tiny):
    image = photo(16, 16, 3)
    alpha = np.full((16, 16, 1), 255, np.uint8)
    restored = Restorer(*tiny)(np.concatenate([image, alpha], axis=-1))
    np.testing.assert_array_equal(restored[..., :3], Restorer(*tiny)(image))
    assert (restored[..., 3] == 255).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_hidden_colours_do_not_show(tiny, dtype):
    image = photo(16, 24, 4, dtype=dtype)
    image[:, 12:, 3] = 0
    other = image.copy()
    other[:, 12:, :3] = 0
    np.testing.assert_array_equal(Restorer(*tiny)(image), Restorer(*tiny)(other))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_cut_out_gets_no_dark_fringe(tiny, dtype):
    colour = photo(1, 1, 3, dtype=dtype)
    cut_out = np.zeros((24, 24, 4), dtype)
    cut_out[6:18, 6:18] = np.concatenate([colour[0, 0], [255 if dtype == np.uint8 else 1]]).astype(dtype)
    plain = np.broadcast_to(colour, (24, 24, 3))
    np.testing.assert_array_equal(Restorer(*tiny)(cut_out)[..., :3], Restorer(*tiny)(np.ascontiguousarray(plain)))


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
    np.testing.assert_allclose(tiled[:8, :8], whole[:8, :8], atol=0.05)


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


def test_self_ensemble_is_the_mean_over_eight_turns(tiny):
    lq = photo(16, 24, 3, dtype=np.float32)
    once = Restorer(*tiny, tile=0)
    turns = [
        lambda x: x, lambda x: x[::-1], lambda x: x[:, ::-1], lambda x: x[::-1, ::-1],
        lambda x: x.swapaxes(0, 1), lambda x: x.swapaxes(0, 1)[::-1], lambda x: x.swapaxes(0, 1)[:, ::-1],
        lambda x: x.swapaxes(0, 1)[::-1, ::-1],
    ]  # fmt: skip
    back = [*turns[:5], turns[6], turns[5], turns[7]]  # a quarter turn is undone by the other one
    total = sum(b(once.restore(np.ascontiguousarray(t(lq)))) for t, b in zip(turns, back, strict=True))
    np.testing.assert_allclose(Restorer(*tiny, tile=0, self_ensemble=True).restore(lq), total / 8, atol=1e-5)


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


@pytest.mark.parametrize(
    ("image", "word"),
    [
        (np.zeros((2, 8, 8, 3), np.uint8), r"\[h, w, C\]"),
        (np.zeros((0, 8, 3), np.uint8), "shape"),
        (np.zeros((8, 8, 3), np.int32), "int32"),
        (np.zeros((8, 8, 5), np.uint8), "3 channels, got an image of 5"),
        (np.full((8, 8, 3), np.nan, np.float32), "finite"),
        (np.concatenate([np.ones((8, 8, 3)), np.full((8, 8, 1), np.nan)], axis=-1), "finite"),
        ([[1, 2], [3]], "Not an image"),
        (np.full((8, 8, 3), 1e300), "finite"),
        (photo(8, 8, 3) * 1.0, "divide an image in 0..255 by 255, or pass uint8"),
        (photo(8, 8, 3) * np.float16(1), "divide"),
        (jnp.asarray(photo(8, 8) // 16, jnp.bfloat16), r"from 0 to 15"),
        (photo(8, 8, 3, dtype=np.float32) * 2 - 1, r"looks like \[-1, 1\]; pass \(image \+ 1\) / 2"),
        (photo(3, 8, 8), r"channels come last: image\.transpose\(1, 2, 0\)"),
        (photo(1, 8, 8, 3), r"for batches, call swinir_jax\.fast_apply"),
        (np.full((8, 8, 3), 2.5, np.float32), "from 2.5 to 2.5"),
        (photo(8, 8, 3, dtype=np.float32) - 2, r"\[0, 1\]"),
        (np.concatenate([np.ones((8, 8, 3)), np.full((8, 8, 1), 255.0)], axis=-1), "from 1 to 255"),
    ],
)
def test_images_that_cannot_be_restored(tiny, image, word):
    with pytest.raises(InputError, match=word):
        Restorer(*tiny)(image)


@pytest.mark.parametrize("restorer", [Restorer, StreamingRestorer, lambda *network: NetworkChain([network])])
def test_floats_on_another_scale_are_refused_and_noise_is_not(tiny, restorer):
    restorer = restorer(*tiny)
    image = photo(16, 16, 3, dtype=np.float32)
    noisy = gaussian_noise_official(image, 75)
    noisy[0, 0] = (-1.5, 2.5, 3)
    black = gaussian_noise_official(np.zeros_like(image), 50)
    for restore in (restorer, restorer.restore):
        with pytest.raises(InputError, match="divide"):
            restore(image * 255)
        assert np.isfinite(restore(noisy)).all()
        assert np.isfinite(restore(black)).all()


def test_official_tiles_shrink_to_the_shorter_side(tiny):
    shapes = []
    held = Restorer(*tiny, tile=32, overlap=8, pad="official")
    held.engine.run = lambda batch: shapes.append(batch.shape) or batch.repeat(2, axis=1).repeat(2, axis=2)
    held.restore(photo(13, 70, 3, dtype=np.float32))
    assert set(shapes) == {(1, 16, 16, 3)}  # min(tile, h, w) of the padded 16x72, as the official script
    with pytest.raises(InputError, match="too narrow"):
        Restorer(*tiny, tile=64, overlap=32, pad="official").restore(photo(13, 70, 3, dtype=np.float32))


def test_progress_counts_all_turns(tiny):
    for options, total in (({}, 8), ({"tile": 16, "overlap": 8, "pad": "minimal"}, 48)):
        seen = []

        def done(count, total, seen=seen):
            seen.append((count, total))

        Restorer(*tiny, self_ensemble=True, done=done, **options).restore(photo(16, 56, 3, dtype=np.float32))
        assert sum(count for count, _ in seen) == total
        assert {t for _, t in seen} == {total}
        assert seen[0] == (0, total)


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


def test_an_answer_that_is_not_finite_is_an_error(tiny):
    model, params = tiny
    broken = jax.tree.map(lambda leaf: leaf * np.float32(1e20), params)
    with pytest.raises(InputError, match="not finite"):
        Restorer(model, broken)(photo(16, 16, 3))


def test_byte_order_does_not_matter(tiny):
    image = photo(16, 16, 3, dtype=np.uint16)
    np.testing.assert_array_equal(Restorer(*tiny)(image.astype(">u2")), Restorer(*tiny)(image))


def test_small_tiles_overlap_by_half(tiny):
    assert Restorer(*tiny, tile=32).engine.layout.overlap == 16
    assert Restorer(*tiny, tile=128).engine.layout.overlap == 32


COLOURS = np.array([(0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255)], np.uint8)


BUNDLED = load_pretrained("lightweight_x4")


@functools.cache
def bundled(**options):
    return StreamingRestorer(*BUNDLED, **options)


def by_rows(restorer, image, folder):
    write_picture(folder / "a.png", Picture(image))
    restorer.restore_file(folder / "a.png", folder / "b.png")
    return read_picture(folder / "b.png").pixels


@pytest.mark.parametrize("mode", ["whole", "tiles", "rows"])
def test_the_border_of_a_flat_colour_is_as_its_inside(mode, tmp_path):
    held = bundled(tile=0) if mode == "whole" else bundled(tile=40, overlap=8)
    for colour in COLOURS[1:3] if mode == "whole" else COLOURS[1:2]:
        image = np.broadcast_to(colour, (48, 35, 3)).copy()
        restored = by_rows(held, image, tmp_path) if mode == "rows" else held(image)
        inside = restored[64:128, 40:100].reshape(-1, 3).mean(axis=0)
        assert np.abs(restored - inside).max() < 3


def test_without_a_margin_the_border_of_a_flat_colour_is_off():
    image = np.broadcast_to(COLOURS[1], (48, 35, 3)).copy()
    restored = bundled(tile=0, pad="minimal")(image)
    assert np.abs(restored - restored[64:128, 40:100].reshape(-1, 3).mean(axis=0)).max() > 20


def test_a_tile_fits_a_narrow_picture(tiny):
    shapes = []
    held = Restorer(*tiny, tile=256)
    held.engine.run = lambda batch: shapes.append(batch.shape) or batch.repeat(2, axis=1).repeat(2, axis=2)
    image = photo(3, 700, 3, dtype=np.float32)
    np.testing.assert_allclose(held.restore(image), image.repeat(2, axis=0).repeat(2, axis=1), rtol=1e-6)
    assert set(shapes) == {(1, 24, 208, 3)}  # four of 208 in place of four of 256


@pytest.mark.parametrize("transform", [jax.jit, jax.vmap, jax.grad])
@pytest.mark.parametrize("method", ["__call__", "restore"])
def test_transformations_are_for_the_model(tiny, transform, method):
    held = Restorer(*tiny)
    with pytest.raises(InputError, match=r"model\.apply"):
        transform(lambda image: getattr(held, method)(image))(np.zeros((2, 8, 8, 3), np.float32))
    with pytest.raises(InputError, match=r"model\.apply"):
        jax.jit(lambda params: Restorer(tiny[0], params).tile)(tiny[1])


@pytest.mark.parametrize("takes", [Restorer, fast_apply])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda model, params: (model, {"params": params}), r"pass variables\['params'\]"),
        (lambda model, params: (params, model), "network comes first, the parameters second; got dict"),
        (lambda model, params: (model, None), "nested dictionary, got NoneType"),
        (lambda model, params: (model, {**params, "norm": {}}), "missing norm/"),
    ],
)
def test_what_is_not_a_network_with_its_parameters(tiny, takes, change, words):
    with pytest.raises(InputError, match=words) as caught:
        takes(*change(*tiny))
    assert "\n" not in str(caught.value)
