import io
import struct
import zlib

import imagecodecs
import numpy as np
import pytest
from picture_files import DATA, ICC, insert_chunk, make_pixels, pillow_bytes, png_chunk, tiff_bytes
from PIL import Image, ImageCms

from swinir_jax.images import Picture, read_picture, write_picture
from swinir_jax.images.row_reading import open_rows

SRGB = ImageCms.createProfile("sRGB")
P3 = imagecodecs.cms_profile(
    "rgb", whitepoint=[0.3127, 0.329, 1], primaries=[0.68, 0.32, 1, 0.265, 0.69, 1, 0.15, 0.06, 1], gamma=2.2
)
GRAY = imagecodecs.cms_profile("gray", whitepoint=[0.3127, 0.329, 1], gamma=1.8)


def shown(pixels, profile):
    """Converts pixels to sRGB by a profile, as another program does to show them."""
    if profile is None:
        return pixels
    profile = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return np.asarray(ImageCms.profileToProfile(Image.fromarray(pixels), profile, SRGB, outputMode="RGB"))


def xyz(pixels, primaries, curve):
    """Converts pixels of a colour space with white D65 to XYZ by definition."""
    white = np.array([0.3127, 0.329, 1 - 0.3127 - 0.329]) / 0.329
    columns = np.array([(x, y, 1 - x - y) for x, y in primaries]).T
    return curve(pixels / 255) @ (columns * np.linalg.solve(columns, white)).T


def expected_srgb(pixels, primaries, curve):
    linear = np.linalg.solve(
        np.stack([xyz(row, ((0.64, 0.33), (0.3, 0.6), (0.15, 0.06)), lambda x: x) for row in 255 * np.eye(3)], axis=1),
        xyz(pixels, primaries, curve).reshape(-1, 3).T,
    ).T.reshape(pixels.shape)
    linear = linear.clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def inverse_srgb(x):
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


P3_PRIMARIES = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
BT2020_PRIMARIES = ((0.708, 0.292), (0.17, 0.797), (0.131, 0.046))
CHRM = [31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000]
NAMED = {
    "display p3": (png_chunk(b"cICP", bytes([12, 13, 0, 1])), P3_PRIMARIES, inverse_srgb),
    "bt.2020, gamma 2.2": (png_chunk(b"cICP", bytes([9, 4, 0, 1])), BT2020_PRIMARIES, lambda x: x**2.2),
    "gamma": (png_chunk(b"gAMA", struct.pack(">I", 55556)), ((0.64, 0.33), (0.3, 0.6), (0.15, 0.06)), lambda x: x**1.8),
    "primaries": (png_chunk(b"cHRM", struct.pack(">8I", *CHRM)), P3_PRIMARIES, inverse_srgb),
    "gamma and primaries": (
        png_chunk(b"gAMA", struct.pack(">I", 50000)) + png_chunk(b"cHRM", struct.pack(">8I", *CHRM)),
        P3_PRIMARIES,
        lambda x: x**2,
    ),
}


@pytest.mark.parametrize("name", NAMED)
def test_png_colour_chunks_become_a_profile(tmp_path, name):
    chunks, primaries, curve = NAMED[name]
    pixels = make_pixels(3) // 2 + 64  # inside sRGB
    (tmp_path / "a.png").write_bytes(insert_chunk(pillow_bytes(pixels, "PNG"), chunks))
    picture = read_picture(tmp_path / "a.png")
    np.testing.assert_allclose(shown(pixels, picture.icc_profile), expected_srgb(pixels, primaries, curve), atol=2)
    assert open_rows(tmp_path / "a.png").head.icc_profile == picture.icc_profile
    for suffix in (".png", ".tif", ".webp", ".jpg", ".avif"):
        assert write_picture(tmp_path / f"b{suffix}", picture) == ()
        with Image.open(tmp_path / f"b{suffix}") as image:
            assert image.info["icc_profile"] == picture.icc_profile


@pytest.mark.parametrize("name", ["gama.png", "cicp.png"])
def test_colours_look_the_same_in_every_format(tmp_path, name):
    picture = read_picture(DATA / name)
    as_shown = shown(picture.pixels, picture.icc_profile)
    assert np.abs(as_shown.astype(int) - picture.pixels).max() > 50
    write_picture(tmp_path / "a.png", picture)
    assert read_picture(tmp_path / "a.png").code_points == picture.code_points
    for suffix in (".bmp", ".jxl"):
        [note] = write_picture(tmp_path / f"a{suffix}", picture)
        assert note.startswith("colours converted to sRGB, because")
        converted = read_picture(tmp_path / f"a{suffix}")
        np.testing.assert_allclose(converted.pixels.astype(int), as_shown, atol=1)


def test_hdr_colours_are_kept_and_noted(tmp_path):
    chunk = png_chunk(b"cICP", bytes([9, 16, 0, 1]))
    (tmp_path / "a.png").write_bytes(insert_chunk(imagecodecs.png_encode(make_pixels(3, np.uint16)), chunk))
    picture = read_picture(tmp_path / "a.png")
    assert picture.notes == ("colours of PQ kept as they are; only PNG can name them",)
    assert write_picture(tmp_path / "b.png", picture) == ()
    assert chunk in (tmp_path / "b.png").read_bytes()
    for suffix in (".tif", ".webp", ".bmp", ".jxl"):
        notes = write_picture(tmp_path / f"b{suffix}", picture)
        assert [note for note in notes if "not sRGB" in note], suffix


def test_srgb_chunk_is_kept_and_needs_no_profile(tmp_path):
    chunk = png_chunk(b"sRGB", b"\0")
    gamma = png_chunk(b"gAMA", struct.pack(">I", 45455))  # says less
    (tmp_path / "a.png").write_bytes(insert_chunk(pillow_bytes(make_pixels(3), "PNG"), chunk + gamma))
    picture = read_picture(tmp_path / "a.png")
    assert (picture.icc_profile, picture.notes) == (None, ())
    write_picture(tmp_path / "b.png", picture)
    assert chunk in (tmp_path / "b.png").read_bytes()


def test_profile_and_code_points_are_both_kept(tmp_path):
    chunk = png_chunk(b"cICP", bytes([12, 13, 0, 1]))
    (tmp_path / "a.png").write_bytes(insert_chunk(pillow_bytes(make_pixels(3), "PNG", icc_profile=P3), chunk))
    write_picture(tmp_path / "b.png", read_picture(tmp_path / "a.png"))
    picture = read_picture(tmp_path / "b.png")
    assert (picture.icc_profile, picture.code_points) == (P3, bytes([12, 13, 0, 1]))


@pytest.mark.parametrize(
    "chunk",
    [png_chunk(b"gAMA", b"\0"), png_chunk(b"gAMA", bytes(4)), png_chunk(b"cHRM", bytes(32)), png_chunk(b"cICP", b"")],
)
def test_damaged_colours_cost_nothing_else(read_bytes, chunk):
    picture = read_bytes(insert_chunk(pillow_bytes(make_pixels(3), "PNG"), chunk))
    np.testing.assert_array_equal(picture.pixels, make_pixels(3))
    assert picture.notes == ("damaged colour information ignored",)


def iccp(profile):
    return png_chunk(b"iCCP", b"name\0\0" + zlib.compress(profile))


GAMMA = png_chunk(b"gAMA", struct.pack(">I", 55556))
DAMAGED = {
    "cICP cut short": png_chunk(b"cICP", b"\1"),
    "iCCP not compressed": png_chunk(b"iCCP", b"name\0\0garbage"),
    "iCCP not a profile": iccp(b"no profile" * 40),
    "gAMA of 0": png_chunk(b"gAMA", bytes(4)),
    "cHRM without points": png_chunk(b"cHRM", bytes(32)),
}
SOUND = {
    "code points": png_chunk(b"cICP", bytes([12, 13, 0, 1])),
    "profile": iccp(P3),
    "gamma": GAMMA,
    "primaries": png_chunk(b"cHRM", struct.pack(">8I", *CHRM)),
}


@pytest.mark.parametrize("sound", SOUND)
@pytest.mark.parametrize("damaged", DAMAGED)
def test_damaged_colour_chunk_leaves_sound_ones_in_force(read_bytes, damaged, sound):
    png = pillow_bytes(make_pixels(3), "PNG")
    alone = read_bytes(insert_chunk(png, SOUND[sound]))
    for chunks in (SOUND[sound] + DAMAGED[damaged], DAMAGED[damaged] + SOUND[sound]):
        picture = read_bytes(insert_chunk(png, chunks))
        assert (picture.icc_profile, picture.code_points) == (alone.icc_profile, alone.code_points)
        assert picture.icc_profile is not None
        assert picture.notes == ("damaged colour information ignored",)


def test_precedence_of_sound_colour_chunks(read_bytes):
    png = pillow_bytes(make_pixels(3), "PNG")
    chunks = [SOUND["code points"], SOUND["profile"], png_chunk(b"sRGB", b"\0"), GAMMA]
    found = []
    for first in range(len(chunks)):
        picture = read_bytes(insert_chunk(png, b"".join(reversed(chunks[first:]))))
        found.append((picture.code_points, picture.icc_profile))
    gamma = read_bytes(insert_chunk(png, GAMMA)).icc_profile
    assert found == [(bytes([12, 13, 0, 1]), P3), (None, P3), (bytes([1, 13, 0, 1]), None), (None, gamma)]


@pytest.mark.parametrize("codes", [(2, 2), (9, 2), (2, 13)])
def test_unspecified_code_points_leave_the_gamma_in_force(read_bytes, codes):
    png = pillow_bytes(make_pixels(3), "PNG")
    picture = read_bytes(insert_chunk(png, png_chunk(b"cICP", bytes([*codes, 0, 1])) + GAMMA))
    assert picture.icc_profile == read_bytes(insert_chunk(png, GAMMA)).icc_profile


@pytest.mark.parametrize("name", ["PNG", "JPEG", "TIFF", "WEBP", "AVIF"])
def test_data_that_are_no_profile_are_left_out_and_noted(read_bytes, tmp_path, name):
    picture = read_bytes(pillow_bytes(make_pixels(3), name, icc_profile=b"no profile" * 40))
    assert picture.icc_profile is None
    [note] = picture.notes
    assert note.startswith("damaged colour")
    made = Picture(make_pixels(3), icc_profile=b"no profile" * 40)
    assert write_picture(tmp_path / "a.png", made) == ("damaged colour profile ignored",)
    assert read_picture(tmp_path / "a.png").notes == ()


def test_an_embedded_profile_overrules_code_points(read_bytes):
    avif = pillow_bytes(make_pixels(3), "AVIF", icc_profile=P3)
    at = avif.index(b"nclx") + 4
    picture = read_bytes(avif[:at] + struct.pack(">HH", 1, 13) + avif[at + 4 :])
    assert (picture.icc_profile, picture.code_points) == (P3, None)


@pytest.mark.parametrize("suffix", [".webp", ".avif"])
@pytest.mark.parametrize("source", ["file", "made"])
def test_gray_profile_becomes_one_of_rgb_with_the_samples(tmp_path, suffix, source):
    picture = Picture(make_pixels(0), icc_profile=GRAY) if source == "made" else read_picture(DATA / "gray_icc.png")
    assert write_picture(tmp_path / f"a{suffix}", picture) == ()
    with Image.open(tmp_path / f"a{suffix}") as image:
        profile, pixels = image.info["icc_profile"], np.asarray(image.convert("RGB"))
    assert profile[16:20] == b"RGB "
    np.testing.assert_allclose(
        shown(pixels, profile).astype(int),
        shown(picture.pixels, picture.icc_profile).astype(int),
        atol=1 if suffix == ".webp" else 6,
    )


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_gray_profile_stays_with_gray(tmp_path, suffix):
    write_picture(tmp_path / f"a{suffix}", Picture(make_pixels(0), icc_profile=GRAY))
    assert read_picture(tmp_path / f"a{suffix}").icc_profile == GRAY


@pytest.mark.parametrize("name", ["JPEG", "TIFF"])
def test_rgb_profile_of_a_gray_picture_becomes_one_of_gray(read_bytes, name):
    picture = read_bytes(
        pillow_bytes(make_pixels(0), name, icc_profile=P3, **({"quality": 95} if name == "JPEG" else {}))
    )
    assert picture.icc_profile[16:20] == b"GRAY"
    gray = np.dstack([picture.pixels] * 3)
    np.testing.assert_allclose(shown(picture.pixels, picture.icc_profile).astype(int), shown(gray, P3), atol=1)


@pytest.mark.parametrize("space", [b"CMYK", b"Lab ", b"XYZ "])
@pytest.mark.parametrize("colours", [0, 3])
def test_profile_of_other_colours_is_left_out_and_noted(read_bytes, tmp_path, space, colours):
    profile = ICC[:16] + space + ICC[20:]
    picture = read_bytes(
        tiff_bytes(make_pixels(colours), photometric="rgb" if colours else "minisblack", iccprofile=profile)
    )
    assert picture.icc_profile is None
    [note] = picture.notes
    assert note.startswith(f"colour profile of {space.decode().strip()} left out")


def test_unusable_gray_profile_is_left_out_and_noted(tmp_path):
    picture = Picture(make_pixels(0), icc_profile=GRAY[:128] + bytes(4))
    assert write_picture(tmp_path / "a.png", picture) == ()
    [note] = write_picture(tmp_path / "a.webp", picture)
    assert note == "colour profile of gray left out, because the picture is RGB"
    [note] = write_picture(tmp_path / "a.bmp", picture)
    assert note == "colour profile left out, because BMP holds no colour profile"


def cmyk_profile():
    """Returns a profile of four gray inks, each of which takes a quarter of the lightness."""
    corners = np.indices((2,) * 4).sum(axis=0).reshape(-1, 1)
    table = np.hstack([255 * (4 - corners) // 4, np.full((16, 2), 128)]).astype(np.uint8)  # L*, a*, b*
    ramp = bytes(range(256))
    matrix = struct.pack(">9i", *(65536 * np.eye(3, dtype=int)).ravel())
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + 4 * ramp + table.tobytes() + 3 * ramp
    white = struct.pack(">4s4x3i", b"XYZ ", 63190, 65536, 54061)
    tags = {b"wtpt": white, b"A2B0": lut}
    entries, contents = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        entries += struct.pack(">4sII", name, 128 + 4 + 12 * len(tags) + len(contents), len(content))
        contents += content
    head = struct.pack(
        ">I4sI4s4s4s12x4s", 132 + 12 * len(tags) + len(contents), b"", 0x02100000, b"prtr", b"CMYK", b"Lab ", b"acsp"
    )
    return head + bytes(68 - len(head)) + struct.pack(">3i", 63190, 65536, 54061) + bytes(48) + entries + contents


@pytest.mark.parametrize("name", ["TIFF", "JPEG"])
def test_cmyk_is_converted_by_its_profile(read_bytes, name):
    inks = np.zeros((16, 48, 4), np.uint8)
    inks[:, 16:32, 0] = 255  # cyan in other profiles
    inks[:, 32:] = 255
    options = {"quality": 100} if name == "JPEG" else {}
    image = Image.frombytes("CMYK", (48, 16), inks.tobytes())
    picture = read_bytes(pillow_bytes(image, name, icc_profile=cmyk_profile(), **options))
    assert picture.notes == ("CMYK converted to sRGB by its colour profile",)
    assert picture.icc_profile is None
    lightness_75 = 186  # sRGB sample of L* 75
    np.testing.assert_allclose(picture.pixels[8, [8, 24, 40]].mean(axis=1), [255, lightness_75, 0], atol=3)


def test_16_bit_colours_are_converted_in_16_bits(tmp_path):
    pixels = make_pixels(3, np.uint16) // 2 + 16384  # inside sRGB
    write_picture(tmp_path / "a.jxl", Picture(pixels, icc_profile=P3))
    expected = expected_srgb(pixels / 257, P3_PRIMARIES, lambda x: x**2.2)
    np.testing.assert_allclose(read_picture(tmp_path / "a.jxl").pixels / 257, expected, atol=0.1)


def test_profiles_have_a_fixed_date():
    first = read_picture(DATA / "gama.png").icc_profile
    assert first[24:36] == struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
