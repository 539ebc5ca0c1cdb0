import logging

import numpy as np
import pytest
from batches import IMAGES, global_batches, open_batches, patches, save, take

from swinir_jax.data import folders
from swinir_jax.errors import InputError


def test_colour_images_become_gray_as_in_the_task(tmp_path):
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
    """Cuts off the ends of files, behind the headers."""
    for path in folder.rglob("*.png"):
        if path.name in names:
            path.write_bytes(path.read_bytes()[:-1000])


def test_a_corrupt_file_is_replaced_and_named_once(folder):
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
def test_files_changed_during_a_run_are_named_and_counted(folder, threads):
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
    with pytest.raises(InputError, match=r"2 images cannot be read, --data\.max-corrupt allows 1; .*[15]\.png"):
        take(open_batches(folder, threads=threads, max_corrupt=1), 10)


def test_a_folder_of_corrupt_files_ends_the_run(folder):
    damage(folder, *(f"{i}.png" for i in range(IMAGES)))
    with pytest.raises(InputError, match="None of 7 images can be read"):
        next(open_batches(folder))


def test_images_are_decoded_once_within_the_cache_size(folder, monkeypatch):
    reads, read_picture = [], folders.read_picture

    def counting(path):
        if folder in path.parents:  # not one that a thread of another test still reads
            reads.append(path)
        return read_picture(path)

    monkeypatch.setattr(folders, "read_picture", counting)
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


def test_small_images_are_named_or_skipped(folder, caplog):
    with pytest.raises(InputError, match=r"0\.png: 36x30 is smaller than a patch of 32x32; .*1\.png: 36x31 is smaller"):
        open_batches(folder, size=32)
    with caplog.at_level(logging.WARNING, "swinir_jax"):
        batch = next(open_batches(folder, size=32, skip_small=True))
    assert batch["hq"].shape == (4, 32, 32, 3)
    assert [name for name in ("0.png", "1.png", "2.png") if name in caplog.text] == ["0.png", "1.png"]
