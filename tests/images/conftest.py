import pytest

from swinir_jax.images import read_picture, read_size


@pytest.fixture
def read_bytes(tmp_path):
    """Reads a picture from bytes, and checks that its header tells the same size."""

    def read(data, name="picture.png"):
        path = tmp_path / name
        path.write_bytes(data)
        picture = read_picture(path)
        assert read_size(path) == picture.pixels.shape[:2]
        return picture

    return read
