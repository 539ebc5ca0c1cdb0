import pytest

from swinir_jax.images import Header, read_header, read_picture


@pytest.fixture
def read_bytes(tmp_path):
    """Returns a function that reads a picture from bytes and compares it with the header."""

    def read(data, name="picture.png"):
        path = tmp_path / name
        path.write_bytes(data)
        picture, header = read_picture(path), read_header(path)
        height, width, *colours = picture.pixels.shape
        bits, has_alpha = 8 * picture.pixels.itemsize, picture.alpha is not None
        assert header == Header(height, width, 3 if colours else 1, bits, has_alpha, header.format)
        return picture

    return read
