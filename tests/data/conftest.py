import batches
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def no_threads_left():
    yield
    while batches.opened:
        batches.opened.pop().close()


@pytest.fixture
def folder(tmp_path):
    """Random images in subfolders."""
    rng = np.random.default_rng(0)
    for i in range(batches.IMAGES):
        pixels = rng.integers(0, 256, (30 + i, 36, 3), np.uint8)
        batches.save(tmp_path / "images" / "abc"[i % 3] / f"{i}.png", pixels)
    return tmp_path / "images"
