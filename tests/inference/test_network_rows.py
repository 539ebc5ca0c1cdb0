"""Several networks in turn by rows of tiles."""

import functools
import json
import logging
from pathlib import Path

import numpy as np
import pytest
from restorers import KilledError, one_layer, write_photo

from swinir_jax import InputError
from swinir_jax.images import read_picture
from swinir_jax.images.row_writing import GROUP, progress_file
from swinir_jax.inference.chain import NetworkChain
from swinir_jax.inference.network_rows import choose_tiles
from swinir_jax.inference.pictures import restore_picture

H, W = 203, 45  # 406 rows of the result: two groups
TILES = {"tile": 24, "overlap": 8}
COUNTS = []  # of tiles, and those in all


@functools.cache  # compiled programs are kept with a chain
def chain(*networks, **options):
    restorers = [one_layer(*arguments) for arguments in networks]
    return NetworkChain(restorers, **options, done=lambda *counts: COUNTS.append(counts))


FIRST_THEN_TWICE = ((1,), (2,))  # the arguments of `one_layer`


@pytest.mark.parametrize(
    ("networks", "names", "dtype", "options"),
    [
        (FIRST_THEN_TWICE, ("a.png", "b.png"), np.uint8, TILES),
        (((1,), (2,), (2, 3, 2)), ("a.png", "b.png"), np.uint16, TILES),
        (((1, 3, 1, 7), (2,)), ("a.tif", "b.tif"), np.uint8, {**TILES, "blend": "average", "pad": "official"}),
        (((2,), (1,)), ("a.jpg", "b.png"), np.uint8, {**TILES, "batch_size": 4}),
        (FIRST_THEN_TWICE, ("a.png", "b.png"), np.uint8, {"tile": 8, "overlap": 0}),  # lower than what is mirrored
    ],
)
def test_the_result_is_that_of_the_networks_one_after_the_other(tmp_path, networks, names, dtype, options):
    source, target = write_photo(tmp_path / names[0], H, W, 3, dtype=dtype), tmp_path / names[1]
    restorer = chain(*networks, **options)
    COUNTS.clear()
    assert restorer.restore_file(source, target)[0] == restorer.scale * H
    by_rows = COUNTS[-1][1]
    assert {total for _, total in COUNTS} == {by_rows}
    assert sum(count for count, _ in COUNTS) == by_rows
    COUNTS.clear()
    expected = restorer(read_picture(source).pixels)
    assert COUNTS[-1][1] == by_rows
    np.testing.assert_array_equal(read_picture(target).pixels, expected)


@pytest.mark.parametrize("shape", [(H, W), (H, W, 3)])
def test_gray_and_colour_through_networks_of_both_kinds(tmp_path, shape):
    source = write_photo(tmp_path / "a.png", *shape)
    restorer = chain((1, 1), (2,), (1,), **TILES)
    _, head = restorer.restore_file(source, tmp_path / "b.png")
    restored, expected = read_picture(tmp_path / "b.png"), restore_picture(read_picture(source), restorer)
    assert head.notes == expected.notes
    difference = np.abs(restored.pixels.astype(int) - expected.pixels)
    assert difference.max() <= 1  # colours are converted before the overlaps are blended
    assert difference.mean() < 1e-3


def test_colour_through_an_enlarging_gray_network_is_refused(tmp_path):
    source = write_photo(tmp_path / "a.png", H, W, 3)
    with pytest.raises(InputError, match="needs an RGB network"):
        chain((1,), (2, 1), **TILES).restore_file(source, tmp_path / "b.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_killed_run_is_continued_and_computes_only_what_is_missing(
    tmp_path, monkeypatch, killed_after_a_group, caplog
):
    source, whole, target = write_photo(tmp_path / "a.png", H, W, 3), tmp_path / "b.png", tmp_path / "c.png"
    restorer = chain(*FIRST_THEN_TWICE, **TILES)
    with pytest.raises(KilledError):
        restorer.restore_file(source, target)
    monkeypatch.undo()
    restorer.restore_file(source, whole)
    COUNTS.clear()
    with caplog.at_level(logging.INFO):
        restorer.restore_file(source, target)
    assert f"continues after row {GROUP} of {2 * H}" in caplog.text
    second, first, *run = [count for count, _ in COUNTS]
    assert min(first, second) > len(run) / 4  # of each network, the rows of tiles above those that are missing
    assert first + second + sum(run) == COUNTS[0][1]
    assert target.read_bytes() == whole.read_bytes()


def test_another_later_network_begins_anew(tmp_path, monkeypatch, killed_after_a_group, caplog):
    source, target = write_photo(tmp_path / "a.png", H, W, 3), tmp_path / "b.png"
    with pytest.raises(KilledError):
        chain(*FIRST_THEN_TWICE, **TILES).restore_file(source, target)
    monkeypatch.undo()
    with caplog.at_level(logging.INFO):
        chain((1,), (2, 3, 2), **TILES).restore_file(source, target)
    assert "an unfinished result is dropped, because of another model" in caplog.text


def test_a_damaged_file_is_named_once(tmp_path):
    path = write_photo(tmp_path / "a.png", H, W, 3)
    path.write_bytes(path.read_bytes()[:-10_000])
    with pytest.raises(InputError) as caught:
        chain(*FIRST_THEN_TWICE, **TILES).restore_file(path, tmp_path / "b.png")
    assert str(caught.value) == f"{path}: the file is cut short"


def test_auto_keeps_the_tiles_it_began_with(tmp_path, monkeypatch, nothing_in_use, killed_after_a_group):
    source, target = write_photo(tmp_path / "a.png", H, 300, 3), tmp_path / "b.png"
    restorer = chain(*FIRST_THEN_TWICE, memory=16_000_000)
    with pytest.raises(KilledError):
        restorer.restore_file(source, target)
    tiles = json.loads(progress_file(target).read_text())["settings"]["tile"]
    monkeypatch.undo()
    for one, tile in zip(restorer.restorers, tiles, strict=True):
        one.engine.memory = 10**10  # far more than in the first run
        one.engine._shared_tiles = {one.engine.layout.padded((H, 300)): tuple(tile)}
    restorer.restore_file(source, target)
    np.testing.assert_array_equal(read_picture(target).pixels, restorer(read_picture(source).pixels))


@pytest.mark.parametrize(
    ("budget", "begun", "sides"),
    [
        (150, (), (64, 48)),
        (120, (), (56, 48)),  # the one that takes most gives way
        (80, (), (48, 40)),
        (80, [[40, 40], [48, 48]], (40, 48)),
        (75, [[40, 40], [48, 48]], (48, 40)),  # do not fit any more
        (150, [40, 48], (64, 48)),  # of a single network
        (150, [[32, 32], [48, 48]], (64, 48)),
    ],
)
def test_tiles_share_the_memory(budget, begun, sides):
    needs = ({64: 100, 56: 70, 48: 45, 40: 30}, {48: 50, 40: 30})
    choices = [{(side, side): need for side, need in network.items()} for network in needs]
    assert choose_tiles(Path("a.png"), choices, budget, begun) == [(side, side) for side in sides]


def test_too_little_memory_is_refused_with_the_tiles_of_all_networks(tmp_path, nothing_in_use):
    source = write_photo(tmp_path / "a.png", H, W, 3)
    with pytest.raises(InputError, match=r"a\.png: rows of tiles of 24x24 and 24x24 take .* allow more memory"):
        chain(*FIRST_THEN_TWICE, **TILES, memory=100_000).restore_file(source, tmp_path / "b.png")
