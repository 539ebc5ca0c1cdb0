import json
from pathlib import Path

import numpy as np
import pytest
from array_record.python.array_record_module import ArrayRecordWriter
from image_sources import open_source

from swinir_jax.cli import exit_codes
from swinir_jax.cli.main import main
from swinir_jax.cli.prepare_data import starts
from swinir_jax.data.config import DataConfig, Degradation
from swinir_jax.data.pipeline import TrainingBatches
from swinir_jax.images import Picture, write_picture

OUT = ["--out", "out", "--patch", "16", "--step", "8"]


@pytest.fixture(autouse=True)
def images():
    rng = np.random.default_rng(0)
    shapes = {"in/a.png": (24, 30, 3), "in/deep/b.png": (40, 12), "in/c.tif": (24, 30, 3)}
    pixels = {}
    for name, shape in shapes.items():
        pixels[name] = rng.integers(0, 256, shape, np.uint8)
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        write_picture(name, Picture(pixels[name]))
    return pixels


def damage(name="in/a.png"):
    Path(name).write_bytes(Path(name).read_bytes()[:-500])


def test_summary_of_a_folder(capsys):
    assert main(["prepare-data", "in"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "3 images, 0.0 megapixels, 0 unreadable files",
        "sizes: 2 of 30x24, 1 of 12x40",
        "shortest side: 12 (in/deep/b.png)",
    ]
    assert not Path("out").exists()


def test_unreadable_files_are_named_and_the_exit_code_is_1(capsys):
    damage()
    Path("in/text.png").write_text("hello")
    assert main(["prepare-data", "in"]) == 1
    captured = capsys.readouterr()
    assert "1 of 30x24" in captured.out
    assert "2 unreadable files" in captured.out
    failed = [line for line in captured.err.splitlines() if line.startswith("failed: ")]
    assert [line.split(": ")[1] for line in failed] == ["in/a.png", "in/text.png"]


def test_only_unreadable_files(capsys):
    for name in ("in/a.png", "in/deep/b.png", "in/c.tif"):
        Path(name).write_bytes(b"?")
    assert main(["prepare-data", "in"]) == 3
    assert capsys.readouterr().out == "0 images, 0.0 megapixels, 3 unreadable files\n"
    assert main(["prepare-data", "in", *OUT]) == 3
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("length", "expected"), [(16, [0]), (10, [0]), (17, [0, 1]), (24, [0, 8]), (30, [0, 8, 14]), (32, [0, 8, 16])]
)
def test_sub_images_reach_every_pixel(length, expected):
    assert starts(length, 16, 8) == expected


def test_records_hold_the_sub_images(images, capsys):
    assert main(["prepare-data", "in", *OUT]) == 0
    assert "16 sub-images" in capsys.readouterr().out
    source = open_source("folder:out", scale=2)
    names = [source.name(i) for i in range(len(source))]
    assert names[:2] == ["a.png at row 0, column 0", "a.png at row 0, column 8"]
    assert names[-1] == "deep/b.png at row 24, column 0"
    for i, name in enumerate(names):
        file, _, place = name.partition(" at row ")
        top, left = (int(number) for number in place.split(", column "))
        expected = images[f"in/{file}"][top : top + 16, left : left + 16]
        np.testing.assert_array_equal(source.read(i)[0], expected)
        assert source.sizes(i) == (expected.shape[:2], None)


def test_sub_images_overlap_by_half(capsys):
    assert main(["prepare-data", "in", "--out", "out", "--patch", "16"]) == 0
    assert "16 sub-images" in capsys.readouterr().out  # as with --step 8


def test_records_train_a_network():
    main(["prepare-data", "in", *OUT, "--quiet"])
    config = DataConfig(
        degradation=Degradation(kind="bicubic", low=2, high=2), patch_size=6, hq="folder:out", max_corrupt=0
    )
    batches = TrainingBatches(config, scale=2, channels=3, batch_size=20, seed=0)
    assert next(batches)["hq"].shape == (20, 12, 12, 3)
    batches.close()


def test_unreadable_files_are_left_out_of_the_records():
    damage()
    assert main(["prepare-data", "in", *OUT]) == 1
    assert {name.split(" ")[0] for name in json.loads(Path("out/records.json").read_text())["names"]} == {
        "c.tif",
        "deep/b.png",
    }


def names(folder="out"):
    return [name.split(" at ")[0] for name in json.loads(Path(folder, "records.json").read_text())["names"]]


def test_linked_folders_are_read_and_other_files_counted(capsys):
    Path("joined").mkdir()
    Path("joined/first").symlink_to(Path("in").resolve())
    Path("in/circle").symlink_to(Path("joined").resolve())
    Path("in/notes.txt").write_text("of the pictures")
    Path("in/a.png").rename("in/a.jpg_large")
    assert main(["prepare-data", "joined", *OUT]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 left out, not a picture: joined/first/notes.txt"
    assert sorted(set(names())) == ["first/a.jpg_large", "first/c.tif", "first/deep/b.png"]


@pytest.mark.parametrize("folders", [["in", "more, to come"], [r"folder:in,folder:more\, to come"]])
def test_records_of_several_folders_have_unique_names(images, folders):
    more = {"more, to come/a.png": images["in/a.png"][::-1], "more, to come/deep/b.png": images["in/deep/b.png"]}
    for name, pixels in more.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        write_picture(name, Picture(pixels))
    assert main(["prepare-data", *folders, *OUT, "--quiet"]) == 0
    assert sorted(set(names())) == sorted(images.keys() | more.keys())
    every = json.loads(Path("out/records.json").read_text())["names"]
    assert len(set(every)) == len(every)


def fail(*args):
    raise RuntimeError("write() failed: No space left on device")


def interrupt(*args):
    raise KeyboardInterrupt


@pytest.mark.parametrize(("stop", "code"), [(fail, exit_codes.NOT_WRITABLE), (interrupt, 130)])
def test_interrupted_writing_leaves_nothing(monkeypatch, capsys, stop, code):
    class Writer:
        def __init__(self, path, options):
            self.writer, self.count = ArrayRecordWriter(path, options), 0

        def write(self, record):
            self.count += 1
            stop() if self.count == 4 else self.writer.write(record)

    monkeypatch.setattr("swinir_jax.data.records.ArrayRecordWriter", Writer)
    before = sorted(Path().rglob("*"))
    assert main(["prepare-data", "in", *OUT]) == code
    assert sorted(Path().rglob("*")) == before
    if stop is fail:
        assert "out: cannot be written (write() failed: No space left on device)" in capsys.readouterr().err
    monkeypatch.undo()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["none"], "none: no such folder"),
        (["in/a.png"], "in/a.png: no such folder"),
        (["empty"], "empty: no images in this folder"),
        (["in", "in/deep"], "in/deep/b.png: found more than once"),
        (["folder:in,in"], "without LQ and weights"),
        (["folder:in:2"], "without LQ and weights"),
        (["tfds:div2k"], "without LQ and weights"),
        (["folder:"], "FOLDER must be folder:PATH"),
        (["in", "--patch", "0"], "--patch must be at least 1, got 0"),
        (["in", "--step", "-1"], "--step must be at least 1, got -1"),
        (["in", "--patch", "16"], "--patch and --step need --out"),
        (["in", "--threads", "0"], "--threads must be at least 1, got 0"),
        (["in", "--out", "in"], "in: exists; choose a new folder"),
        (["in", "--out", "in/a.png"], "in/a.png: exists; choose a new folder"),
    ],
)
def test_bad_options_are_refused(capsys, command, message):
    Path("empty").mkdir()
    assert main(["prepare-data", *command]) == 2
    [line] = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert message in line


def test_a_target_within_a_file_has_an_exit_code_of_its_own(capsys):
    assert main(["prepare-data", "in", "--out", "in/a.png/out"]) == exit_codes.NOT_WRITABLE
    assert "in/a.png: cannot be written" in capsys.readouterr().err


def test_empty_folder_is_accepted_as_target():
    Path("out").mkdir()
    assert main(["prepare-data", "in", *OUT, "--quiet"]) == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["00000.array_record", "records.json"]
