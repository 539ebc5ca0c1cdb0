from pathlib import Path

import numpy as np
import pytest

from swinir_jax.cli import degrade as command
from swinir_jax.cli.main import main
from swinir_jax.images import Picture, read_picture, write_picture


def photograph(name, h=50, w=70, seed=0):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:h, :w]
    pixels = 128 + 60 * np.sin(x / 5 + rng.random()) + 40 * np.cos(y / 7)
    write_picture(name, Picture(np.repeat(pixels.round().astype(np.uint8)[..., None], 3, axis=-1)))


def degrade(*arguments):
    return main(["degrade", *map(str, arguments)])


@pytest.fixture(autouse=True)
def photographs(in_tmp):
    Path("in").mkdir()
    photograph("in/a.png")
    photograph("in/b.png", seed=1)


def test_the_seed_and_the_photograph_decide_the_result():
    for out, seed in (("one", 1), ("again", 1), ("other", 2)):
        assert degrade("in", "--chain", "bsrgan_x2", "--seed", seed, "--out", out) == 0
    one, again, other = (read_picture(f"{out}/a.png").pixels for out in ("one", "again", "other"))
    assert one.shape == (25, 35, 3)
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    assert not np.array_equal(one, read_picture("one/b.png").pixels)


def test_a_contact_sheet_shows_different_draws():
    assert degrade("in/a.png", "--chain", "real_esrgan_x4", "--contact-sheet", "2x3", "--out", "out") == 0
    sheet = read_picture("out/a.png").pixels
    assert sheet.shape == (2 * 12 + 4, 3 * 17 + 2 * 4, 3)  # 50x70 is cut to 48x68
    assert (sheet[12:16] == 255).all()
    assert not np.array_equal(sheet[:12, :17], sheet[:12, 21:38])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["in", "--chain", "bsrgan"], "No degradation chain is called 'bsrgan'; there are bsrgan_x2"),
        (["in", "--seed", "-1"], "--seed must be at least 0"),
        (["none"], "none"),
        (["in", "--out", "new.png"], "new.png: degraded photographs go into a folder, not into a file"),
        (["in", "--out", ""], "The name of --out is empty"),
        (["in", "--out", "s3://a/b"], "s3://a/b: results are written into local folders"),
        (["in", "--out", "in/a.png/out"], "in/a.png: is not a folder"),
    ],
)
def test_bad_input_is_one_line(capsys, arguments, words):
    assert degrade("--out", "out", *arguments) == 2
    message = capsys.readouterr().err
    assert words in message
    assert message.count("\n") == 1


def test_one_bad_file_does_not_stop_the_others(capsys):
    Path("in/c.png").write_bytes(Path("in/a.png").read_bytes()[:100])
    assert degrade("in", "--chain", "photo_x4", "--out", "out") == 1
    assert "failed: in/c.png" in capsys.readouterr().err
    assert read_picture("out/b.png").pixels.shape == (12, 17, 3)
    assert degrade("in/c.png", "--chain", "photo_x4", "--out", "out") == 3


def test_short_memory_concerns_one_photograph(capsys, monkeypatch):
    sheet = command.contact_sheet

    def short_of_memory(image, *arguments):
        if image[0, 0, 0] == first[0, 0, 0]:
            raise MemoryError
        return sheet(image, *arguments)

    first = read_picture("in/a.png").pixels
    monkeypatch.setattr(command, "contact_sheet", short_of_memory)
    assert degrade("in", "--chain", "photo_x2", "--out", "new.png/") == 1
    assert "failed: in/a.png: not enough memory" in capsys.readouterr().err
    assert [path.name for path in Path("new.png").iterdir()] == ["b.png"]


def test_results_among_the_photographs_are_left_out_later():
    for out in ("in/first", "second"):
        assert degrade("in", "--recursive", "--chain", "photo_x2", "--out", out) == 0
    assert sorted(path.name for path in Path("second").rglob("*.png")) == ["a.png", "b.png"]


def test_results_of_equal_names_get_others(capsys):
    write_picture("in/a.jpg", read_picture("in/b.png"))
    Path("in/deep").mkdir()
    write_picture("in/deep/a.png", read_picture("in/b.png"))
    assert degrade("in", "in/deep/a.png", "--chain", "photo_x2", "--out", "out") == 0
    written = {path.name for path in Path("out").iterdir()}
    assert len(written) == 4
    assert {"b.png", "a.jpg.png"} <= written
    assert "1 subfolder left out (--recursive takes it)" in capsys.readouterr().err


@pytest.mark.parametrize("grid", ["4", "0x3", "30x30"])
def test_a_grid_is_checked(capsys, grid):
    with pytest.raises(SystemExit):
        degrade("in", "--contact-sheet", grid, "--out", "out")
    assert "is not ROWSxCOLUMNS" in capsys.readouterr().err
