import itertools
import json
import logging

import numpy as np
import pytest

from swinir_jax.data import sources
from swinir_jax.data.config import DataConfig, Degradation
from swinir_jax.data.pipeline import TrainingBatches
from swinir_jax.errors import InputError
from swinir_jax.images import Picture, write_picture

IMAGES = 7

opened = []


@pytest.fixture(autouse=True)
def no_threads_left():
    yield
    while opened:
        opened.pop().close()


@pytest.fixture
def folder(tmp_path):
    """Random images; the first value of each is its number."""
    rng = np.random.default_rng(0)
    for i in range(IMAGES):
        pixels = rng.integers(0, 256, (30 + i, 36, 3), np.uint8)
        save(tmp_path / "images" / "abc"[i % 3] / f"{i}.png", pixels)
    return tmp_path / "images"


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, Picture(pixels))


def open_batches(folder, *, kind="noise", low=0, high=50, size=8, scale=1, channels=3, batch=4, seed=0, process=(0, 1),
                 **options):  # fmt: skip
    degradation = Degradation(kind=kind, low=low, high=low if kind == "bicubic" else high)
    hq = str(folder) if str(folder).startswith("folder:") else f"folder:{folder}"
    config = DataConfig(degradation=degradation, patch_size=size, hq=hq, **options)
    index, count = process
    options = {"batch_size": batch // count, "seed": seed, "process_index": index, "process_count": count}
    opened.append(TrainingBatches(config, scale=scale, channels=channels, **options))
    return opened[-1]


def take(batches, count):
    return [*itertools.islice(batches, count)]


def patches(*batches):
    """What some batches hold together, in an order of its own."""
    return sorted(lq.tobytes() + hq.tobytes() for b in batches for lq, hq in zip(b["lq"], b["hq"], strict=True))


def global_batches(folder, processes, count, state=None, **options):
    """The same step's batches of all processes, put together; and their states."""
    shares = [open_batches(folder, process=(i, processes), **options) for i in range(processes)]
    for share in shares:
        if state is not None:
            share.set_state(state)
    taken = [patches(*(next(share) for share in shares)) for _ in range(count)]
    return taken, [share.get_state() for share in shares]


@pytest.mark.parametrize(
    ("kind", "low", "scale", "channels"), [("bicubic", 2, 2, 3), ("noise", 15, 1, 1), ("jpeg", 10, 1, 3)]
)
def test_shapes_and_range(folder, kind, low, scale, channels):
    batch = next(open_batches(folder, kind=kind, low=low, scale=scale, channels=channels))
    assert {name: patch.shape for name, patch in batch.items()} == {
        "lq": (4, 8, 8, channels),
        "hq": (4, 8 * scale, 8 * scale, channels),
    }
    for patch in batch.values():
        assert patch.dtype == np.float32
        assert -1 < patch.min() < 0.2 < 0.7 < patch.max() < 2


def test_processes_share_one_stream(folder):
    alone, _ = global_batches(folder, 1, 8)
    assert len({patch for batch in alone for patch in batch}) == 8 * 4  # no patch twice
    for processes in (2, 4):
        assert global_batches(folder, processes, 8)[0] == alone


@pytest.mark.parametrize("kind", ["noise", "jpeg"])
def test_threads_change_nothing(folder, kind):
    streams = [take(open_batches(folder, kind=kind, low=10, threads=threads), 6) for threads in (0, 1, 4)]
    for stream in streams[1:]:
        for first, other in zip(streams[0], stream, strict=True):
            np.testing.assert_array_equal(first["lq"], other["lq"])
            np.testing.assert_array_equal(first["hq"], other["hq"])


def test_two_processes_are_resumed_by_four_and_by_one(folder):
    all_of_it, _ = global_batches(folder, 1, 9)
    _, states = global_batches(folder, 2, 5)
    assert states[0] == states[1]
    state = json.loads(json.dumps(states[0]))
    for processes in (4, 1):
        assert global_batches(folder, processes, 4, state)[0] == all_of_it[5:]


def test_a_state_leads_back_on_the_same_object(folder):
    batches = open_batches(folder, threads=2)
    take(batches, 3)
    state = batches.get_state()
    first = take(batches, 4)
    batches.set_state(state)
    for batch, again in zip(first, take(batches, 4), strict=True):
        np.testing.assert_array_equal(batch["lq"], again["lq"])


def test_an_epoch_takes_each_image_once_in_an_order_of_its_own(tmp_path):
    for i in range(IMAGES):
        save(tmp_path / f"{i}.png", np.full((8, 8), 10 * i, np.uint8))
    batches = open_batches(tmp_path, channels=1, batch=IMAGES)
    epochs = [tuple(np.rint(batch["hq"][:, 0, 0, 0] * 25.5).astype(int)) for batch in take(batches, 5)]
    assert {tuple(sorted(epoch)) for epoch in epochs} == {tuple(range(IMAGES))}
    assert len(set(epochs)) > 3


@pytest.fixture
def two_folders(tmp_path):
    """One of 3 and one of 6 images; the first value of each is ten times its number."""
    for i in range(9):
        save(tmp_path / ("few" if i < 3 else "many") / f"{i}.png", np.full((8, 8), 10 * i, np.uint8))
    return f"folder:{tmp_path}/few{{}},folder:{tmp_path}/many{{}}"


def drawn(text, batches, **options):
    taken = take(open_batches(text, channels=1, **options), batches)
    return [int(np.rint(value * 25.5)) for batch in taken for value in batch["hq"][:, 0, 0, 0]]


def test_several_folders_are_drawn_alike_without_weights(two_folders, tmp_path):
    numbers = drawn(two_folders.format("", ""), 4, batch=9)
    assert all(sorted(numbers[i : i + 9]) == [*range(9)] for i in range(0, 36, 9))
    assert numbers == drawn(tmp_path, 4, batch=9)  # as if they were one folder


@pytest.mark.parametrize(
    ("weights", "share"), [((":2", ""), 2 / 3), ((":0.25", ":0.75"), 1 / 4), ((":1", ":1"), 1 / 2)]
)
def test_weights_say_how_often_a_folder_is_drawn(two_folders, caplog, weights, share):
    with caplog.at_level(logging.INFO, "swinir_jax"):
        numbers = drawn(two_folders.format(*weights), 18, batch=4)
    few = [number for number in numbers if number < 3]
    many = [number for number in numbers if number >= 3]
    assert len(few) == share * 72
    assert all(sorted(few[i : i + 3]) == [0, 1, 2] for i in range(0, len(few), 3))  # epochs of its own
    assert all(sorted(many[i : i + 6]) == [*range(3, 9)] for i in range(0, len(many) - 5, 6))
    assert f"{100 * share:.1f} % of the patches come from " in caplog.messages[0]
    assert "/few, of 3 images" in caplog.messages[0]


def test_a_weighted_stream_is_that_of_any_processes_threads_and_resumption(two_folders):
    text, options = two_folders.format(":3", ":2"), {"channels": 1, "size": 4}
    alone, _ = global_batches(text, 1, 9, **options)
    assert global_batches(text, 1, 9, threads=0, **options)[0] == alone
    shared, states = global_batches(text, 2, 5, threads=3, **options)
    assert shared == alone[:5]
    assert global_batches(text, 4, 4, states[0], **options)[0] == alone[5:]


def test_a_folder_of_nothing_but_small_images_is_named(two_folders, tmp_path):
    save(tmp_path / "large/0.png", np.zeros((16, 16), np.uint8))
    with pytest.raises(InputError, match="few: no image is as large as a patch"):
        open_batches(f"folder:{tmp_path}/few,folder:{tmp_path}/large:2", channels=1, size=16, skip_small=True)


def test_the_seed_decides(folder):
    first, again, other = (patches(next(open_batches(folder, seed=seed))) for seed in (3, 3, 4))
    assert first == again != other


def test_gray_of_colour_is_that_of_the_task(tmp_path):
    save(tmp_path / "white.png", np.full((16, 16, 3), 255, np.uint8))
    for kind, luma in (("noise", 255), ("jpeg", 235)):
        hq = next(open_batches(tmp_path, kind=kind, low=50, channels=1))["hq"]
        np.testing.assert_allclose(hq, luma / 255, rtol=1e-6)


def test_gray_and_deep_files_train_a_colour_network(tmp_path):
    save(tmp_path / "gray.png", np.full((16, 16), 51, np.uint8))
    save(tmp_path / "deep.png", np.full((16, 16, 3), 13107, np.uint16))
    hq = next(open_batches(tmp_path))["hq"]
    np.testing.assert_allclose(hq, np.full((4, 8, 8, 3), 0.2), rtol=1e-6)


def test_given_lq_images_are_used(tmp_path):
    for i in range(3):
        save(tmp_path / "hq" / f"{i}.png", np.full((20, 24, 3), 10 * i, np.uint8))
        save(tmp_path / "lq" / "x2" / f"{i}x2.png", np.full((10, 12, 3), 10 * i + 5, np.uint8))
    batch = next(open_batches(f"{tmp_path}/hq,{tmp_path}/lq", kind="bicubic", low=2, scale=2))
    np.testing.assert_allclose(batch["lq"][:, 0, 0], batch["hq"][:, 0, 0] + 5 / 255, rtol=1e-6)


def damage(folder, *names):
    """Keeps the header and loses the pixels."""
    for path in folder.rglob("*.png"):
        if path.name in names:
            path.write_bytes(path.read_bytes()[:-1000])


def test_a_corrupt_file_gives_way_and_is_named_once(folder):
    good = patches(*take(open_batches(folder, threads=0), 12))
    damage(folder, "4.png")
    streams = []
    for threads in (0, 3):
        batches = open_batches(folder, threads=threads, cache_mb=0)
        streams.append(patches(*take(batches, 12)))
        [problem] = batches.corrupt
        assert "4.png" in problem
    assert streams[0] == streams[1]
    assert 0.7 < len(set(good) & set(streams[0])) / len(good) < 1  # all others are drawn as before
    assert global_batches(folder, 4, 12)[0] == global_batches(folder, 1, 12)[0]


@pytest.mark.parametrize("threads", [0, 2])
def test_files_that_change_in_mid_run_are_named_and_counted(folder, threads):
    batches = open_batches(folder, threads=threads, cache_mb=0)
    next(batches)
    save(folder / "a/0.png", np.zeros((64, 64, 3), np.uint8))
    save(folder / "b/1.png", np.zeros((4, 4, 3), np.uint8))
    (folder / "c/2.png").unlink()
    for batch in take(batches, 20):
        assert batch["hq"].shape == (4, 8, 8, 3)
    problems = sorted(batches.corrupt)
    assert len(problems) == 3
    assert [problem.split("/")[-1] for problem in problems] == [
        "0.png: 64x64, at the start 36x30",
        "1.png: 4x4, at the start 36x31",
        "2.png: No such file or directory",
    ]


@pytest.mark.parametrize("threads", [0, 2])
def test_too_many_corrupt_files_end_the_run(folder, threads):
    damage(folder, "1.png", "5.png")
    with pytest.raises(InputError, match=r"2 images cannot be read, data\.max_corrupt allows 1: .*[15]\.png"):
        take(open_batches(folder, threads=threads, max_corrupt=1), 10)


def test_a_folder_of_corrupt_files_ends_the_run(folder):
    damage(folder, *(f"{i}.png" for i in range(IMAGES)))
    with pytest.raises(InputError, match="None of 7 images can be read"):
        next(open_batches(folder))


def test_images_are_decoded_once_while_there_is_room(folder, monkeypatch):
    reads, read_picture = [], sources.read_picture

    def counting(path):
        if folder in path.parents:  # not one that a thread of another test still reads
            reads.append(path)
        return read_picture(path)

    monkeypatch.setattr(sources, "read_picture", counting)
    take(open_batches(folder, threads=0, batch=IMAGES), 4)
    assert len(reads) == IMAGES
    reads.clear()
    take(open_batches(folder, threads=0, batch=IMAGES, cache_mb=0), 4)
    assert len(reads) == 4 * IMAGES
    large = np.zeros((700, 700, 3), np.uint8)  # 1.4 MB
    for i in range(IMAGES):
        save(folder / f"large{i}.png", large)
    reads.clear()
    take(open_batches(folder, threads=0, batch=2 * IMAGES, cache_mb=3), 4)
    kept = IMAGES + 2  # the small ones, and two of the large
    assert len(reads) == 2 * IMAGES + 3 * (2 * IMAGES - kept)


def test_other_scales_are_refused(folder):
    with pytest.raises(InputError, match="shrinks by 3, but the network enlarges by 2"):
        open_batches(folder, kind="bicubic", low=3, scale=2)
    with pytest.raises(InputError, match="shrinks by 1, but the network enlarges by 2"):
        open_batches(folder, kind="jpeg", low=10, scale=2)


def test_small_images_are_named_or_skipped(folder, caplog):
    with pytest.raises(InputError, match=r"0\.png: 36x30 is smaller than a patch of 32x32; .*1\.png: 36x31 is smaller"):
        open_batches(folder, size=32)
    with caplog.at_level(logging.WARNING, "swinir_jax"):
        batch = next(open_batches(folder, size=32, skip_small=True))
    assert batch["hq"].shape == (4, 32, 32, 3)
    assert [name for name in ("0.png", "1.png", "2.png") if name in caplog.text] == ["0.png", "1.png"]


def test_closing_ends_the_threads(folder):
    batches = open_batches(folder)
    next(batches)
    batches.close()
    with pytest.raises(ValueError, match="closed"):
        next(batches)
