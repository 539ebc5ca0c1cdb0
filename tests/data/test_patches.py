import itertools

import numpy as np
import pytest

from swinir_jax.data.blind.chains import Chain
from swinir_jax.data.config import Degradation
from swinir_jax.data.degradations import imresize, jpeg
from swinir_jax.data.patches import blind_patch, compressed_patch, draw_patches, shrunk_patch, turned
from swinir_jax.errors import InputError


def random_image(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def draw(hq, lq=None, *, kind="bicubic", low=1, high=None, grid="random", size=8, scale=1, seed=0):
    degradation = Degradation(kind=kind, low=low, high=low if high is None else high, jpeg_grid=grid)
    rng = np.random.default_rng(seed)
    return draw_patches(hq, lq, degradation=degradation, patch_size=size, scale=scale, rng=rng)


def as_uint8(patch):
    return np.rint(patch * 255).astype(np.uint8)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_shrunk_patch_equals_the_shrunk_image(scale, channels):
    hq, size = random_image(17 * scale, 13 * scale, channels), 6
    whole = imresize(hq, 1 / scale)
    for top, left in itertools.product(range(17 - size + 1), range(13 - size + 1)):  # all borders, too
        expected = whole[top : top + size, left : left + size]
        np.testing.assert_array_equal(shrunk_patch(hq, top, left, size, scale), expected)


@pytest.mark.parametrize(("channels", "unit"), [(1, 8), (3, 16)])
def test_a_compressed_patch_equals_the_compressed_image(channels, unit):
    hq, size = random_image(75, 61, channels), 20
    for top, left in [(0, 0), (55, 41), (3, 40), (40, 1), (17, 20), (16, 32)]:
        for shift in itertools.product({0, 1, 5, unit - 1}, repeat=2):
            if shift[0] > top or shift[1] > left:
                continue
            y, x = (top - shift[0]) % unit, (left - shift[1]) % unit  # where the file's first block begins
            image = hq[y:, x:, 0] if channels == 1 else hq[y:, x:]
            whole = jpeg(image, 30).reshape(75 - y, 61 - x, channels)
            expected = whole[top - y : top - y + size, left - x : left - x + size]
            np.testing.assert_array_equal(compressed_patch(hq, top, left, size, 30, shift), expected)


def test_a_blind_patch_is_aligned_with_its_truth():
    hq = random_image(100, 100, 3).repeat(4, axis=0).repeat(4, axis=1)
    for seed, (top, left) in enumerate([(0, 0), (40, 60), (84, 84)]):
        clean, lq = blind_patch(hq, top, left, 16, "photo_x4", np.random.default_rng(seed))
        assert (clean.shape, lq.shape, lq.dtype) == ((64, 64, 3), (16, 16, 3), np.float32)
        np.testing.assert_array_equal(as_uint8(clean), hq[4 * top : 4 * top + 64, 4 * left : 4 * left + 64])
        assert np.corrcoef(lq.ravel(), imresize(clean, 1 / 4).ravel())[0, 1] > 0.4  # shifted by a pixel, below 0.33


def test_a_blind_patch_is_degraded_with_its_surroundings(monkeypatch):
    sides = []
    chain = Chain(scale=4, steps=lambda image, target, rng: sides.append(image.shape[:2]) or image[::4, ::4])
    monkeypatch.setattr("swinir_jax.data.patches.blind_chain", {"photo_x4": chain}.get)
    for top, left in [(0, 0), (40, 60), (84, 84), (0, 50)]:
        clean, lq = blind_patch(random_image(400, 400, 3), top, left, 16, "photo_x4", np.random.default_rng(0))
        np.testing.assert_array_equal(lq, clean[::4, ::4])
    assert sides == [(128, 128), (192, 192), (128, 128), (128, 192)]


def test_the_eight_turns_differ_and_are_views():
    image = random_image(4, 6, 3)
    assert len({turned(image, turn).tobytes() + bytes(turned(image, turn).shape) for turn in range(8)}) == 8
    assert all(np.shares_memory(turned(image, turn), image) for turn in range(8))


def test_given_pairs_stay_together_in_every_turn_and_place():
    lq = random_image(9, 12, 3)
    hq = np.pad(lq.repeat(3, axis=0).repeat(3, axis=1), ((0, 2), (0, 1), (0, 0)))  # sides no multiples of 3
    seen = set()
    for seed in range(60):
        patches = draw(hq, lq, low=3, size=5, scale=3, seed=seed)
        assert patches["lq"].shape == (5, 5, 3)
        np.testing.assert_array_equal(patches["hq"], patches["lq"].repeat(3, axis=0).repeat(3, axis=1))
        seen.add(patches["lq"].tobytes())
    assert len(seen) > 40


@pytest.mark.parametrize("extra", [(1, 0), (0, 1), (1, 1)])
def test_lq_of_sides_rounded_up_stays_aligned(extra):
    """The value of an HQ pixel is the number of the LQ pixel that covers it."""
    lq = random_image(9 + extra[0], 12 + extra[1], 3)
    hq = lq.repeat(3, axis=0).repeat(3, axis=1)[: 27 + 2 * extra[0], : 36 + 2 * extra[1]]
    for seed in range(40):
        patches = draw(hq, lq, low=3, size=5, scale=3, seed=seed)
        np.testing.assert_array_equal(patches["hq"], patches["lq"].repeat(3, axis=0).repeat(3, axis=1))


def test_bicubic_shrinks_the_turned_image_rows_first():
    hq = random_image(24, 24, 3)
    for seed in range(10):
        patches = draw(hq, low=4, size=6, scale=4, seed=seed)
        np.testing.assert_array_equal(patches["lq"], imresize(as_uint8(patches["hq"]), 1 / 4).astype(np.float32) / 255)
        assert {patch.dtype for patch in patches.values()} == {np.dtype(np.float32)}


def test_noise_level_is_random_and_noise_is_not_clipped():
    white = np.full((64, 64, 1), 255, np.uint8)
    levels = []
    for seed in range(40):
        patches = draw(white, kind="noise", low=10, high=50, size=64, seed=seed)
        levels.append(255 * np.std(patches["lq"] - patches["hq"]))
        assert patches["lq"].max() > 1
        assert patches["lq"].dtype == np.float32
    assert 9 < min(levels) < 15
    assert 45 < max(levels) < 52
    fixed = draw(white, kind="noise", low=25, size=64)
    assert 255 * np.std(fixed["lq"] - fixed["hq"]) == pytest.approx(25, rel=0.05)


def jpeg_grids(image, patches, quality):
    """All shifts of the 8x8 grid that are consistent with a patch."""
    size, found = patches["hq"].shape[0], set()
    for turn, top, left in itertools.product(range(8), *(range(side - size + 1) for side in image.shape[:2])):
        view = turned(image, turn)
        if not np.array_equal(view[top : top + size, left : left + size], as_uint8(patches["hq"])):
            continue
        for shift in itertools.product(range(min(8, top + 1)), range(min(8, left + 1))):
            if np.array_equal(compressed_patch(view, top, left, size, quality, shift), as_uint8(patches["lq"])):
                found.add(shift)
    return found


def test_the_jpeg_grid_is_aligned_or_random():
    image = random_image(26, 26, 1)
    drawn = {grid: [draw(image, kind="jpeg", low=20, grid=grid, size=16, seed=seed) for seed in range(12)]
             for grid in ("aligned", "random")}  # fmt: skip
    assert all((0, 0) in jpeg_grids(image, patches, 20) for patches in drawn["aligned"])
    shifts = [jpeg_grids(image, patches, 20) for patches in drawn["random"]]
    assert all(shifts)
    assert len(set().union(*shifts)) > 5


def test_jpeg_quality_includes_both_ends():
    image = random_image(16, 16, 3)
    seen = {
        quality
        for seed in range(30)
        for patches in [draw(image, kind="jpeg", low=20, high=22, size=16, seed=seed)]
        for quality in (19, 20, 21, 22, 23)
        if np.array_equal(jpeg(as_uint8(patches["hq"]), quality), as_uint8(patches["lq"]))
    }
    assert seen == {20, 21, 22}


def test_equal_generators_draw_equal_patches():
    image = random_image(40, 40, 3)
    for kind, low in (("noise", 25), ("jpeg", 30)):
        first, again, other = (draw(image, kind=kind, low=low, seed=seed) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first["lq"], again["lq"])
        assert (first["lq"] != other["lq"]).any()


@pytest.mark.parametrize(
    ("kind", "low", "high"), [("bicubic", 2, 3), ("bicubic", 0, 0), ("noise", -1, 5), ("noise", 9, 5), ("jpeg", 0, 101)]
)
def test_impossible_levels_are_refused(kind, low, high):
    with pytest.raises(InputError, match=f"got {low} and {high}"):
        Degradation(kind=kind, low=low, high=high)
