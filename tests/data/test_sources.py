import io
import json
import logging

import numpy as np
import pytest
from image_sources import open_source
from picture_files import make_pixels
from PIL import Image

from swinir_jax.data.config import DataConfig, Degradation
from swinir_jax.data.degradations import imresize
from swinir_jax.data.folders import find_images
from swinir_jax.data.image_source import UsableImages
from swinir_jax.data.pipeline import TrainingBatches
from swinir_jax.data.records import RecordSource, decode, write_records
from swinir_jax.data.sources import open_pairs, usable_images
from swinir_jax.errors import InputError
from swinir_jax.evaluation.protocol import evaluate
from swinir_jax.images import Picture, write_picture


def save(path, h=20, w=24, channels=3):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = make_pixels(channels, h=h, w=w)
    write_picture(path, Picture(pixels))
    return pixels


def test_nested_folders_without_hidden_files(tmp_path):
    for name in ("b/x/2.png", "b/1.jpg", "a.PNG", ".thumbnails/a.png", "b/.c.png"):
        save(tmp_path / "all.png")
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((tmp_path / "all.png").read_bytes())
    (tmp_path / "b/x/readme.png.txt").write_text("of the pictures")
    images = find_images(tmp_path)
    found = [str(file.relative_to(tmp_path)) for file, _ in images.pairs]
    assert found == ["a.PNG", "all.png", "b/1.jpg", "b/x/2.png"]
    assert images.left_out == f"1 left out, not a picture: {tmp_path}/b/x/readme.png.txt"
    source = open_source(f"folder:{tmp_path}", scale=2)
    assert len(source) == 4
    assert source.name(2) == str(tmp_path / "b/1.jpg")
    assert source.sizes(0) == ((20, 24), None)


def test_pairs_of_folders(tmp_path):
    hq, lq = save(tmp_path / "hq/a.png"), save(tmp_path / "lq/X2/ax2.png", 10, 12)
    source = open_source(f"folder:{tmp_path}/hq,{tmp_path}/lq", scale=2)
    assert source.sizes(0) == ((20, 24), (10, 12))
    for got, expected in zip(source.read(0), (hq, lq), strict=True):
        np.testing.assert_array_equal(got, expected)
    assert usable_images(source, side=16, scale=2, skip_small=False) == {0: ((20, 24), (10, 12))}


def test_linked_folders_are_followed_and_other_files_are_logged(tmp_path, caplog):
    save(tmp_path / "Flickr2K/deep/1.png"), save(tmp_path / "DF2K/0.png")
    (tmp_path / "Flickr2K/index.html").write_text("<html>")
    (tmp_path / "DF2K/Flickr2K").symlink_to(tmp_path / "Flickr2K")
    (tmp_path / "Flickr2K/circle").symlink_to(tmp_path / "DF2K")
    source = open_source(f"folder:{tmp_path}/DF2K", scale=2)
    names = [source.name(i).removeprefix(f"{tmp_path}/") for i in range(len(source))]
    assert names == ["DF2K/0.png", "DF2K/Flickr2K/deep/1.png"]
    assert caplog.messages == [f"{tmp_path}/DF2K: 1 left out, not a picture: {tmp_path}/DF2K/Flickr2K/index.html"]


def test_several_places_are_one_source(tmp_path, records):
    folder, images = records
    hq, _ = save(tmp_path / "hq/a.png"), save(tmp_path / "lq/a_LR4.png", 10, 12)
    pixels = save(tmp_path / "sun, sea/b.png", 12, 12)
    text = f"folder:{tmp_path}/hq,{tmp_path}/lq,folder:{folder}:0.5," + rf"folder:{tmp_path}/sun\, sea"
    source = open_source(text, scale=2, pairs="{}_LR4")
    assert len(source) == 5
    assert [source.sizes(i)[0] for i in range(5)] == [(20, 24), (9, 14), (10, 14), (11, 14), (12, 12)]
    assert [source.sizes(i)[1] for i in range(5)] == [(10, 12), None, None, None, None]
    assert source.name(1) == "image 0"
    for i, expected in ((0, hq), (2, images[1][1]), (4, pixels)):
        np.testing.assert_array_equal(source.read(i)[0], expected)


def test_a_template_needs_an_lq_folder(tmp_path):
    save(tmp_path / "hq/a.png")
    with pytest.raises(InputError, match=r"\{\}_LR4.* needs an LQ folder: --data\.hq folder:HQ,LQ"):
        open_source(f"folder:{tmp_path}/hq", scale=2, pairs="{}_LR4")


def test_lq_files_outside_the_template_are_counted(tmp_path, caplog):
    save(tmp_path / "hq/a.png"), save(tmp_path / "lq/X2/ax2.png", 10, 12), save(tmp_path / "lq/X3/ax3.png", 6, 8)
    source = open_source(f"folder:{tmp_path}/hq,{tmp_path}/lq", scale=2, pairs="X2/{}x2")
    assert source.sizes(0) == ((20, 24), (10, 12))
    assert caplog.messages == [f"{tmp_path}/hq: 1 left out in {tmp_path}/lq, not named X2/{{}}x2"]


def test_a_colon_that_may_belong_to_the_name_is_mentioned(tmp_path):
    save(tmp_path / "scan:2/a.png")
    with pytest.raises(
        InputError, match=r"scan: no such folder \(with the weight 2; write \\: for a colon in a name\)"
    ):
        open_source(f"folder:{tmp_path}/scan:2", scale=2)
    assert len(open_source(rf"folder:{tmp_path}/scan\:2", scale=2)) == 1


@pytest.mark.parametrize("kind", ["path", "file", "folder", "pairs", "records"])
def test_images_to_measure_may_come_from_any_place(tmp_path, records, kind):
    hq, lq = save(tmp_path / "hq/deep/a.png", 33, 36), save(tmp_path / "lq/deep/a_q.png", 17, 18)
    folder, _ = records
    text, template = {
        "path": (f"{tmp_path}/hq", ""),
        "file": (f"{tmp_path}/hq/deep/a.png", ""),
        "folder": (f"folder:{tmp_path}/hq", ""),
        "pairs": (f"folder:{tmp_path}/hq,{tmp_path}/lq", "{}_q"),
        "records": (f"folder:{folder}/large", ""),
    }[kind]
    write_records(folder / "large", [("b.png at row 0", hq)])
    seen = []

    def network(image):
        seen.append(image)
        return image.repeat(2, axis=0).repeat(2, axis=1)

    pairs = [*open_pairs(text, scale=2, pairs=template, option="--validation.hq")]
    [(result, shown)] = evaluate("classical_sr", 2, network, pairs)
    assert result.name == ("b.png_at_row_0" if kind == "records" else "a")
    np.testing.assert_array_equal(shown.hq, hq[:32])
    expected = lq[:16] if kind == "pairs" else imresize(hq[:32], 1 / 2)
    np.testing.assert_allclose(seen[0], expected / 255, atol=1e-6)


def test_images_to_measure_are_checked(tmp_path):
    save(tmp_path / "hq/a.png"), save(tmp_path / "lq/a.png", 9, 12)
    with pytest.raises(InputError, match="the LQ image of 12x9, enlarged by 2, is not 24x20"):
        [*open_pairs(f"folder:{tmp_path}/hq,{tmp_path}/lq", scale=2, option="--validation.hq")]
    with pytest.raises(InputError, match=r"--validation\.hq must be folder:PATH"):
        [*open_pairs("folder:", scale=2, option="--validation.hq")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "--data.hq must be folder:PATH"),
        ("folder:", "--data.hq must be folder:PATH"),
        ("photos", "got 'photos'"),
        ("zip:photos", "got 'zip:photos'"),
        ("folder:{0}/none", "none: no such folder"),
        ("folder:{0}/good/a.png", "a.png: no such folder"),
        ("folder:{0}/empty", "empty: no images"),
        ("folder:{0}/good,{0}/none", "none: no such folder"),
        ("folder:{0}/good,{0}/other", "a.png has no partner"),
    ],
)
def test_unusable_sources_are_refused(tmp_path, text, message):
    save(tmp_path / "good/a.png"), save(tmp_path / "other/b.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=message) as caught:
        open_source(text.format(tmp_path), scale=2)
    assert "\n" not in str(caught.value)


def test_unreadable_files_are_named_at_the_start(tmp_path):
    for name in "abcdefg":
        save(tmp_path / f"{name}.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    for name in "cdef":
        (tmp_path / f"{name}.png").write_bytes(b"")
    source = open_source(f"folder:{tmp_path}", scale=1)
    with pytest.raises(
        InputError, match=r"b\.png: not a PNG.*; .*c\.png: .*; .*d\.png: .*; and 2 more; swinir-jax prep"
    ):
        usable_images(source, side=8, scale=1, skip_small=True)


@pytest.mark.parametrize(("lq", "scale"), [((10, 12), 3), ((11, 12), 2), ((12, 10), 2)])
def test_pairs_with_other_sizes_are_named(tmp_path, lq, scale):
    save(tmp_path / "hq/a.png"), save(tmp_path / "lq/a.png", *lq)
    source = open_source(f"folder:{tmp_path}/hq,{tmp_path}/lq", scale=scale)
    with pytest.raises(
        InputError, match=rf"hq/a\.png: the LQ image of {lq[1]}x{lq[0]}, enlarged by {scale}, is not 24x20"
    ):
        usable_images(source, side=8, scale=scale, skip_small=True)


@pytest.mark.parametrize("lq", [(10, 12), (10, 13), (11, 12), (11, 13)])
def test_lq_sides_may_be_rounded_up(tmp_path, lq):
    save(tmp_path / "hq/a.png", 21, 25), save(tmp_path / "lq/a.png", *lq)
    source = open_source(f"folder:{tmp_path}/hq,{tmp_path}/lq", scale=2)
    assert usable_images(source, side=8, scale=2, skip_small=False) == {0: ((21, 25), lq)}


@pytest.mark.parametrize("side", ["hq", "lq"])
def test_an_image_with_a_changed_size_is_not_read(tmp_path, side):
    save(tmp_path / "hq/a.png"), save(tmp_path / "lq/a.png", 10, 12)
    source = open_source(f"folder:{tmp_path}/hq,{tmp_path}/lq", scale=2)
    images = UsableImages(source, usable_images(source, side=8, scale=2, skip_small=False))
    images.read(0)
    save(tmp_path / side / "a.png", 40, 44)
    with pytest.raises(InputError, match=r"hq/a\.png: .*44x40.*, at the start 24x20 with LQ of 12x10"):
        images.read(0)


def test_small_images_are_an_error_or_left_out(tmp_path, caplog):
    for i, side in enumerate((31, 40, 32, 16)):
        save(tmp_path / f"{i}.png", 50, side)
    source = open_source(f"folder:{tmp_path}", scale=2)
    with pytest.raises(
        InputError, match=r"0\.png: 31x50 is smaller than a patch of 32x32; .*3\.png: .*--data.skip-small"
    ):
        usable_images(source, side=32, scale=2, skip_small=False)
    with pytest.raises(InputError, match=r"take a smaller --data.patch-size\.$"):  # to skip all images is no remedy
        usable_images(source, side=64, scale=2, skip_small=True)
    with caplog.at_level(logging.WARNING, "swinir_jax"):
        assert usable_images(source, side=32, scale=2, skip_small=True) == {1: ((50, 40), None), 2: ((50, 32), None)}
    assert caplog.messages == [
        f"2 of 4 images skipped: {tmp_path}/0.png: 31x50 is smaller than a patch of 32x32; "
        f"{tmp_path}/3.png: 16x50 is smaller than a patch of 32x32"
    ]
    with pytest.raises(InputError, match="and 1 more"):
        usable_images(source, side=64, scale=2, skip_small=True)


@pytest.fixture
def records(tmp_path):
    images = [(f"image {i}", make_pixels(channels, h=9 + i, w=14)) for i, channels in enumerate((3, 0, 3))]
    write_records(tmp_path / "records", images)
    return tmp_path / "records", images


def test_records_keep_names_sizes_and_pixels(records):
    folder, images = records
    source = open_source(f"folder:{folder}", scale=2)
    assert isinstance(source, RecordSource)
    for i, (name, pixels) in enumerate(images):
        assert (source.name(i), source.sizes(i)) == (name, (pixels.shape[:2], None))
        np.testing.assert_array_equal(source.read(i)[0], pixels)
    assert len(source) == 3


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [(np.array([[0, 257 * 3, 65535]], np.uint16), [[0, 3, 255]]), (np.array([[True, False]]), [[255, 0]])],
    ids=["16 bits", "1 bit"],
)
def test_images_of_other_depths_are_decoded_to_8_bits(pixels, expected):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    np.testing.assert_array_equal(decode(file.getvalue()), expected)


def test_records_are_split_into_shards(tmp_path, monkeypatch):
    monkeypatch.setattr("swinir_jax.data.records._SHARD_BYTES", 2000)
    images = [(str(i), np.random.default_rng(i).integers(0, 256, (20, 20, 3), np.uint8)) for i in range(4)]
    count, size = write_records(tmp_path / "out", images)
    assert (count, size // 4 // 100) == (4, 12)
    shards = sorted(tmp_path.glob("out/*.array_record"))
    assert len(shards) > 2
    source = RecordSource(tmp_path / "out")
    for i, (_, pixels) in enumerate(images):
        np.testing.assert_array_equal(source.read(i)[0], pixels)


def flip(path, where):
    data = bytearray(path.read_bytes())
    data[data.index(where) + 30] ^= 1
    path.write_bytes(data)


def test_a_damaged_record_is_named(records):
    folder, _ = records
    flip(folder / "00000.array_record", b"\x89PNG")
    source = RecordSource(folder)
    with pytest.raises(InputError, match=r"image 0: .*mismatch") as caught:
        source.read(0)
    assert "\n" not in str(caught.value)
    assert source.read(1)[0].shape == (10, 14)
    config = DataConfig(degradation=Degradation(kind="noise", low=5, high=5), patch_size=8, hq=f"folder:{folder}")
    batches = TrainingBatches(config, scale=1, channels=3, batch_size=6, seed=0)
    next(batches)
    assert [problem.split(":")[0] for problem in batches.corrupt] == ["image 0"]
    batches.close()


@pytest.mark.parametrize("broken", ["shard", "short", "index", "count"])
def test_incomplete_record_folders_are_refused(records, broken):
    folder, _ = records
    shard, index = folder / "00000.array_record", folder / "records.json"
    if broken == "shard":
        shard.unlink()
    elif broken == "short":
        shard.write_bytes(shard.read_bytes()[:1000])
    elif broken == "index":
        index.write_text("{")
    else:
        index.write_text(json.dumps(json.loads(index.read_text()) | {"names": ["one"]}))
    with pytest.raises(InputError, match="records: ") as caught:
        open_source(f"folder:{folder}", scale=2)
    assert "\n" not in str(caught.value)
