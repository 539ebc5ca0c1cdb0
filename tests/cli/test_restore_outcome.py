"""`swinir-jax restore`: where results go, what is told and shown, networks by name, parts of the work."""

import io
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from picture_files import make_pixels, pillow_bytes, put

from swinir_jax.checkpoints.pretrained import load_pretrained
from swinir_jax.cli import viewer
from swinir_jax.cli.main import main
from swinir_jax.cli.model_options import split_names
from swinir_jax.images import Picture, read_picture, write_picture
from swinir_jax.inference import engine, files
from swinir_jax.inference.chain import NetworkChain

PNG = pillow_bytes(make_pixels(3), "PNG")
JPEG = pillow_bytes(make_pixels(3), "JPEG")


@pytest.fixture
def run(model, capfd):
    """Returns a function that runs the command; returns exit code, lines of standard error, and standard output."""

    def run(*arguments, named=model):
        code = main(["restore", *(["--model", named] if named else []), *arguments])
        captured = capfd.readouterr()
        return code, captured.err.splitlines(), captured.out

    return run


@pytest.fixture
def unchanged(monkeypatch):
    """Lets pictures through without a network."""
    monkeypatch.setattr(files, "restore_picture", lambda picture, restorer: picture)


def found(folder):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


def test_results_go_into_a_folder_of_their_own_by_default(run, unchanged):
    put("in/a.png"), put("in/b.jpg", JPEG)
    code, lines, _ = run("in")
    assert (code, found("restored")) == (0, ["a.png", "b.png"])
    assert re.fullmatch(r"2 of 2 pictures, [\d.]+ s, in restored/", lines[-1])
    code, lines, _ = run("restored")
    assert (code, lines[-1]) == (
        2,
        "swinir-jax: error: restored: its pictures are inputs; choose another folder for the results (--out).",
    )


def test_standard_input_alone_goes_to_standard_output(run, unchanged, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(PNG)))
    stdout = io.TextIOWrapper(io.BytesIO())
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", stdout)
        assert run("-")[0] == 0
    assert stdout.buffer.getvalue().startswith(b"\x89PNG")
    assert os.listdir() == []
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(PNG)))
    assert run("-", put("a.png"))[0] == 0
    assert found("restored") == ["a.png", "stdin.png"]


def test_outcomes_as_json_are_alone_on_standard_output(run, model):
    put("in/a.png"), put("in/b.png", b"no picture"), put("in/c.png"), put("out/c.png")
    code, lines, out = run("in", "none.png", "--out", "out", "--skip-existing", "--json")
    assert code == 1
    told = json.loads(out)
    assert told.keys() == {"networks", "scale", "reason", "error", "seconds", "pictures"}
    assert (told["networks"], told["scale"], told["reason"], told["error"]) == ([model], 2, "named by --model", None)
    pictures = {picture.pop("input"): picture for picture in told["pictures"]}
    assert pictures["in/a.png"].pop("seconds") > 0
    assert pictures["in/a.png"] == {"output": "out/a.png", "state": "restored", "error": None}
    assert pictures["in/c.png"] == {"output": "out/c.png", "state": "skipped", "seconds": None, "error": None}
    assert pictures["none.png"] == {
        "output": None, "state": "failed", "seconds": None, "error": "no such file or folder."
    }  # fmt: skip
    assert pictures["in/b.png"]["state"] == "failed"
    assert "not a PNG" in pictures["in/b.png"]["error"]
    assert len(lines) > 3
    quiet = json.loads(run("in", "none.png", "--out", "out", "--skip-existing", "--json", "--quiet")[2])
    assert len(quiet["pictures"]) == 4


def test_shards_together_do_what_one_run_does(run, unchanged):
    for name in ("a.jpg", "a.png", "a.jpg.png", *(f"deep/{i}.jpg" for i in range(4))):
        put(f"in/{name}", JPEG)
    assert run("in", "--recursive", "--out", "whole")[0] == 0
    counts = []
    for i in range(1, 4):
        code, lines, _ = run("in", "--recursive", "--out", "parts", "--shard", f"{i}/3")
        assert code == 0
        counts.append(int(re.fullmatch(rf"(\d) of \1 pictures, .* s, in parts/, shard {i}/3", lines[-1])[1]))
    assert sum(counts) == 7
    assert max(counts) < 7
    assert found("parts") == found("whole")
    for name in found("whole"):
        assert Path("parts", name).read_bytes() == Path("whole", name).read_bytes()


def test_a_bad_picture_fails_in_one_shard_and_an_empty_shard_is_no_error(run):
    put("in/bad.png", b"no picture")
    codes = [run("in", "--shard", f"{i}/5")[0] for i in range(1, 6)]
    assert sorted(codes) == [0, 0, 0, 0, 3]
    assert not os.path.exists("restored/bad.png")


@pytest.mark.parametrize(("names", "shown"), [(["a.png"], "out/a.png"), (["a.png", "b.png"], "out")])
def test_the_result_or_the_folder_is_opened(run, unchanged, monkeypatch, names, shown):
    opened = []
    monkeypatch.setattr(viewer.sys, "platform", "linux")
    monkeypatch.setattr(viewer.shutil, "which", lambda program: f"/bin/{program}")
    monkeypatch.setattr(viewer.subprocess, "Popen", lambda command, **options: opened.append(command))
    for name in names:
        put(f"in/{name}")
    assert run("in", "--out", "out", "--open")[0] == 0
    assert opened == [["/bin/xdg-open", Path(shown).resolve()]]
    assert run(put("bad.png", b"no picture"), "--out", "out", "--open")[0] == 3
    assert len(opened) == 1


def test_a_missing_viewer_is_named(run, unchanged, monkeypatch):
    monkeypatch.setattr(viewer.shutil, "which", lambda program: None)
    code, lines, _ = run(put("a.png"), "--open")
    assert (code, lines[-1]) == (0, "restored/a.png: cannot be opened here, as xdg-open is missing (--open)")


TILES = ["--tile", "32", "--overlap", "8"]


def test_several_networks_run_in_turn(run, model, monkeypatch):
    monkeypatch.setattr(engine, "resident_bytes", lambda: 0)
    shutil.copytree(model, "comma, second")
    write_picture("a.png", Picture(np.random.default_rng(0).integers(0, 256, (520, 40, 3), np.uint8)))
    code, lines, _ = run("a.png", "--out", "whole", *TILES, named=rf"{model},comma\, second")
    assert code == 0
    assert f"scale 4: {model} (given), then comma, second (given)" in lines
    chain = NetworkChain([load_pretrained(model)] * 2, tile=32, overlap=8)
    result = read_picture("whole/a.png").pixels
    np.testing.assert_array_equal(result, chain(read_picture("a.png").pixels))
    code, lines, _ = run("a.png", "--out", "rows", *TILES, "--memory", "10MB", named=rf"{model},comma\, second")
    assert code == 0
    assert "by rows" in " ".join(lines)
    np.testing.assert_array_equal(read_picture("rows/a.png").pixels, result)


def test_several_networks_reach_a_scale_by_bicubic(run, model, unchanged):
    code, lines, _ = run(put("a.png"), "--scale", "3", named=f"{model},{model}")
    assert code == 0
    assert f"scale 3: {model} (given), then {model} (given), then MATLAB's bicubic to scale 3" in lines


def test_names_are_split_at_commas():
    assert split_names("a,b/c.pth") == ["a", "b/c.pth"]
    assert split_names(r"a\,b,c") == ["a,b", "c"]
    assert split_names("a, b c ,d") == ["a", "b c", "d"]
    put("a,b")
    assert split_names("a,b") == ["a,b"]


@pytest.mark.parametrize(
    ("named", "word"), [("{},lightweight_x", "lightweight_x: no such file"), ("{},", "a name is empty")]
)
def test_bad_names_among_several_are_refused(run, model, named, word):
    code, lines, _ = run(put("a.png"), named=named.format(model))
    assert code == 2
    assert word in lines[-1]


def noisy():
    values = 128 + np.random.default_rng(0).normal(0, 25, (64, 64, 3))
    return pillow_bytes(np.clip(values, 0, 255).astype(np.uint8), "PNG")


JPEG_LINE = (
    "2 of 4 pictures are JPEG files; lightweight_x2 knows only clean ones and enlarges the faults, too; --for photo or "
    "jpeg removes them first"
)
NOISE_LINE = (
    "1 of 4 pictures is noisy; lightweight_x2 knows only clean ones and enlarges the faults, too; --for noise removes "
    "them first"
)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--model", "lightweight_x2"], [JPEG_LINE, NOISE_LINE]),
        (["--for", "clean", "--scale", "1"], [JPEG_LINE, NOISE_LINE]),
        (["--model", "lightweight_x2", "--quiet"], []),
        (["--model", "jpeg_light,lightweight_x2"], []),
        ([], []),
    ],
)
def test_networks_for_clean_pictures_say_once_what_they_do_not_know(run, unchanged, arguments, expected):
    put("in/a.jpg", JPEG), put("in/b.png", JPEG), put("in/c.png"), put("in/d.png", noisy())
    write_picture("in/c.png", Picture(np.full((64, 64, 3), 99, np.uint8)))
    code, lines, _ = run("in", *arguments, named=None)
    assert code == 0
    assert [line for line in lines if "knows only clean" in line] == expected


LEFT_NOISE = (
    "1 of 2 pictures is noisy, and the noise stays after {}; --for photo --best removes it, and --for noise, where "
    "no telephone has smoothed and compressed it"
)


@pytest.mark.parametrize(
    ("arguments", "networks"),
    [
        ([], None),
        (["--scale", "4"], None),
        (["--model", "jpeg_light"], "jpeg_light"),
        (["--model", "jpeg_light,lightweight_x4"], "jpeg_light and lightweight_x4"),
        (["--for", "noise", "--scale", "2"], None),
    ],
)
def test_noise_that_the_networks_leave_is_told(run, unchanged, arguments, networks):
    put("in/a.png", noisy())
    write_picture("in/b.png", Picture(np.full((64, 64, 3), 99, np.uint8)))
    lines = run("in", *arguments, named=None)[1]
    assert [line for line in lines if "noisy" in line] == ([LEFT_NOISE.format(networks)] if networks else [])


def test_a_noisy_jpeg_gets_one_piece_of_advice(run, unchanged):
    put("in/a.jpg", pillow_bytes(read_picture(put("noisy.png", noisy())).pixels, "JPEG", quality=95))
    lines = run("in", "--for", "clean", named=None)[1]
    [advice] = [line for line in lines if "first" in line]
    assert advice.startswith("1 of 1 pictures is a JPEG file; lightweight_x2 knows only clean ones")


def test_other_networks_say_nothing_about_faults(run, unchanged):
    lines = run(put("a.jpg", JPEG))[1]
    assert "knows only clean" not in " ".join(lines)


def test_pictures_of_too_many_pixels_are_named_and_the_others_restored(run, unchanged):
    put("in/a.png"), put("in/large.png", pillow_bytes(np.zeros((300, 500, 3), np.uint8), "PNG"))
    code, lines, _ = run("in", "--max-pixels", "0.1")
    assert (code, found("restored")) == (1, ["a.png"])
    assert "failed: in/large.png: 500x300 are 0.15 million pixels, and 0.1 million are allowed (--max-pixels)" in lines
    assert run("in", "--max-pixels", "0.15", "--out", "all")[0] == 0


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "many"])
def test_bad_numbers_of_pixels_are_refused(text, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["restore", "a.png", f"--max-pixels={text}"])
    assert "must be a number of millions above 0" in capsys.readouterr().err
