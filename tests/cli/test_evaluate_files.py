"""Files that `swinir-jax evaluate` measures, and their names."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from swinir_jax import files
from swinir_jax.cli.main import main
from swinir_jax.data.degradations import imresize
from swinir_jax.images import Picture, read_picture, write_picture
from swinir_jax.tasks import PAD

SR = ["evaluate", "--task", "classical_sr", "--scale", "2", "--model", "bicubic"]


def save(name, pixels):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    write_picture(name, Picture(pixels))


def photo(name, h=24, w=28):
    """Writes a smooth picture; names of different lengths give different pictures."""
    y, x, c = np.meshgrid(*(np.linspace(0, 3, n) for n in (h, w, 3)), indexing="ij")
    pixels = (127 + 100 * np.sin(3 * x + y + len(name)) * np.cos(2 * y - x + c)).astype(np.uint8)
    save(name, pixels)
    return pixels


def names():
    return [image["name"] for image in json.loads(Path("e.json").read_text())["images"]]


def test_subfolders_and_linked_folders_are_measured(capsys):
    photo("elsewhere/a.png"), photo("set/b/a.png"), photo("set/a.jpg_large.png")
    Path("set/a.jpg_large.png").rename("set/a.jpg_large")
    Path("set/joined").symlink_to(Path("elsewhere").resolve())
    Path("elsewhere/circle").symlink_to(Path("set").resolve())
    Path("set/notes.txt").write_text("of the pictures")
    assert main([*SR, "--hq", "set", "--json", "e.json", "--save", "out"]) == 0
    assert names() == ["a", "b/a", "joined/a"]
    assert all(read_picture(f"out/{name}.png").pixels.shape == (24, 28, 3) for name in names())
    assert capsys.readouterr().out.splitlines()[-1] == "1 left out, not a picture: set/notes.txt"


def test_template_selects_the_lq_files(capsys):
    for name in ("a/1", "b/1"):
        lq = imresize(photo(f"hq/{name}.png"), 1 / 2)
        save(f"lq/X2/{name}_LR.png", lq)
        save(f"lq/X2/{name}_noisy.png", 255 - lq)
    command = [*SR, "--hq", "hq", "--lq", "lq", "--json", "e.json"]
    assert main([*command, "--pairs", "X2/{}_LR"]) == 0
    assert names() == ["a/1", "b/1"]
    assert json.loads(Path("e.json").read_text())["average"]["psnr"] > 25  # no picture with another's LQ
    assert capsys.readouterr().out.splitlines()[-1] == "2 left out in lq, not named X2/{}_LR"
    assert main(command) == 2
    assert "such as --pairs {}_LR4" in capsys.readouterr().err


@pytest.mark.parametrize("sides", [(12, 14), (13, 14), (13, 15)])
def test_lq_with_sides_rounded_up_is_cropped_to_hq(sides):
    y, x = np.meshgrid(np.arange(26), np.arange(30), indexing="ij")
    whole = np.stack([4 * y, 4 * x, 2 * (x + y)], axis=-1).astype(np.uint8)
    save("hq/a.png", whole[:25, :29])
    save("lq/a.png", imresize(whole, 1 / 2)[: sides[0], : sides[1]])
    assert main([*SR, "--hq", "hq", "--lq", "lq", "--json", "e.json", "--save", "out", "--quiet"]) == 0
    np.testing.assert_array_equal(
        read_picture("out/a.png").pixels[2:-2, 2:-2], whole[2:22, 2:26]
    )  # bicubic interpolation restores a ramp
    assert json.loads(Path("e.json").read_text())["average"]["psnr"] is None  # infinite


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--hq", "hq", "--pairs", "{}x2"], "needs a folder of LQ images"),
        (["--hq", "hq", "--save", "hq/restored"], "holds the images that are measured"),
        (["--hq", "notes"], "notes: no images in this folder (1 left out, not a picture: notes/a.txt)"),
        (["--hq", "hq", "--lq", "none"], "none: no such folder"),
    ],
)
def test_bad_folders_are_refused(capsys, options, message):
    photo("hq/a.png")
    Path("notes").mkdir()
    Path("notes/a.txt").write_text("of the pictures")
    assert main([*SR, *options]) == 2
    assert message in capsys.readouterr().err


def test_images_of_equal_names_are_measured_under_their_full_names():
    for name in ("set/a.png", "set/a.bmp", "set/a.bmp.png", "set/b.png"):
        photo(name)
    full = ["a.bmp", "a.bmp.png", "a.png", "b"]
    assert main([*SR, "--hq", "set", "--json", "e.json", "--save", "out", "--quiet"]) == 0
    assert names() == full
    assert sorted(path.name for path in Path("out").iterdir()) == [f"{name}.png" for name in full]
    real_sr = ["evaluate", "--task", "real_sr", "--scale", "2", "--model", "bicubic"]
    assert main([*real_sr, "--lq", "set", "--json", "e.json", "--quiet"]) == 0
    assert names() == full


def test_pairs_of_equal_names_are_found_by_their_full_names():
    for name in ("a.png", "a.bmp"):
        save(f"lq/{name}", imresize(photo(f"hq/{name}"), 1 / 2))
    assert main([*SR, "--hq", "hq", "--lq", "lq", "--json", "e.json", "--quiet"]) == 0
    assert names() == ["a.bmp", "a.png"]


def test_images_that_cannot_be_measured_are_left_out_of_the_averages(capsys):
    photo("set/a.png"), photo("set/b.png"), photo("set/d.png", 4, 4)
    Path("set/b.png").write_bytes(Path("set/b.png").read_bytes()[:-100])
    Path("set/c.png").write_text("no picture")
    assert main([*SR, "--hq", "set", "--json", "e.json", "--csv", "e.csv"]) == 1
    printed = capsys.readouterr()
    failed = [line.split(": ")[1] for line in printed.err.splitlines() if line.startswith("failed: ")]
    assert failed == ["set/b.png", "set/c.png", "set/d.png"]
    assert printed.err.splitlines()[-1] == "3 of 4 images left out of the averages: b, c, d"
    report = json.loads(Path("e.json").read_text())
    assert (names(), report["failed"]) == (["a"], ["b", "c", "d"])
    assert Path("e.csv").read_text().splitlines()[-1].startswith("average,")
    assert report["protocol"]["images"] == 1
    assert main([*SR, "--hq", "set/a.png", "--json", "e.json", "--quiet"]) == 0
    again = json.loads(Path("e.json").read_text())
    assert (again["average"], again["failed"]) == (report["average"], [])


@pytest.mark.parametrize("option", ["--save", "--report"])
def test_a_full_disk_keeps_the_scores_of_images_that_are_written(capsys, monkeypatch, option):
    photo("set/a.png"), photo("set/b.png")
    write = files.write_bytes

    def full(target, data):
        if target.name in ("b.png", "001_result.png"):
            raise files.cannot_write(target, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        write(target, data)

    monkeypatch.setattr("swinir_jax.images.writing.write_bytes", full)
    assert main([*SR, "--hq", "set", option, "out", "--json", "e.json"]) == 1
    assert capsys.readouterr().err.splitlines()[0].endswith("cannot be written (No space left on device).")
    assert (names(), json.loads(Path("e.json").read_text())["failed"]) == (["a"], ["b"])


def test_an_image_for_which_the_memory_does_not_suffice_is_left_out(capsys, monkeypatch):
    photo("set/a.png"), photo("set/b.png", 40, 40)

    def enlarge(lq):
        if lq.shape[0] == 20:
            raise MemoryError
        return imresize(lq.astype(np.float64), 2.0)

    monkeypatch.setattr("swinir_jax.cli.evaluate.baseline", lambda name, scale: enlarge)
    assert main([*SR, "--hq", "set", "--json", "e.json"]) == 1
    assert capsys.readouterr().err.splitlines()[0] == "failed: set/b.png: not enough memory."
    assert (names(), json.loads(Path("e.json").read_text())["failed"]) == (["a"], ["b"])


def test_set_without_a_measured_image_exits_with_3(capsys):
    Path("set").mkdir()
    Path("set/a.png").write_text("no picture")
    assert main([*SR, "--hq", "set", "--json", "e.json"]) == 3
    assert capsys.readouterr().err.splitlines()[-1] == "None of the 1 images could be measured."
    content = json.loads(Path("e.json").read_text())
    assert (content["images"], content["average"], content["failed"]) == ([], {}, ["a"])


@pytest.mark.parametrize("option", ["--json", "--csv"])
@pytest.mark.parametrize("name", ["set/a.png", "link.png"])
def test_measured_images_are_never_replaced(capsys, option, name):
    photo("set/a.png")
    Path("link.png").symlink_to("set/a.png")
    before = Path("set/a.png").read_bytes()
    assert main([*SR, "--hq", "set", option, name]) == 2
    assert f"{name}: is one of the images that are measured" in capsys.readouterr().err
    assert Path("set/a.png").read_bytes() == before


def test_one_file_for_two_kinds_of_results_is_refused(capsys):
    photo("set/a.png")
    assert main([*SR, "--hq", "set", "--json", "s/e", "--csv", "s/../s/e"]) == 2
    assert "--json and --csv name one file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--save", "out", "--csv", "out/a.png"], "out/a.png: is a file that --save writes"),
        (["--report", "out", "--json", "out/../out/index.html"], "index.html: is a file that --report writes"),
    ],
)
def test_scores_in_place_of_other_results_are_refused(capsys, options, message):
    photo("set/a.png")
    assert main([*SR, "--hq", "set", *options]) == 2
    assert message in capsys.readouterr().err
    assert not Path("out").exists()


def test_degradation_of_given_lq_files_is_unknown(capsys):
    save("lq/a.png", imresize(photo("hq/a.png"), 1 / 2))
    for lq, degradation in ((["--lq", "lq"], "unknown: LQ files are given"), ([], "Y is rounded")):
        assert main([*SR, "--hq", "hq", *lq, "--json", "e.json"]) == 0
        assert f"degradation {degradation}" in capsys.readouterr().out
        assert json.loads(Path("e.json").read_text())["protocol"]["degradation"].startswith(degradation)


def test_networks_in_turn_are_measured_as_they_restore(model):
    photo("set/a.png")
    command = ["--model", f"{model},{model}", "--tile", "0", "--quiet"]
    lq = ["--task", "real_sr", "--scale", "4", "--lq", "set", "--save", "out", "--json", "e.json"]
    assert main(["evaluate", *lq, *command, "--qk-scale", "0.4"]) == 0
    protocol = json.loads(Path("e.json").read_text())["protocol"]
    assert (protocol["model"], protocol["qk_scale"]) == (f"{model},{model}", 0.4)
    assert not {"img_range", "shift", "strength"} & protocol.keys()  # as the models have them
    command += ["--qk-scale", "0.4", "--pad", PAD]
    assert main(["restore", "set/a.png", "--out", "twice.png", *command]) == 0
    np.testing.assert_array_equal(read_picture("out/a.png").pixels, read_picture("twice.png").pixels)


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ("{0},{0}", "enlarges by 4, not by 2."),
        ("{0},", "a name is empty"),
        ("bicubic,{0}", "bicubic: no such file"),
    ],
)
def test_networks_that_do_not_fit_are_refused(model, capsys, models, message):
    photo("set/a.png")
    code = main(["evaluate", "--task", "real_sr", "--scale", "2", "--lq", "set", "--model", models.format(model)])
    assert code == 2
    assert message in capsys.readouterr().err
