import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from swinir_jax import InputError
from swinir_jax.cli.main import main
from swinir_jax.data.degradations import gaussian_noise_official, imresize, jpeg, to_uint8
from swinir_jax.data.pairs import match_pairs
from swinir_jax.evaluation.protocol import baseline, evaluate
from swinir_jax.images import Picture, read_picture, write_picture
from swinir_jax.metrics import psnr
from swinir_jax.tasks import METRICS, TASKS


def photo(name, *shape):
    """A smooth image, which can be degraded and restored."""
    y, x, c = np.meshgrid(*(np.linspace(0, 3, n) for n in (*shape, 1)[:3]), indexing="ij")
    pixels = (127 + 120 * np.sin(3 * x + y) * np.cos(2 * y - x + c)).astype(np.uint8)
    Path(name).parent.mkdir(exist_ok=True)
    write_picture(name, Picture(pixels[..., 0] if len(shape) == 2 else pixels))
    return read_picture(name).pixels


@pytest.mark.parametrize(
    ("hq", "lq"),
    [
        ("baby.png", "babyx2.png"),
        ("img_001_SRF_2_HR.png", "img_001_SRF_2_LR.png"),
        ("0801.png", "0801x2.png"),
        ("a.png", "a.jpg"),
        ("box2.png", "box2.png"),
    ],
)
def test_usual_names_match(hq, lq):
    others = Path("other.png")
    assert match_pairs([Path(hq), others], [others, Path(lq)], 2) == [(Path(hq), Path(lq)), (others, others)]


def test_files_without_a_partner_are_named():
    with pytest.raises(InputError, match=r"a\.png has no partner; bx2\.png has no partner"):
        match_pairs([Path("a.png"), Path("c.png")], [Path("bx2.png"), Path("cx2.png")], 2)
    with pytest.raises(InputError, match=r"a\.jpg and a\.png|a\.png and a\.jpg"):
        match_pairs([Path("a.png"), Path("a.jpg")], [Path("a.png")], 2)


def test_files_come_in_the_order_of_their_numbers():
    names = ["1", "2", "10", "\u00b2"]
    for name in sorted(names):
        photo(f"set/{name}.png", 16, 16)
    options = ["--model", "input", "--hq", "set", "--json", "e.json", "--quiet"]
    assert main(["evaluate", "--task", "gray_dn", "--noise", "1", *options]) == 0
    assert [image["name"] for image in json.loads(Path("e.json").read_text())["images"]] == names


def test_noise_input_by_hand():
    hq = photo("set/a.png", 20, 24)
    [(result, images)] = evaluate("gray_dn", 25, lambda lq: lq, [(Path("set/a.png"), None)])
    noisy = np.clip(np.round(gaussian_noise_official(hq / 255, 25).clip(0, 1) * 255), 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(images.restored, noisy)
    assert result.scores["psnr"] == psnr(noisy, hq)


def test_super_resolution_crops_to_the_scale_and_cuts_the_border():
    hq = photo("set/a.png", 37, 41, 3)[:36, :39]
    seen = []

    def network(lq):
        seen.append(lq)
        restored = hq / 255
        restored[:3] = 0  # wrong only in the border of 3, which is not measured
        return restored

    [(result, _)] = evaluate("classical_sr", 3, network, [(Path("set/a.png"), None)])
    np.testing.assert_allclose(seen[0], imresize(hq, 1 / 3) / 255, atol=1e-6)
    assert result.scores["psnr"] == np.inf


def test_a_pair_of_wrong_sizes_is_named():
    photo("hq/a.png", 40, 40, 3), photo("lq/a.png", 19, 20, 3)
    with pytest.raises(InputError, match=r"lq/a\.png does not fit hq/a\.png: 20x19 enlarged by 2 is not 40x40"):
        list(evaluate("classical_sr", 2, lambda lq: lq, [(Path("hq/a.png"), Path("lq/a.png"))]))


def test_colours_of_every_task():
    colour, gray = photo("c.png", 16, 16, 3), photo("g.png", 16, 16)
    for name, task in TASKS.items():
        for image in (colour, gray):
            assert task.colours(image).shape == ((16, 16) if task.channels == 1 else (16, 16, 3)), name
            assert task.colours(image).dtype == np.uint8
        assert set(task.metrics) <= METRICS.keys()


def test_gray_of_colour_files_is_each_task_s_own():
    white = np.full((8, 8, 3), 255, np.uint8)
    assert (TASKS["gray_dn"].colours(white) == 255).all()  # OpenCV's gray
    assert (TASKS["jpeg_car"].colours(white) == 235).all()  # MATLAB's Y


@pytest.mark.parametrize("task", ["classical_sr", "lightweight_sr", "color_dn", "color_jpeg_car"])
def test_a_gray_file_is_three_equal_channels_to_a_network_for_colour(task):
    """OpenCV reads three equal channels, whose Y has 219 of 255 values and smaller errors."""
    write_picture("flat.png", Picture(np.full((32, 32), 100, np.uint8)))
    scale = 2 if TASKS[task].level == "scale" else 1
    restored = np.full((32, 32, 3), 110 / 255)
    seen = []

    def network(lq):
        seen.append(lq)
        return restored

    level = {"scale": 2, "noise": 0, "jpeg": 90}[TASKS[task].level]
    [(result, _)] = evaluate(task, level, network, [(Path("flat.png"), None)])
    assert seen[0].shape == (32 // scale, 32 // scale, 3)
    np.testing.assert_array_equal(seen[0], seen[0][..., :1].repeat(3, axis=-1))
    assert result.scores["psnr"] == pytest.approx(28.130804, abs=1e-6)  # 20 log10(255 / 10)
    assert result.scores["psnr_y"] == pytest.approx(29.452725, abs=1e-6)  # 20 log10(255 / (10 * 219 / 255))
    hq, y, c = 16 + 100 * 219 / 255, 16 + 110 * 219 / 255, 2.55**2
    assert result.scores["ssim"] == pytest.approx((2 * 100 * 110 + c) / (100**2 + 110**2 + c), abs=1e-12)
    assert result.scores["ssim_y"] == pytest.approx((2 * hq * y + c) / (hq**2 + y**2 + c), abs=1e-12)


def test_bicubic_of_y_measures_gray_files_unchanged():
    gray = np.random.default_rng(0).integers(0, 256, (48, 56), np.uint8)
    write_picture("gray.png", Picture(gray))
    write_picture("colour.png", Picture(gray[..., None].repeat(3, axis=-1)))
    pairs = [(Path("gray.png"), None), (Path("colour.png"), None)]
    runs = evaluate("classical_sr", 4, baseline("bicubic", 4), pairs, bicubic_of_y=True)
    [of_gray, of_colour] = [result.scores for result, _ in runs]
    enlarged = to_uint8(imresize(imresize(gray.astype(float), 1 / 4), 4.0))
    assert of_gray["psnr_y"] == psnr(enlarged, gray, 4)
    # MATLAB's Y of a colour file takes 219 of 255 values: 20 log10(255 / 219) dB more, up to rounding.
    assert of_colour["psnr_y"] - of_gray["psnr_y"] == pytest.approx(1.3219, abs=0.01)
    assert of_colour["ssim_y"] != of_gray["ssim_y"]


@pytest.mark.parametrize("task", ["gray_dn", "jpeg_car"])
def test_networks_for_gray_are_measured_over_the_whole_range(task):
    write_picture("flat.png", Picture(np.full((32, 32), 100, np.uint8)))
    level = {"noise": 0, "jpeg": 90}[TASKS[task].level]
    [(result, _)] = evaluate(task, level, lambda lq: np.full((32, 32, 1), 110 / 255), [(Path("flat.png"), None)])
    assert result.scores["psnr"] == pytest.approx(28.130804, abs=1e-6)  # 20 log10(255 / 10)
    assert "psnr_y" not in result.scores


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
