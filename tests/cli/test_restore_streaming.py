import argparse
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import swinir_jax
from swinir_jax.cli.main import main
from swinir_jax.cli.model_options import add_memory_option
from swinir_jax.images import Picture, read_picture, write_picture
from swinir_jax.images.row_writing import progress_file
from swinir_jax.inference import engine


@pytest.fixture(autouse=True)
def small_memory(monkeypatch):
    monkeypatch.setattr(engine, "resident_bytes", lambda: 0)


def picture(name, *shape):
    write_picture(name, Picture(np.random.default_rng(0).integers(0, 256, shape, np.uint8)))
    return name


TILES = ["--tile", "32", "--overlap", "8", "--memory", "8MB"]


def test_images_larger_than_memory_are_restored_by_rows(model, capsys):
    os.mkdir("in")
    picture("in/large.png", 1000, 100, 3), picture("in/small.png", 40, 30, 3)
    assert main(["restore", "in", "--model", model, "--out", "out", "--format", "tif", *TILES]) == 0
    output = capsys.readouterr().err
    assert "in/large.png -> out/large.tif 200x2000 (by rows" in output
    assert re.search(r"in/small.png 30x40 -> out/small.tif 60x80 \(read", output)
    assert main(["restore", "in/large.png", "--model", model, "--out", "whole.tif", *TILES[:-2]]) == 0
    assert "by rows" not in capsys.readouterr().err
    np.testing.assert_array_equal(read_picture("out/large.tif").pixels, read_picture("whole.tif").pixels)
    assert sorted(os.listdir("out")) == ["large.tif", "small.tif"]


def test_interrupted_run_is_continued(model, capsys, interruption):
    command = ["restore", picture("large.png", 1000, 100, 3), "--model", model, "--out", "out", *TILES]
    with interruption():
        assert main(command) == 130
    assert "512 of 2000 rows are kept; the same command continues" in capsys.readouterr().err
    assert main([*command, "--memory", "9GB"]) == 0
    assert "continues after row 512 of 2000" in capsys.readouterr().err
    assert main([*command[:-1], "9GB"]) == 0  # no unfinished result is left
    assert "by rows" not in capsys.readouterr().err


@pytest.mark.parametrize("changed", [["--self-ensemble"], ["--tile", "0"], ["--blend", "average"], "input"])
def test_an_unfinished_result_that_cannot_be_continued_is_dropped(model, capsys, interruption, changed):
    command = ["restore", picture("large.png", 1000, 100, 3), "--model", model, "--out", "out", *TILES]
    with interruption():
        assert main(command) == 130
    if changed == "input":
        pixels = read_picture("large.png").pixels
        write_picture("large.png", Picture(pixels, alpha=pixels[..., 0]))
        changed = []
    capsys.readouterr()
    assert main([*command, "--memory", "9GB", *changed]) == 0
    assert "continues" not in capsys.readouterr().err
    assert os.listdir("out") == ["large.png"]


def test_damaged_image_leaves_no_hidden_file(model, capsys):
    path = Path(picture("large.png", 1000, 100, 3))
    path.write_bytes(path.read_bytes()[:-20_000])
    assert main(["restore", "large.png", "--model", model, "--out", "out", *TILES]) == 3
    assert "failed: large.png: the file is cut short" in capsys.readouterr().err
    assert os.listdir("out") == []


# Restores with the memory limit of this test, and pauses after each group of rows, so that it can be killed.
SLOW = """
import sys, time
from swinir_jax.cli.main import main
from swinir_jax.images.row_writing import RowWriter, progress_file
from swinir_jax.inference import engine
engine.resident_bytes = lambda: 0
write = RowWriter.write
def slow(self, rows):
    write(self, rows)
    time.sleep(0.2 if self.rows else 0)
RowWriter.write = slow
sys.exit(main(sys.argv[1:]))
"""


def test_killed_run_is_continued(model, capsys):
    command = ["restore", picture("large.png", 1000, 100, 3), "--model", model, *TILES, "--out"]
    environment = {**os.environ, "PYTHONPATH": str(Path(swinir_jax.__file__).parents[1])}  # the path may be relative
    process = [sys.executable, "-c", SLOW, *command, "a.png"]
    first = subprocess.Popen(process, stderr=subprocess.DEVNULL, env=environment)
    while not progress_file(Path("a.png")).exists():
        assert first.poll() is None
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert not os.path.exists("a.png")
    assert main([*command, "a.png"]) == 0
    assert "continues after row" in capsys.readouterr().err
    assert main([*command, "b.png"]) == 0
    with open("a.png", "rb") as a, open("b.png", "rb") as b:
        assert a.read() == b.read()


@pytest.mark.parametrize("size", ["8", "8 bananas", "-1GB", "GB", "0GB"])
def test_bad_sizes_are_refused(size, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["restore", "a.png", "--out", "b.png", "--memory", size])
    assert "--memory" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "size"), [("2GB", 2 * 10**9), ("1.5g", 15 * 10**8), ("500 MiB", 500 * 2**20)])
def test_sizes(text, size):
    parser = argparse.ArgumentParser()
    add_memory_option(parser)
    assert parser.parse_args(["--memory", text]).memory == size
