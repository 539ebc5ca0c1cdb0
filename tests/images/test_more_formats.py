"""HEIF, AVIF, JPEG XL, GIF, JPEG 2000 and PPM."""

import importlib
import io
import struct

import imagecodecs
import numpy as np
import pillow_heif
import pillow_jxl
import pytest
from picture_files import (
    H,
    assert_refused,
    assert_same_samples,
    exif_bytes,
    make_picture,
    make_pixels,
    pillow_bytes,
    psnr,
)
from PIL import Image

from swinir_jax.errors import InputError
from swinir_jax.images import Picture, plugins, read_header, read_picture, write_picture


def spread(samples, bits):
    """Scales samples of `bits` bits to 8 bits, or to 16 if there are more than 8."""
    dtype = np.uint8 if bits <= 8 else np.uint16
    return np.rint(samples * (np.iinfo(dtype).max / (2**bits - 1))).astype(dtype)


def samples_of(bits, channels):
    """Makes samples of `bits` bits, as codecs take them."""
    return (make_pixels(channels, np.uint16) >> (16 - bits)).astype(np.uint8 if bits <= 8 else np.uint16)


def heic(samples, mode, **options):
    image = pillow_heif.from_bytes(mode, samples.shape[1::-1], samples.tobytes())
    buffer = io.BytesIO()
    image.save(buffer, quality=-1, chroma=444, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("alpha", [False, True])
def test_heic(read_bytes, alpha):
    samples = make_pixels(4 if alpha else 3, h=64, w=80)
    picture = read_bytes(heic(samples, "RGBA" if alpha else "RGB", exif=exif_bytes(1), xmp=b"<x/>"))
    assert psnr(picture.pixels, samples[..., :3]) > 48
    assert (picture.alpha is not None) == alpha
    assert picture.metadata.xmp == b"<x/>"
    assert picture.notes == ()


def test_heic_with_colours_times_alpha_is_divided_by_it(read_bytes):
    samples = np.full((64, 80, 4), (200, 0, 0, 100), np.uint8)
    multiplied = Image.fromarray(samples).convert("RGBa")
    picture = read_bytes(heic(np.frombuffer(multiplied.tobytes(), np.uint8).reshape(samples.shape), "RGBa"))
    assert (picture.alpha == 100).all()
    assert np.abs(picture.pixels.astype(int) - (200, 0, 0)).max() <= 5  # 2 levels of the stored colours


def test_deep_heic_keeps_the_depth(read_bytes):
    samples = make_pixels(3, np.uint16, h=64, w=80)
    picture = read_bytes(heic(samples, "RGB;16"))
    assert picture.pixels.dtype == np.uint16
    stored = picture.pixels / (65535 / 1023)
    np.testing.assert_allclose(stored, np.rint(stored), atol=0.01)  # 10 bits
    assert np.abs(picture.pixels / 257 - samples / 257).max() < 1
    white = read_bytes(heic(np.full((64, 64, 3), 65535, np.uint16), "RGB;16"))
    assert (white.pixels == 65535).all()


def test_turned_heic_is_turned_once(read_bytes):
    samples = make_pixels(3, h=64, w=80)
    image = pillow_heif.from_bytes("RGB", (80, 64), samples.tobytes())
    buffer = io.BytesIO()
    image.save(buffer, quality=-1, chroma=444, exif=exif_bytes(6))
    picture = read_bytes(buffer.getvalue())
    assert picture.pixels.shape == (80, 64, 3)
    assert psnr(picture.pixels, np.rot90(samples, -1)) > 48


@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("channels", [3, 4])
def test_deep_avif_keeps_the_depth(read_bytes, bits, channels):
    samples = make_pixels(channels, np.uint16) >> (16 - bits)
    picture = read_bytes(imagecodecs.avif_encode(samples, level=100, bitspersample=bits))
    expected = spread(samples, bits)
    np.testing.assert_allclose(picture.pixels.astype(int), expected[..., :3], atol=65535 // (2**bits - 1) + 1)
    assert picture.pixels.dtype == np.uint16
    assert (picture.alpha is not None) == (channels == 4)


def test_avif_obeys_quality_and_keeps_alpha(tmp_path):
    picture = make_picture(3, True)
    for quality in (20, 100):
        write_picture(tmp_path / f"{quality}.avif", picture, quality=quality)
    assert (tmp_path / "20.avif").stat().st_size < (tmp_path / "100.avif").stat().st_size
    restored = read_picture(tmp_path / "100.avif")
    assert psnr(restored.pixels, picture.pixels) > 50
    np.testing.assert_allclose(restored.alpha.astype(int), picture.alpha, atol=1)


def test_code_points_of_avif_are_read(read_bytes):
    pixels = make_pixels(3)
    data = imagecodecs.avif_encode(pixels, level=100, primaries=12, transfer=13)
    picture = read_bytes(bytes(data))
    np.testing.assert_array_equal(picture.pixels, pixels)
    assert picture.icc_profile[16:20] == b"RGB "
    assert picture.code_points == bytes([12, 13, 0, 1])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [0, 2, 3, 4])
@pytest.mark.parametrize("container", [False, True])
def test_jpeg_xl(read_bytes, dtype, channels, container):
    samples = make_pixels(channels, dtype)
    picture = read_bytes(bytes(imagecodecs.jpegxl_encode(samples, lossless=True, usecontainer=container)))
    colours = samples if channels in (0, 3) else samples[..., 0] if channels == 2 else samples[..., :3]
    assert_same_samples(picture, Picture(colours, samples[..., -1] if channels in (2, 4) else None))


@pytest.mark.parametrize("bits", [1, 4, 10, 12])
@pytest.mark.parametrize("channels", [0, 3, 4])
def test_jpeg_xl_of_other_depths_is_spread_over_the_whole_range(read_bytes, bits, channels):
    samples = samples_of(bits, channels)
    picture = read_bytes(bytes(imagecodecs.jpegxl_encode(samples, lossless=True, bitspersample=bits)))
    expected = spread(samples, bits)
    alpha = expected[..., 3] if channels == 4 else None
    assert_same_samples(picture, Picture(expected if channels == 0 else expected[..., :3], alpha))


@pytest.mark.parametrize("colours", [0, 3])
@pytest.mark.parametrize("alpha", [False, True])
def test_written_jpeg_xl_of_16_bits_is_srgb(tmp_path, colours, alpha):
    write_picture(tmp_path / "a.jxl", make_picture(colours, alpha, np.uint16))
    profile = pillow_jxl.Decoder()((tmp_path / "a.jxl").read_bytes())[3].replace(b"\0", b"")
    assert (b"sRGB" if colours else b"Gra_D65_Rel_SRG") in profile
    assert b"Lin" not in profile


def test_lossy_jpeg_xl_and_a_repacked_jpeg(read_bytes):
    lossy = read_bytes(bytes(imagecodecs.jpegxl_encode(make_pixels(3), distance=0.5)))
    assert psnr(lossy.pixels, make_pixels(3)) > 42
    jpeg = pillow_bytes(make_pixels(3), "JPEG", quality=95)
    repacked = read_bytes(bytes(imagecodecs.jpegxl_encode_jpeg(jpeg)))
    np.testing.assert_allclose(repacked.pixels.astype(int), read_bytes(jpeg, "a.jpg").pixels, atol=4)


def test_first_frame_of_a_gif_and_its_transparency(read_bytes):
    frames = [Image.fromarray(make_pixels(0) // k) for k in (1, 2)]
    picture = read_bytes(pillow_bytes(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    gray = picture.pixels if picture.pixels.ndim == 2 else picture.pixels[..., 0]
    np.testing.assert_array_equal(gray, make_pixels(0))
    assert picture.notes == ("first of 2 frames",)
    palette = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), "P")
    palette.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    picture = read_bytes(pillow_bytes(palette, "GIF", transparency=1))
    np.testing.assert_array_equal(picture.alpha, [[255, 0], [255, 0]])
    np.testing.assert_array_equal(picture.pixels[:, 0], [[10, 20, 30], [70, 80, 90]])


@pytest.mark.parametrize("bits", [1, 4, 8, 10, 12, 16])
@pytest.mark.parametrize("channels", [0, 3])
@pytest.mark.parametrize("codec", ["jp2", "j2k"])
def test_jpeg_2000(read_bytes, bits, channels, codec):
    samples = samples_of(bits, channels)
    data = imagecodecs.jpeg2k_encode(samples, level=0, reversible=True, bitspersample=bits, codecformat=codec)
    assert_same_samples(read_bytes(bytes(data)), Picture(spread(samples, bits)))


PPM = {
    "P2": (b"P2\n# made\n3 2\n#x\n15\n0 5 10\n15 1 2\n", np.array([[0, 85, 170], [255, 17, 34]], np.uint8)),
    "P5": (b"P5 3 2 255\n" + bytes(range(6)), np.arange(6, dtype=np.uint8).reshape(2, 3)),
    "P1": (b"P1\n3 2\n101\n0 1 0\n", np.array([[0, 255, 0], [255, 0, 255]], np.uint8)),
    "P4": (b"P4\n3 2\n" + bytes([0b10100000, 0b01000000]), np.array([[0, 255, 0], [255, 0, 255]], np.uint8)),
    "P3": (b"P3 1 1 65535 0 65535 32768", np.array([[[0, 65535, 32768]]], np.uint16)),
    "P6": (b"P6\n2 1\n1023\n" + struct.pack(">6H", 0, 1023, 512, 1, 2, 3), None),
    "P6 of 16 bits": (b"P6\n2 1 65535\n" + struct.pack(">6H", *range(0, 60000, 10000)), None),
}


@pytest.mark.parametrize("kind", PPM)
def test_ppm(read_bytes, kind):
    data, expected = PPM[kind]
    if expected is None:
        bits = 10 if b"1023" in data else 16
        expected = spread(np.frombuffer(data[-12:], ">u2").reshape(1, 2, 3), bits)
    assert_same_samples(read_bytes(data), Picture(expected))


@pytest.mark.parametrize(
    "data", [b"P6\n2 2 255\n" + bytes(11), b"P5\n2 2 70000\n" + bytes(99), b"P5\n0 2 255\n", b"P2 2 2 9 1 1 1"]
)
def test_damaged_ppm_is_refused(tmp_path, data):
    (tmp_path / "a.ppm").write_bytes(data)
    assert_refused(read_picture, tmp_path / "a.ppm")


@pytest.mark.parametrize("data", [b"P6 %s 1 255\n", b"P6 1 %s 255\n", b"P5 1 1 %s\n", b"P4 1 %s\n", b"P2 1 1 255 %s"])
def test_endless_number_in_a_ppm_is_damage(tmp_path, data):
    (tmp_path / "a.ppm").write_bytes(data % (b"1" * 5000))
    assert_refused(read_picture, tmp_path / "a.ppm", "of the PPM is damaged")


@pytest.mark.parametrize(("format", "data"), [("HEIF (HEIC)", "heic"), ("JPEG XL", "jxl")])
def test_missing_library_is_named(tmp_path, monkeypatch, format, data):
    def missing(name):
        raise ImportError(name)

    content = heic(make_pixels(3), "RGB") if data == "heic" else bytes(imagecodecs.jpegxl_encode(make_pixels(3)))
    (tmp_path / "a").write_bytes(content)
    assert read_header(tmp_path / "a").height == H
    monkeypatch.setattr(importlib, "import_module", missing)
    assert plugins.importlib is importlib
    assert_refused(read_picture, tmp_path / "a", format, "pip install pillow-heif pillow-jxl-plugin")


@pytest.mark.parametrize("kind", ["heic", "avif", "jxl", "jp2", "gif", "ppm"])
def test_cut_and_damaged_files_raise_only_input_errors(tmp_path, kind):
    pixels = make_pixels(3)
    data = {
        "heic": lambda: heic(pixels, "RGB"),
        "avif": lambda: pillow_bytes(pixels, "AVIF"),
        "jxl": lambda: bytes(imagecodecs.jpegxl_encode(pixels, lossless=True, usecontainer=True)),
        "jp2": lambda: bytes(imagecodecs.jpeg2k_encode(pixels, level=0)),
        "gif": lambda: pillow_bytes(pixels[..., 0], "GIF"),
        "ppm": lambda: pillow_bytes(pixels, "PPM"),
    }[kind]()
    path, rng, messages = tmp_path / "a", np.random.default_rng(0), []
    path.write_bytes(data[: len(data) // 2])
    assert_refused(read_picture, path)
    for trial in range(60):
        damaged = bytearray(data)
        for position in rng.integers(0, len(data) if trial % 2 else min(len(data), 200), size=2):
            damaged[position] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        for read in (read_header, lambda path: read_picture(path, memory=10**8)):
            try:
                read(path)
            except InputError as error:
                messages.append(str(error))
    assert messages
    assert all(len(message.splitlines()) == 1 for message in messages)
