"""The command `swinir-jax evaluate`, and what it measures of the usual sets."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from smooth_photos import photo

from swinir_jax.cli.main import main
from swinir_jax.data.degradations import imresize, jpeg
from swinir_jax.evaluation.protocol import baseline, evaluate
from swinir_jax.images import read_picture


def test_files_come_in_the_order_of_their_numbers():
    names = ["1", "2", "10", "\u00b2"]
    for name in sorted(names):
        photo(f"set/{name}.png", 16, 16)
    options = ["--model", "input", "--hq", "set", "--json", "e.json", "--quiet"]
    assert main(["evaluate", "--task", "gray_dn", "--noise", "1", *options]) == 0
    assert [image["name"] for image in json.loads(Path("e.json").read_text())["images"]] == names


def test_command_writes_everything(capsys):
    photo("Set5/a.png", 40, 48, 3), photo("Set5/b.png", 32, 32, 3)
    options = ["--json", "s/e.json", "--csv", "s/e.csv", "--save", "restored", "--report", "report"]
    assert (
        main(["evaluate", "--task", "classical_sr", "--scale", "2", "--model", "bicubic", "--hq", "Set5", *options])
        == 0
    )
    printed = capsys.readouterr().out
    content = json.loads(Path("s/e.json").read_text())
    assert [image["name"] for image in content["images"]] == ["a", "b"]
    assert content["protocol"]["scale"] == 2
    assert content["average"].keys() == {"psnr", "ssim", "psnr_y", "ssim_y"}
    mean = np.mean([image["psnr_y"] for image in content["images"]])
    assert content["average"]["psnr_y"] == pytest.approx(mean)
    assert re.search(rf"^average .* {mean:.2f} ", printed, re.MULTILINE)
    assert re.search(r"^published .* 33\.66 ", printed, re.MULTILINE)
    rows = list(csv.reader(Path("s/e.csv").read_text().splitlines()))
    assert [row[0] for row in rows] == ["name", "a", "b", "average"]
    assert read_picture("restored/a.png").pixels.shape == (40, 48, 3)
    page = Path("report/index.html").read_text()
    pictures = re.findall(r'src="([^"]+)"', page)
    assert len(set(pictures)) == 10  # input, bicubic, result, ground truth and error map of each
    assert all((Path("report") / file).is_file() for file in pictures)
    assert "http" not in page


def test_identical_images_are_null_in_json():
    photo("set/a.png", 32, 32)
    assert (
        main(["evaluate", "--task", "gray_dn", "--noise", "0", "--model", "input", "--hq", "set", "--json", "e.json"])
        == 0
    )
    assert json.loads(Path("e.json").read_text())["average"]["psnr"] is None


def test_real_photographs_are_only_restored(capsys):
    photo("set/a.png", 16, 16, 3)
    command = ["evaluate", "--task", "real_sr", "--scale", "2", "--model", "bicubic", "--lq", "set", "--save", "out"]
    assert main(command) == 0
    assert read_picture("out/a.png").pixels.shape == (32, 32, 3)


def test_clean_photographs_are_degraded_blindly_and_alike_each_time(capsys):
    photo("set/a.png", 64, 48, 3)
    command = ["evaluate", "--task", "real_sr", "--scale", "2", "--model", "bicubic", "--hq", "set", "--json", "e.json"]
    scores = []
    for _ in range(2):
        assert main(command) == 0
        scores.append(json.loads(Path("e.json").read_text())["average"])
    assert scores[0] == scores[1]
    assert 5 < scores[0]["psnr"] < 30
    assert "BSRGAN's chain" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--task", "gray_dn", "--scale", "2", "--hq", "set"], "takes --noise"),
        (["--task", "gray_dn", "--noise", "25"], "takes --hq"),
        (["--task", "real_sr", "--scale", "2"], "takes --lq"),
        (["--task", "classical_sr", "--scale", "2", "--model", "input", "--hq", "set"], "bicubic"),
        (["--task", "classical_sr", "--scale", "3", "--hq", "set"], "enlarges by 2, not by 3"),
        (["--task", "color_dn", "--noise", "50", "--hq", "set", "--model", "bicubic"], "does not fit the task"),
        (["--task", "color_jpeg_car", "--jpeg", "101", "--hq", "set", "--model", "input"], "out of range"),
        (["--task", "color_dn", "--noise", "25", "--hq", "set", "--model", "input", "--save", "set"], "choose another"),
        (["--task", "color_dn", "--noise", "1" + "0" * 400, "--hq", "set", "--model", "input"], "out of range"),
        (["--task", "classical_sr", "--scale", "0", "--hq", "set", "--model", "bicubic"], "out of range"),
        (["--task", "classical_sr", "--scale", "2", "--model", "bicubic", "--hq", "none"], "no such"),
        (
            ["--task", "classical_sr", "--scale", "2", "--model", "bicubic", "--hq", ""],
            "argument --hq: the name is empty",
        ),
        (["--task", "classical_sr", "--scale", "2", "--model", "bicubic", "--hq", "set", "--tile", "x"], "tile"),
    ],
)
def test_bad_options(capsys, options, word):
    photo("set/a.png", 16, 16, 3)
    try:
        code = main(["evaluate", *options])
    except SystemExit as stop:  # argparse's own way to refuse an option
        code = stop.code
    assert code == 2
    assert word in capsys.readouterr().err


def test_a_baseline_is_not_measured_where_jax_finds_no_device(capsys, monkeypatch):
    def local_devices():
        raise RuntimeError("Unable to initialize backend 'cuda'")

    photo("set/a.png", 16, 16, 3)
    monkeypatch.setattr("jax.local_devices", local_devices)
    options = ["--task", "classical_sr", "--scale", "2", "--model", "bicubic", "--hq", "set", "--json", "e.json"]
    assert main(["evaluate", *options]) == 2
    assert "JAX finds no device" in capsys.readouterr().err
    assert not Path("e.json").exists()


def test_an_image_too_small_to_measure_fails(capsys):
    photo("tiny/a.png", 4, 4, 3)
    assert main(["evaluate", "--task", "color_dn", "--noise", "25", "--hq", "tiny", "--model", "input"]) == 3
    assert "tiny/a.png: SSIM needs" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--json", "--csv"])
def test_a_folder_in_the_place_of_a_file_is_refused_before_the_work(capsys, option):
    photo("set/a.png", 20, 20, 3)
    Path("taken").mkdir()
    command = ["evaluate", "--task", "color_dn", "--noise", "25", "--hq", "set", "--model", "input"]
    assert main([*command, option, "taken"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "taken" in printed.err


def test_sr_of_compressed_images_shrinks_and_compresses(capsys):
    hq, seen = photo("Set5/a.png", 48, 64, 3), []

    def network(lq):
        seen.append(lq)
        return baseline("bicubic", 4)(lq)

    [(result, _)] = evaluate("compressed_sr", 4, network, [(Path("Set5/a.png"), None)])
    np.testing.assert_array_equal(seen[0], (jpeg(imresize(hq, 1 / 4), 10) / 255).astype(np.float32))
    options = ["--model", "bicubic", "--hq", "Set5"]
    assert main(["evaluate", "--task", "compressed_sr", "--scale", "4", *options]) == 0
    printed = capsys.readouterr().out
    assert f"{result.scores['psnr_y']:.2f}" in printed
    assert "quality 10" in printed
    assert "published" not in printed


# Figures of an independent NumPy and OpenCV script on the same files, and of the original implementation for the
# bundled network.
BASELINES = [
    ("classical_sr", "--scale", 2, "bicubic", "Set5/HR", None, {"psnr_y": 33.661, "ssim_y": 0.9299}),
    ("classical_sr", "--scale", 3, "bicubic", "Set5/HR", None, {"psnr_y": 30.392, "ssim_y": 0.8682}),
    ("classical_sr", "--scale", 4, "bicubic", "Set5/HR", None, {"psnr_y": 28.421, "ssim_y": 0.8104}),
    ("classical_sr", "--scale", 2, "bicubic", "Set5/HR", "Set5/LR_bicubic/X2", {"psnr_y": 33.678, "ssim_y": 0.9304}),
    ("classical_sr", "--scale", 3, "bicubic", "Set5/HR", "Set5/LR_bicubic/X3", {"psnr_y": 30.404, "ssim_y": 0.8690}),
    ("classical_sr", "--scale", 4, "bicubic", "Set5/HR", "Set5/LR_bicubic/X4", {"psnr_y": 28.431, "ssim_y": 0.8113}),
    ("gray_dn", "--noise", 15, "input", "Set12", None, {"psnr": 24.704, "ssim": 0.5404}),
    ("gray_dn", "--noise", 25, "input", "Set12", None, {"psnr": 20.369, "ssim": 0.3673}),
    ("gray_dn", "--noise", 50, "input", "Set12", None, {"psnr": 14.788, "ssim": 0.1886}),
    ("color_dn", "--noise", 15, "input", "McMaster", None, {"psnr": 25.114, "ssim": 0.5201}),
    ("color_dn", "--noise", 25, "input", "McMaster", None, {"psnr": 20.890, "ssim": 0.3445}),
    ("color_dn", "--noise", 50, "input", "McMaster", None, {"psnr": 15.369, "ssim": 0.1676}),
    ("jpeg_car", "--jpeg", 10, "input", "classic5", None, {"psnr": 27.821, "ssim": 0.7595, "psnr_b": 25.209}),
    ("jpeg_car", "--jpeg", 20, "input", "classic5", None, {"psnr": 30.123, "ssim": 0.8344, "psnr_b": 27.501}),
    ("jpeg_car", "--jpeg", 30, "input", "classic5", None, {"psnr": 31.484, "ssim": 0.8666, "psnr_b": 28.940}),
    ("jpeg_car", "--jpeg", 40, "input", "classic5", None, {"psnr": 32.428, "ssim": 0.8849, "psnr_b": 29.921}),
    (
        "lightweight_sr",
        "--scale",
        2,
        "lightweight_x2",
        "Set5/HR",
        "Set5/LR_bicubic/X2",
        {"psnr_y": 37.476, "ssim_y": 0.9587},
    ),
]


@pytest.mark.as_shipped  # runs for longer than it compiles
@pytest.mark.parametrize("case", BASELINES, ids=lambda case: f"{case[3]} {case[0]} {case[2]}")
def test_baselines(case, shared):
    task, option, level, model, hq, lq, expected = case
    sets = shared / "data" / "testsets"
    given = ["--lq", str(sets / lq)] if lq else []
    options = ["--model", model, "--hq", str(sets / hq), "--json", "e.json", "--quiet", *given]
    assert main(["evaluate", "--task", task, option, str(level), *options]) == 0
    measured = json.loads(Path("e.json").read_text())["average"]
    for metric, value in expected.items():
        assert measured[metric] == pytest.approx(value, abs=0.0002 if metric.startswith("ssim") else 0.005), metric
