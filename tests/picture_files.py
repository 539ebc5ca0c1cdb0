"""Pictures and picture files that the tests of `swinir_jax.images` make."""

import io
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from swinir_jax.errors import InputError
from swinir_jax.images import Picture, write_picture

DATA = Path(__file__).parent / "data" / "pictures"
H, W = 23, 34  # not square, and odd
ICC = b"a profile of an unknown colour space".ljust(36) + b"acsp" + b"kept byte for byte" * 40


def make_pixels(channels, dtype=np.uint8, h=H, w=W):
    """A smooth picture, different at every corner and in every channel: `[h, w]` or `[h, w, channels]`."""
    y, x, c = np.meshgrid(np.linspace(0, 1, h), np.linspace(0, 1, w), np.arange(max(channels, 1)), indexing="ij")
    samples = (0.5 * y**2 + 0.3 * x + 0.19 * np.sin((2 + c) * (x + y))).clip(0, 1) * np.iinfo(dtype).max
    samples = samples.astype(dtype)
    return samples if channels else samples[..., 0]


def make_picture(colours, with_alpha, dtype=np.uint8, **fields):
    alpha = make_pixels(0, dtype)[::-1] if with_alpha else None  # 0 in places
    return Picture(make_pixels(colours, dtype), alpha, **fields)


def assert_same_samples(actual, expected):
    assert actual.pixels.dtype == expected.pixels.dtype
    np.testing.assert_array_equal(actual.pixels, expected.pixels)
    assert (actual.alpha is None) == (expected.alpha is None)
    if expected.alpha is not None:
        assert actual.alpha.dtype == expected.alpha.dtype
        np.testing.assert_array_equal(actual.alpha, expected.alpha)


def psnr(a, b):
    return 10 * math.log10(255**2 / (np.mean((a.astype(float) - b) ** 2) + 1e-9))


def png_chunk(kind, payload):
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def insert_chunk(png, chunk):
    """After IHDR."""
    return png[:33] + chunk + png[33:]


def make_png(depth, colour_type, width, rows, *chunks):
    header = struct.pack(">IIBBBBB", width, len(rows), depth, colour_type, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = [png_chunk(b"IHDR", header), *chunks, png_chunk(b"IDAT", data), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def pillow_bytes(samples, name, **options):
    image = samples if isinstance(samples, Image.Image) else Image.fromarray(samples)
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def put(name, data=None):
    """Writes a file, by default a small PNG, below folders that need not exist; returns the name."""
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pillow_bytes(make_pixels(3), "PNG") if data is None else data)
    return str(path)


def tiff_bytes(samples, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, samples, metadata=None, **options)
    return buffer.getvalue()


def exif_bytes(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def encoded(tmp_path, suffix, picture):
    path = tmp_path / f"encoded{suffix}"
    write_picture(path, picture)
    return path.read_bytes()


def assert_refused(action, path, *parts):
    with pytest.raises(InputError) as caught:
        action(path)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert str(path) in message
    for part in parts:
        assert part in message
    return caught.value
