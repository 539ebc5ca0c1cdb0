import functools
import pickle
from pathlib import Path

import numpy as np
import pytest
import restorers
from restorers import one_layer

from swinir_jax import InputError, Restorer, choose_models, load_restorer
from swinir_jax.data.degradations import imresize
from swinir_jax.images import Picture, write_picture
from swinir_jax.inference import engine
from swinir_jax.inference.chain import NetworkChain
from swinir_jax.inference.pictures import restore_picture

photo = functools.partial(restorers.photo, dtype=np.float32)


@pytest.mark.parametrize("shape", [(19, 14, 3), (19, 14), (19, 14, 1)])
def test_two_passes_equal_restoring_twice(shape):
    image = photo(*shape)
    expected = Restorer(*one_layer(2))(Restorer(*one_layer(1))(image))
    restored = NetworkChain([one_layer(1), one_layer(2)])(image)
    assert restored.shape == (38, 28, *shape[2:])
    np.testing.assert_array_equal(restored, expected)


@pytest.mark.parametrize(("own", "scale"), [(4, 3), (2, 1), (4, 2)])
def test_a_smaller_scale_equals_restoring_and_resizing_like_matlab(own, scale):
    image = photo(19, 14, 3)
    expected = imresize(Restorer(*one_layer(own))(image), size=(19 * scale, 14 * scale))
    np.testing.assert_array_equal(NetworkChain([one_layer(own)], scale).restore(image), expected.astype(np.float32))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_samples_are_rounded_once(dtype):
    networks, image = [one_layer(2), one_layer(2, seed=2)], photo(9, 7, 3, dtype=dtype)
    full = np.iinfo(dtype).max
    restored = NetworkChain(networks, 3)(image)
    assert restored.dtype == dtype
    floats = NetworkChain(networks, 3)(image.astype(np.float32) / np.float32(full))
    np.testing.assert_array_equal(restored, np.round(floats * np.float32(full)))


def test_alpha_is_resized_once_and_stays_at_scale_1():
    image = photo(12, 9, 4)
    one = NetworkChain([one_layer(2)], 1)(image)
    np.testing.assert_array_equal(one[..., 3], image[..., 3])
    np.testing.assert_array_equal(
        NetworkChain([one_layer(2), one_layer(2)])(image)[..., 3], Restorer(*one_layer(4))(image)[..., 3]
    )


def test_the_last_answer_of_floats_is_not_clipped():
    image, (model, params) = photo(9, 7, 3), one_layer(2)
    bright = {**params, "upsample_0": {**params["upsample_0"], "bias": params["upsample_0"]["bias"] + 1}}
    expected = Restorer(model, bright).restore(image)
    assert expected.max() > 1
    np.testing.assert_array_equal(NetworkChain([(model, bright)]).restore(image), expected)
    twice = NetworkChain([(model, bright), (model, params)]).restore(image)
    np.testing.assert_array_equal(twice, Restorer(model, params).restore(np.clip(expected, 0, 1)))


def test_notes_of_all_networks_are_kept_once():
    gray_then_colour = NetworkChain([one_layer(1, 1), one_layer(2), one_layer(2)], 3)
    restored = restore_picture(Picture(photo(9, 7, 3, dtype=np.uint8)), gray_then_colour)
    assert restored.notes == ("colour through a gray network: the luma was restored, the chroma resized",)
    gray = restore_picture(Picture(photo(9, 7, dtype=np.uint8)), gray_then_colour)
    assert gray.notes == ("gray, restored as three equal channels by an RGB network",)
    assert gray.pixels.shape == (27, 21)


def test_progress_counts_the_tiles_of_all_networks():
    counts = []
    options = {"tile": 16, "overlap": 8, "pad": "minimal"}
    networks = [one_layer(1), one_layer(2), one_layer(2)]
    chain = NetworkChain(networks, 4, done=lambda *count: counts.append(count), **options)
    chain(photo(16, 24, 3))
    totals = {total for _, total in counts}
    assert totals == {2 + 2 + 3 * 5}
    assert sum(tiles for tiles, _ in counts) == 19
    assert counts[0] == (0, 19)
    works = chain.tile_works((16, 24))
    assert len(works) == 19
    assert sum(works) == pytest.approx(chain.work((16, 24)))
    assert sum(works[4:]) == pytest.approx(4 * sum(works[2:4]))  # the third network has four times the pixels


def test_a_plan_holds_for_all_networks(monkeypatch):
    planned = []
    monkeypatch.setattr(Restorer, "plan", lambda self, sizes: planned.append([*sizes]))
    NetworkChain([one_layer(1), one_layer(2), one_layer(2)]).plan([(5, 6), (7, 8)])
    assert planned == [[(5, 6), (7, 8)], [(5, 6), (7, 8)], [(10, 12), (14, 16)]]


def test_networks_that_enlarge_too_little_are_refused():
    with pytest.raises(InputError, match=r"enlarge by 2, .* less than the scale of 3"):
        NetworkChain([one_layer(1), one_layer(2)], 3)


def test_no_networks_are_refused():
    with pytest.raises(InputError, match="at least one network"):
        NetworkChain([])


@pytest.mark.parametrize("scale", [0, -1, 1.5, True])
def test_scales_that_are_no_whole_numbers_are_refused(scale):
    with pytest.raises(InputError, match=f"whole number of at least 1, got {scale}"):
        NetworkChain([one_layer(2)], scale)


def test_images_larger_than_memory_are_refused_by_name_where_bicubic_needs_them_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "resident_bytes", lambda: 0)
    path = tmp_path / "large.png"
    write_picture(path, Picture(photo(100, 200, 3, dtype=np.uint8)))
    pixels = 100 * 200
    held = 3 * (1 + 4) + 16 * (4 * 9 + 3 + 28)
    assert NetworkChain([one_layer(4)], 3, memory=pixels * held).size_if_fits(path) == (100, 200)
    reduced = NetworkChain([one_layer(4)], 3, memory=pixels * held - 1)
    message = r"large\.png: 200x100 pixels are too many .* scale 3 ends with bicubic .* scale 4 does not \(--scale\)"
    with pytest.raises(InputError, match=message):
        reduced.size_if_fits(path)
    with pytest.raises(InputError, match=message):
        reduced.restore_file(path, tmp_path / "out.png")
    assert NetworkChain([one_layer(4)], memory=pixels * held - 1).size_if_fits(path) == (100, 200)
    assert NetworkChain([one_layer(4)], memory=pixels).size_if_fits(path) is None


def test_a_chain_can_be_pickled():
    image = photo(9, 7, 3)
    chain = NetworkChain([one_layer(1), one_layer(2)])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(chain))(image), chain(image))


def test_the_restorer_of_a_choice(monkeypatch):
    named = {
        "jpeg_light": one_layer(1),
        "lightweight_x3": one_layer(3),
        "lightweight_x4": one_layer(4),
        "real_x4": one_layer(4),
    }
    monkeypatch.setattr("swinir_jax.inference.chain.load_pretrained", lambda name, **options: named[Path(name).stem])
    image = photo(9, 7, 3)
    for purpose, scales in (("jpeg", (1, 3)), ("photo", (4,))):  # the second one is reduced
        restorer = load_restorer(choose_models(purpose, 3), tile=0)
        np.testing.assert_array_equal(restorer(image), NetworkChain(map(one_layer, scales), 3, tile=0)(image))


def test_the_strength_of_a_choice_is_that_of_the_first_network(monkeypatch):
    loaded = []

    def load(name, *, strength, **options):
        loaded.append((Path(name).stem, strength))
        return one_layer(4 if len(loaded) == 1 else 2)

    monkeypatch.setattr("swinir_jax.inference.chain.load_pretrained", load)
    load_restorer(choose_models("photo", 8), strength=0.5)
    assert loaded == [("real_x4", 0.5), ("lightweight_x2", None)]
