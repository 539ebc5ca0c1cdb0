import json
import logging

import numpy as np
import pytest
from batches import IMAGES, global_batches, open_batches, patches, save, take

from swinir_jax.errors import InputError


@pytest.mark.parametrize(
    ("kind", "low", "scale", "channels"),
    [("bicubic", 2, 2, 3), ("blind", 2, 2, 3), ("noise", 15, 1, 1), ("jpeg", 10, 1, 3)],
)
def test_shapes_and_range(folder, kind, low, scale, channels):
    batch = next(open_batches(folder, kind=kind, low=low, scale=scale, channels=channels))
    assert {name: patch.shape for name, patch in batch.items()} == {
        "lq": (4, 8, 8, channels),
        "hq": (4, 8 * scale, 8 * scale, channels),
    }
    for name, patch in batch.items():
        assert patch.dtype == np.float32
        dark, bright = (0.5, 0.5) if (kind, name) == ("blind", "lq") else (0.2, 0.7)  # blur leaves little of noise
        assert -1 < patch.min() < dark <= bright < patch.max() < 2


STREAMS = {"noise": dict(kind="noise"), "blind": dict(kind="blind", low=4, scale=4, size=4)}


@pytest.mark.parametrize("options", STREAMS.values(), ids=STREAMS)
def test_processes_share_one_stream(folder, options):
    alone, _ = global_batches(folder, 1, 8, **options)
    assert len({patch for batch in alone for patch in batch}) == 8 * 4  # no patch twice
    for processes in (2, 4):
        assert global_batches(folder, processes, 8, **options)[0] == alone


@pytest.mark.parametrize(("kind", "low", "scale"), [("noise", 10, 1), ("jpeg", 10, 1), ("blind", 2, 2)])
def test_threads_change_nothing(folder, kind, low, scale):
    streams = [take(open_batches(folder, kind=kind, low=low, scale=scale, threads=threads), 6) for threads in (0, 1, 4)]
    for stream in streams[1:]:
        for first, other in zip(streams[0], stream, strict=True):
            np.testing.assert_array_equal(first["lq"], other["lq"])
            np.testing.assert_array_equal(first["hq"], other["hq"])


@pytest.mark.parametrize("options", STREAMS.values(), ids=STREAMS)
def test_two_processes_are_resumed_by_four_and_by_one(folder, options):
    all_of_it, _ = global_batches(folder, 1, 9, **options)
    _, states = global_batches(folder, 2, 5, **options)
    assert states[0] == states[1]
    state = json.loads(json.dumps(states[0]))
    for processes in (4, 1):
        assert global_batches(folder, processes, 4, state, **options)[0] == all_of_it[5:]


def test_an_iterator_can_be_set_back_to_a_state(folder):
    batches = open_batches(folder, threads=2)
    take(batches, 3)
    state = batches.get_state()
    first = take(batches, 4)
    batches.set_state(state)
    for batch, again in zip(first, take(batches, 4), strict=True):
        np.testing.assert_array_equal(batch["lq"], again["lq"])


def test_an_epoch_takes_each_image_once_in_a_new_order(tmp_path):
    for i in range(IMAGES):
        save(tmp_path / f"{i}.png", np.full((8, 8), 10 * i, np.uint8))
    batches = open_batches(tmp_path, channels=1, batch=IMAGES)
    epochs = [tuple(np.rint(batch["hq"][:, 0, 0, 0] * 25.5).astype(int)) for batch in take(batches, 5)]
    assert {tuple(sorted(epoch)) for epoch in epochs} == {tuple(range(IMAGES))}
    assert len(set(epochs)) > 3


@pytest.fixture
def two_folders(tmp_path):
    """Folders of 3 and 6 gray images, whose value is ten times their number."""
    for i in range(9):
        save(tmp_path / ("few" if i < 3 else "many") / f"{i}.png", np.full((8, 8), 10 * i, np.uint8))
    return f"folder:{tmp_path}/few{{}},folder:{tmp_path}/many{{}}"


def drawn(text, batches, **options):
    taken = take(open_batches(text, channels=1, **options), batches)
    return [int(np.rint(value * 25.5)) for batch in taken for value in batch["hq"][:, 0, 0, 0]]


def test_without_weights_all_images_are_drawn_equally_often(two_folders, tmp_path):
    numbers = drawn(two_folders.format("", ""), 4, batch=9)
    assert all(sorted(numbers[i : i + 9]) == [*range(9)] for i in range(0, 36, 9))
    assert numbers == drawn(tmp_path, 4, batch=9)  # as if they were one folder


@pytest.mark.parametrize(
    ("weights", "share"), [((":2", ""), 2 / 3), ((":0.25", ":0.75"), 1 / 4), ((":1", ":1"), 1 / 2)]
)
def test_weights_set_the_share_of_a_folder(two_folders, caplog, weights, share):
    with caplog.at_level(logging.INFO, "swinir_jax"):
        numbers = drawn(two_folders.format(*weights), 18, batch=4)
    few = [number for number in numbers if number < 3]
    many = [number for number in numbers if number >= 3]
    assert len(few) == share * 72
    assert all(sorted(few[i : i + 3]) == [0, 1, 2] for i in range(0, len(few), 3))  # epochs of its own
    assert all(sorted(many[i : i + 6]) == [*range(3, 9)] for i in range(0, len(many) - 5, 6))
    [few_message, _] = caplog.messages
    assert f"{100 * share:.1f} % of the patches come from the 3 images of " in few_message
    assert few_message.endswith("/few")


def test_a_weighted_stream_does_not_depend_on_processes_threads_or_resumption(two_folders):
    text, options = two_folders.format(":3", ":2"), {"channels": 1, "size": 4}
    alone, _ = global_batches(text, 1, 9, **options)
    assert global_batches(text, 1, 9, threads=0, **options)[0] == alone
    shared, states = global_batches(text, 2, 5, threads=3, **options)
    assert shared == alone[:5]
    assert global_batches(text, 4, 4, states[0], **options)[0] == alone[5:]


def test_a_folder_with_only_small_images_is_named(two_folders, tmp_path):
    save(tmp_path / "large/0.png", np.zeros((16, 16), np.uint8))
    with pytest.raises(InputError, match="few: no image is as large as a patch"):
        open_batches(f"folder:{tmp_path}/few,folder:{tmp_path}/large:2", channels=1, size=16, skip_small=True)


def test_a_chain_of_blind_degradation_needs_colour(folder):
    with pytest.raises(InputError, match=r"--data\.degradation\.kind blind takes networks of 3 channels, got 1"):
        open_batches(folder, kind="blind", low=2, scale=2, channels=1)


def test_the_seed_decides(folder):
    first, again, other = (patches(next(open_batches(folder, seed=seed))) for seed in (3, 3, 4))
    assert first == again != other


def test_other_scales_are_refused(folder):
    with pytest.raises(InputError, match="shrinks by 3, but the network enlarges by 2"):
        open_batches(folder, kind="bicubic", low=3, scale=2)
    with pytest.raises(InputError, match="shrinks by 1, but the network enlarges by 2"):
        open_batches(folder, kind="jpeg", low=10, scale=2)


def test_closing_ends_the_threads(folder):
    batches = open_batches(folder)
    next(batches)
    batches.close()
    with pytest.raises(ValueError, match="closed"):
        next(batches)
