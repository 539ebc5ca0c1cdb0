"""`swinir-jax restore`: results, options and failures of single pictures and folders."""

import dataclasses
import errno
import os
import re
from pathlib import Path

import numpy as np
import pytest
from goldens import TINY, checkpoints, params_of

from swinir_jax import machine
from swinir_jax.checkpoints.store import save_model
from swinir_jax.cli.main import main
from swinir_jax.images import Picture, read_picture, write_picture


def picture(name="photo.png", shape=(20, 30, 3), dtype=np.uint8, alpha=None, **options):
    values = np.random.default_rng(0).random(shape)
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    write_picture(name, Picture((values * np.iinfo(dtype).max).astype(dtype), alpha, **options))
    return name


def errors(capsys):
    return [line for line in capsys.readouterr().err.splitlines() if "error" in line or "failed" in line]


def test_restore_writes_an_enlarged_photograph(model, capsys):
    assert main(["restore", picture(dpi=(72.0, 72.0)), "--model", model, "--out", "restored"]) == 0
    restored = read_picture("restored/photo.png")
    assert restored.pixels.shape == (40, 60, 3)
    assert restored.dpi == pytest.approx((72, 72), abs=0.1)
    assert re.search(
        r"photo\.png 30x20 -> restored/photo\.png 60x40 \(read .* restore .* write ", capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("name", "options", "shape"),
    [
        ("gray.png", {"shape": (20, 30)}, (40, 60)),
        ("deep.png", {"dtype": np.uint16}, (40, 60, 3)),
        ("deep.tif", {"dtype": np.uint16, "shape": (20, 30)}, (40, 60)),
        ("clear.webp", {"alpha": np.full((20, 30), 7, np.uint8)}, (40, 60, 3)),
    ],
)
def test_results_have_the_kind_of_the_input(model, name, options, shape):
    assert main(["restore", picture(name, **options), "--model", model, "--out", "out"]) == 0
    before, after = read_picture(name), read_picture(f"out/{name}")
    assert (after.pixels.dtype, after.pixels.shape) == (before.pixels.dtype, shape)
    assert (after.alpha is None) == (before.alpha is None)
    if after.alpha is not None:
        assert (after.alpha == 7).all()


def test_bad_files_in_a_folder_exit_with_1(model, capsys):
    for name in ("in/a.png", "in/c.png"):
        picture(name)
    with open("in/b.png", "wb") as file:
        file.write(b"this is text")
    with open("in/d.png", "wb") as file, open("in/a.png", "rb") as good:
        file.write(good.read()[:-300])
    assert main(["restore", "in", "--model", model, "--out", "out"]) == 1
    assert sorted(os.listdir("out")) == ["a.png", "c.png"]
    failed = errors(capsys)
    assert len(failed) == 2
    assert all(re.match(r"failed: in/[bd]\.png: ", line) for line in failed)


def test_skip_existing_and_compare(model, capsys):
    picture("in/a.png"), picture("in/b.png", (10, 10))
    assert main(["restore", "in", "--model", model, "--out", "out", "--compare"]) == 0
    assert read_picture("out/compare/b.png").pixels.shape == (20, 44, 3)
    before = os.stat("out/a.png").st_mtime_ns
    assert main(["restore", "in", "--model", model, "--out", "out", "--skip-existing"]) == 0
    assert os.stat("out/a.png").st_mtime_ns == before
    assert "out/a.png: exists, skipped" in capsys.readouterr().err


OPTIONS = [
    ["--tile", "16", "--overlap", "8"],
    ["--tile", "16", "--overlap", "8", "--blend", "average"],
    ["--pad", "official"],
    ["--self-ensemble"],
    ["--dtype", "bfloat16"],
    ["--img-range", "2"],
    ["--qk-scale", "0.9"],
]


@pytest.fixture
def processor(tmp_path, monkeypatch):
    """Returns a function that gives this processor units by their names in Linux, and its vendor's name."""

    def pretend(*units, vendor="AuthenticAMD"):
        lines = ["processor\t: 0", f"vendor_id\t: {vendor}", f"flags\t\t: fpu {' '.join(units)} avx2", ""]
        (tmp_path / "cpuinfo").write_text("\n".join(lines))
        monkeypatch.setattr(machine, "_CPU_INFO", tmp_path / "cpuinfo")

    return pretend


def test_every_option_changes_the_result(model, processor):
    processor("avx512_bf16")
    source, results = picture(), set()
    for options in ([], *OPTIONS):
        assert main(["restore", source, "--model", model, "--out", "out.png", *options]) == 0
        results.add(read_picture("out.png").pixels.tobytes())
    assert len(results) == 1 + len(OPTIONS)


@pytest.mark.parametrize(("vendor", "units"), [("AuthenticAMD", []), ("GenuineIntel", ["avx512_bf16"])])
def test_bfloat16_becomes_float32_where_it_gains_nothing(model, processor, capsys, vendor, units):
    processor(*units, vendor=vendor)
    source = picture()
    assert main(["restore", source, "--model", model, "--out", "coarse.png", "--dtype", "bfloat16"]) == 0
    assert "no faster in bfloat16" in capsys.readouterr().err
    assert main(["restore", source, "--model", model, "--out", "out.png"]) == 0
    assert Path("coarse.png").read_bytes() == Path("out.png").read_bytes()


def test_a_lower_quality_makes_a_smaller_file(model):
    sizes = []
    for options in ([], ["--quality", "95"], ["--quality", "30"]):
        assert main(["restore", picture(), "--model", model, "--out", "out.jpg", *options]) == 0
        sizes.append(os.path.getsize("out.jpg"))
    assert sizes[0] == sizes[1] > 2 * sizes[2]


def test_notes_are_printed(model, capsys):
    main(["restore", picture("gray.png", (20, 30)), "--model", model, "--out", "out"])
    assert "gray, restored as three equal channels" in capsys.readouterr().err


def text_as_png():
    with open("text.png", "w") as file:
        file.write("hello")
    return "text.png"


def empty_file():
    open("empty.png", "w").close()
    return "empty.png"


def empty_folder():
    os.mkdir("nothing")
    return "nothing"


@pytest.mark.parametrize(
    ("source", "code"),
    [(lambda: "none.png", 2), (empty_folder, 2), (lambda: "*.gif", 2), (text_as_png, 3), (empty_file, 3)],
)
def test_bad_sources_are_named_in_one_line(model, capsys, source, code):
    assert main(["restore", source(), "--model", model, "--out", "out"]) == code
    assert len(errors(capsys)) == 1


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--model", "lightwait_x2"], "lightweight_x2"),
        (["--model", str(checkpoints() / "malicious.pth")], r"malicious\.pth"),
        (["--tile", "4"], "smaller than the window"),
        (["--quality", "0"], "--quality must be"),
        (["--model", "x" * 300], "too long"),
        (["--out", "photo.png/out"], "cannot be written"),
    ],
)
def test_bad_options_exit_with_2_in_one_line(capsys, options, word):
    assert main(["restore", picture(), "--out", "out", *options]) == 2
    [line] = errors(capsys)
    assert re.search(word, line)


def test_folder_in_the_place_of_a_result_is_refused(model, capsys):
    os.makedirs("out/photo.png")
    assert main(["restore", picture(), "--model", model, "--out", "out"]) == 3
    [line] = errors(capsys)
    assert "out/photo.png" in line
    assert os.listdir("out/photo.png") == []


def test_full_disk_stops_the_run(model, capsys, monkeypatch):
    picture("in/a.png"), picture("in/b.png")

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert main(["restore", "in", "--model", model, "--out", "out"]) == 3
    printed = capsys.readouterr().err.splitlines()
    [line] = [line for line in printed if line.startswith("failed: ")]
    assert "No space left" in line
    assert printed[-1].endswith("2 not restored: in/a.png, in/b.png")
    assert os.listdir("out") == []


def test_ctrl_c_leaves_no_half_written_file(model, monkeypatch):
    source = picture()

    def interrupt(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    assert main(["restore", source, "--model", model, "--out", "out"]) == 130
    assert os.listdir("out") == []


def test_option_of_the_wrong_type_exits_with_2_in_one_line(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["restore", "photo.png", "--out", "out", "--tile", "many"])
    [line] = capsys.readouterr().err.splitlines()
    assert "--tile: must be auto or a number of pixels, not 'many'" in line


def test_huge_tiles_are_allowed(model):
    assert main(["restore", picture(), "--model", model, "--out", "out", "--tile", "999999999999"]) == 0


def test_image_that_cannot_be_tiled_is_named(capsys, tmp_path):
    config = dataclasses.replace(TINY, in_chans=1)
    save_model("gray", params_of(config), config)
    options = ["--pad", "official", "--tile", "64", "--overlap", "32"]
    assert main(["restore", picture(shape=(10, 90)), "--model", "gray", "--out", "out", *options]) == 3
    assert errors(capsys) == ["failed: photo.png: An image of 90x10 is too narrow for an overlap of 32."]
