"""examples/ray_restore.py on a local Ray, with workers that are killed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import quick_programs
from goldens import checkpoints

from swinir_jax.images import Picture, read_picture, write_picture

pytestmark = pytest.mark.ray
TESTS = Path(__file__).parents[1]
NAMES = ("a.png", "b.png", "deep/c.jpg", "d.png", "deep/e.png", "f.tif")


@pytest.fixture(scope="module")
def ray_restore():
    pytest.importorskip("ray.data")
    from examples import ray_restore

    return ray_restore


def test_killed_workers_lose_no_picture_and_write_none_twice(ray_restore, tmp_path):
    for i, name in enumerate(NAMES):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 256, (32, 32, 3), np.uint8)
        write_picture(tmp_path / "photos" / name, Picture(pixels))
    (tmp_path / "photos" / "broken.png").write_bytes(b"no picture")
    (tmp_path / "photos" / "notes.txt").touch()
    (tmp_path / "log").mkdir()
    shutil.copy(checkpoints() / "params.pth", tmp_path / "network.pth")
    done = subprocess.run(
        [sys.executable, str(TESTS / "ray_worker.py"), "photos", "restored", str(tmp_path / "log")],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, (TESTS, TESTS.parent))),
            "HOME": str(tmp_path),  # Ray writes a token there
            "RAY_USAGE_STATS_ENABLED": "0",
            "JAX_COMPILATION_CACHE_DIR": "",  # JAX may read a file that another worker still writes
            "XLA_FLAGS": quick_programs.FLAGS,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if "to restore" in line] == [
        "7 pictures to restore, 0 have results, 1 other files left out",
        "0 pictures to restore, 5 have results, 1 other files left out",
    ]
    faults, again = json.loads((tmp_path / "log" / "faults.json").read_text())
    assert faults.keys() == {"broken.png", "d.png"}
    assert faults["d.png"] == "its worker died 2 times"
    assert again == {}
    restored = sorted({*NAMES} - {"d.png"})
    assert sorted((tmp_path / "log" / "written").read_text().splitlines()) == [f"{name}.png" for name in restored]
    results = sorted(path for path in (tmp_path / "restored").rglob("*") if path.is_file())
    assert results == sorted(tmp_path / "restored" / f"{name}.png" for name in restored)
    for path in results:
        assert read_picture(path).pixels.shape == (64, 64, 3)


def test_a_bucket_is_listed_read_and_written(ray_restore):
    place = ray_restore.Place.at("mock:///bucket")
    assert place.names() == set()
    place.write("deep/a.png", b"data")
    assert place.names() == {"deep/a.png"}
    assert place.has("deep/a.png")
    assert not place.has("a.png")
    assert place.read("deep/a.png") == b"data"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["photos", "photos/restored"], "lies in photos"),
        (["none", "restored"], "no pictures"),
        (["photos", "ftp://host/restored"], "ftp://host/restored: "),
        (["photos", "restored", "--model", "lightwait_x2"], "lightweight_x2"),
    ],
)
def test_mistakes_are_told_in_one_line(ray_restore, tmp_path, monkeypatch, capsys, arguments, word):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    write_picture(tmp_path / "photos" / "a.png", Picture(np.zeros((8, 8, 3), np.uint8)))
    monkeypatch.setattr(sys, "argv", ["ray_restore.py", *arguments])
    assert ray_restore.main() == 2
    [line] = capsys.readouterr().err.splitlines()
    assert word in line


def test_a_ray_that_does_not_start_is_told_in_one_line(ray_restore, tmp_path, monkeypatch, capsys):
    def fail():
        raise RuntimeError("The current node timed out\nduring startup.")

    monkeypatch.setattr(ray_restore.ray, "init", fail)
    (tmp_path / "photos").mkdir()
    write_picture(tmp_path / "photos" / "a.png", Picture(np.zeros((8, 8, 3), np.uint8)))
    model = str(checkpoints() / "params.pth")
    arguments = ["ray_restore.py", str(tmp_path / "photos"), str(tmp_path / "restored"), "--model", model]
    monkeypatch.setattr(sys, "argv", arguments)
    assert ray_restore.main() == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line == "error: Ray does not start: The current node timed out during startup."


def test_pictures_of_too_many_pixels_are_not_restored(ray_restore, tmp_path):
    write_picture(tmp_path / "a.png", Picture(np.zeros((300, 500, 3), np.uint8)))
    options = ray_restore.parse(
        [
            str(tmp_path),
            str(tmp_path / "out"),
            "--model",
            str(checkpoints() / "params.pth"),
            "--max-pixels",
            "0.1",
        ]
    )
    worker = ray_restore.Worker(*map(ray_restore.Place.at, (options.source, options.target)), options)
    assert "0.15 million pixels" in worker.restore("a.png")
    assert not (tmp_path / "out").exists()
