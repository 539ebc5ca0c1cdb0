import functools
import json
import logging
import os
from pathlib import Path

import numpy as np
import pytest
from peak_worker import run_worker
from picture_files import ICC
from restorers import KilledError, one_layer, write_photo

from swinir_jax import InputError
from swinir_jax.images import Picture, read_picture, write_picture
from swinir_jax.images.metadata import Metadata
from swinir_jax.images.row_writing import GROUP, progress_file
from swinir_jax.inference.chain import NetworkChain
from swinir_jax.inference.files import FileRestoration
from swinir_jax.inference.pictures import restore_picture

H, W = 203, 45  # 406 rows of the result: two groups
COUNTS = []  # of tiles, and those in all


# What is streamed does not depend on the network, so one that compiles at once will do.
@functools.cache  # compiled programs are kept with a Restorer
def restorer(**options):
    return NetworkChain([one_layer(2)], **options, done=lambda *counts: COUNTS.append(counts))


TILES = {"tile": 24, "overlap": 8}


@pytest.mark.parametrize(
    ("names", "dtype", "options"),
    [
        (("a.png", "b.png"), np.uint8, TILES),
        (("a.tif", "b.tif"), np.uint16, {**TILES, "blend": "average", "pad": "official"}),
        (("a.jpg", "b.png"), np.uint8, {**TILES, "batch_size": 4}),
        (("a.png", "b.tiff"), np.uint8, {"tile": 64, "overlap": 16}),  # wider than the image
        (("a.png", "b.png"), np.uint8, {**TILES, "pad": "minimal"}),
        (("a.png", "b.png"), np.uint8, {"tile": 8, "overlap": 0}),  # lower than what is mirrored
    ],
)
def test_the_result_is_that_of_tiles_in_memory(tmp_path, names, dtype, options):
    source, target = tmp_path / names[0], tmp_path / names[1]
    write_photo(source, H, W, 3, dtype=dtype, icc_profile=ICC, dpi=(72, 72))
    COUNTS.clear()
    assert restorer(**options).restore_file(source, target)[0] == 2 * H
    assert sum(count for count, _ in COUNTS) == COUNTS[0][1]
    restored, expected = read_picture(target), restore_picture(read_picture(source), restorer(**options))
    np.testing.assert_array_equal(restored.pixels, expected.pixels)
    assert restored.pixels.dtype == dtype
    assert restored.icc_profile == ICC
    assert restored.dpi == pytest.approx((72, 72), abs=0.1)


def test_gray_through_an_rgb_network(tmp_path):
    source = write_photo(tmp_path / "a.png", H, W)
    _, head = restorer(**TILES).restore_file(source, tmp_path / "b.png")
    restored, expected = read_picture(tmp_path / "b.png").pixels, restorer(**TILES)(read_picture(source).pixels)
    assert restored.shape == expected.shape
    difference = np.abs(restored.astype(int) - expected)
    assert difference.max() <= 1  # the luma is taken before the overlaps are blended
    assert difference.mean() < 1e-3
    assert head.notes == ("gray, restored as three equal channels by an RGB network",)


def test_what_the_format_cannot_hold_is_noted(tmp_path):
    texts = Metadata(text=(("Title", "a title"), ("Foo", "bar")))
    source = write_photo(tmp_path / "a.png", H, W, 3, metadata=texts, code_points=bytes([9, 16, 0, 1]))
    by_rows = FileRestoration(source, tmp_path / "rows.tif", restorer(**TILES), by_rows=True).run()
    in_memory = FileRestoration(source, tmp_path / "memory.tif", restorer(**TILES)).run()
    assert by_rows.notes == in_memory.notes
    assert by_rows.notes[1:] == (
        "colours are not sRGB, which TIFF cannot say",
        "texts left out, which TIFF cannot hold: Foo",
    )


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_goes_on_where_it_was_killed(tmp_path, suffix, monkeypatch, killed_after_a_group, caplog):
    source, whole, target = write_photo(tmp_path / "a.png", H, W, 3), tmp_path / f"b{suffix}", tmp_path / f"c{suffix}"
    with pytest.raises(KilledError):
        restorer(**TILES).restore_file(source, target)
    assert not target.exists()
    monkeypatch.undo()
    restorer(**TILES).restore_file(source, whole)
    COUNTS.clear()
    with caplog.at_level(logging.INFO):
        restorer(**TILES).restore_file(source, target)
    assert f"continues after row {GROUP} of {2 * H}" in caplog.text
    skipped, *run = [count for count, _ in COUNTS]
    assert skipped > len(run) / 2  # the rows of tiles that are done, but for those that overlap the next
    assert skipped + sum(run) == COUNTS[0][1]
    assert target.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", f"b{suffix}", f"c{suffix}"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"overlap": 16}, "overlap"), ({"blend": "average"}, "blend"), ({"pad": "minimal"}, "pad"), ({}, "input")],
)
def test_begins_anew_if_anything_is_another(tmp_path, monkeypatch, killed_after_a_group, caplog, change, reason):
    source, target = write_photo(tmp_path / "a.png", H, W, 3), tmp_path / "b.png"
    with pytest.raises(KilledError):
        restorer(**TILES).restore_file(source, target)
    monkeypatch.undo()
    if not change:
        write_photo(source, H, W, 3, dtype=np.uint16)
    with caplog.at_level(logging.INFO):
        restorer(**{**TILES, **change}).restore_file(source, target)
    assert f"an unfinished result is dropped, because of another {reason}" in caplog.text
    expected = restorer(**{**TILES, **change})(read_picture(source).pixels)
    np.testing.assert_array_equal(read_picture(target).pixels, expected)


def test_other_weights_begin_anew(tmp_path, monkeypatch, killed_after_a_group, caplog):
    source, target = write_photo(tmp_path / "a.png", H, W, 3), tmp_path / "b.png"
    with pytest.raises(KilledError):
        restorer(**TILES).restore_file(source, target)
    monkeypatch.undo()
    with caplog.at_level(logging.INFO):
        NetworkChain([one_layer(2, seed=2)], **TILES).restore_file(source, target)
    assert "because of another model" in caplog.text


def test_another_background_begins_anew(tmp_path, monkeypatch, killed_after_a_group, caplog):
    source, target = write_photo(tmp_path / "a.png", H, W, 3, alpha=np.zeros((H, W), np.uint8)), tmp_path / "b.png"
    with pytest.raises(KilledError):
        restorer(**TILES).restore_file(source, target, background="white")
    monkeypatch.undo()
    with caplog.at_level(logging.INFO):
        restorer(**TILES).restore_file(source, target, background="black")
    assert "because of another background" in caplog.text
    black = restorer(**TILES)(np.zeros((H, W, 3), np.uint8))
    np.testing.assert_array_equal(read_picture(target).pixels, black)


def test_a_file_of_the_same_size_and_another_time_begins_anew(tmp_path, monkeypatch, killed_after_a_group, caplog):
    source, target = write_photo(tmp_path / "a.png", H, W, 3), tmp_path / "b.png"
    with pytest.raises(KilledError):
        restorer(**TILES).restore_file(source, target)
    monkeypatch.undo()
    os.utime(source, ns=(1, 1))
    with caplog.at_level(logging.INFO):
        restorer(**TILES).restore_file(source, target)
    assert "because of another input" in caplog.text


def test_auto_takes_tiles_by_the_memory_and_keeps_those_it_began_with(
    tmp_path, monkeypatch, nothing_in_use, killed_after_a_group
):
    source = write_photo(tmp_path / "a.png", H, 300, 3)
    auto, tiles = restorer(), {}
    for memory in (30_000_000, 8_000_000):
        auto.restorers[0].engine.memory = memory
        with pytest.raises(KilledError):
            auto.restore_file(source, tmp_path / f"{memory}.png")
        [tiles[memory]] = json.loads(progress_file(tmp_path / f"{memory}.png").read_text())["settings"]["tile"]
    assert min(tiles[30_000_000]) > min(tiles[8_000_000]) >= 40
    monkeypatch.undo()
    auto.restorers[0].engine.memory = 10**10
    auto.restore_file(source, tmp_path / "8000000.png")  # though far more memory is allowed
    same = NetworkChain([one_layer(2)])
    same.restorers[0].engine._shared_tiles = {same.restorers[0].engine.layout.padded((H, 300)): tuple(tiles[8_000_000])}
    expected = same(read_picture(source).pixels)
    np.testing.assert_array_equal(read_picture(tmp_path / "8000000.png").pixels, expected)


# Bytes a pixel at scale 2. A profile of restoring such pictures showed 115, 116, 173, 188, 244 and 268.
@pytest.mark.parametrize(
    ("channels", "alpha", "dtype", "least"),
    [
        (1, False, np.uint8, 115),
        (1, False, np.uint16, 116),
        (3, False, np.uint8, 171),
        (3, False, np.uint16, 186),
        (3, True, np.uint8, 244),
        (3, True, np.uint16, 264),
    ],
)
def test_size_if_fits(tmp_path, nothing_in_use, channels, alpha, dtype, least):
    pixels = np.zeros((H, W, 3) if channels == 3 else (H, W), dtype)
    write_picture(tmp_path / "a.png", Picture(pixels, np.zeros((H, W), dtype) if alpha else None))
    for memory, size in ((1.1 * least, (H, W)), (least - 1, None)):
        restorer = NetworkChain([one_layer(2)], memory=int(memory * H * W))
        assert restorer.size_if_fits(tmp_path / "a.png") == size
    assert NetworkChain([one_layer(2)]).size_if_fits(tmp_path / "a.png") == (H, W)


@pytest.mark.parametrize(
    ("name", "target", "options", "message"),
    [
        ("a.png", "b.jpg", {}, "PNG or TIFF"),
        ("a.png", "b.png", {"tile": 0}, "tile=0"),
        ("a.png", "b.png", {"self_ensemble": True}, "self-ensemble"),
        ("a.png", "b.png", {"memory": 10_000}, "smaller tiles or allow more memory"),
        ("a.webp", "b.png", {"memory": 10_000}, "cannot be read by rows"),
    ],
)
def test_refused(tmp_path, nothing_in_use, name, target, options, message):
    source = write_photo(tmp_path / name, H, W, 3)
    with pytest.raises(InputError, match=message):
        NetworkChain([one_layer(2)], **options).restore_file(source, tmp_path / target)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("tile", ["auto", 32])
def test_less_memory_than_the_process_holds_is_refused(tmp_path, tile):
    source = write_photo(tmp_path / "a.png", H, W, 3)
    with pytest.raises(InputError, match=r"; 0 MB are left, beside the [1-9]\d* MB that the process holds"):
        NetworkChain([one_layer(2)], tile=tile, memory=10**6).restore_file(source, tmp_path / "b.png")


def test_translucent_image_needs_a_background(tmp_path):
    source = write_photo(tmp_path / "a.png", H, W, 3, alpha=np.zeros((H, W), np.uint8))
    with pytest.raises(InputError, match="translucent"):
        restorer(**TILES).restore_file(source, tmp_path / "b.png")
    restorer(**TILES).restore_file(source, tmp_path / "b.png", background="white")
    white = restorer(**TILES)(np.full((H, W, 3), 255, np.uint8))
    np.testing.assert_array_equal(read_picture(tmp_path / "b.png").pixels, white)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell a process its peak")
@pytest.mark.parametrize("scales", ["4", "1,4"])
def test_peak_memory_does_not_grow_with_the_image(tmp_path, scales):
    peaks = run_worker(scales, tmp_path)
    assert peaks["four"] <= max(peaks["before"], peaks["limit"])
    assert peaks["four"] - peaks["one"] < peaks["floats"] / 2
    assert peaks["in_memory"] - peaks["four"] > peaks["floats"]
