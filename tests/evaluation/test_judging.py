"""Judging of real photographs, and of photographs degraded blindly."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from swinir_jax import InputError
from swinir_jax.cli import evaluate as command
from swinir_jax.cli.main import main
from swinir_jax.data.blind import CHAIN_KINDS
from swinir_jax.data.blind.chains import CHAINS
from swinir_jax.data.degradations import imresize
from swinir_jax.evaluation import judging
from swinir_jax.evaluation.judging import explain, judge
from swinir_jax.evaluation.protocol import average, baseline, evaluate
from swinir_jax.images import Picture, read_picture, write_picture
from swinir_jax.niqe import niqe
from swinir_jax.tasks import METRICS, TASKS, real_sr

REAL_SR = ["evaluate", "--task", "real_sr", "--scale", "4", "--model", "bicubic"]


def texture(h, w, *channels):
    y, x = np.mgrid[:h, :w] / 5
    image = 128 + 50 * np.sin(x * y / 9) + np.random.default_rng(0).normal(0, 25, (h, w))
    image = np.clip(image, 0, 255).astype(np.uint8)
    return np.stack([image, image.T[:h, :w] if h == w else image, 255 - image], axis=-1) if channels else image


def save(name, pixels, alpha=None):
    Path(name).parent.mkdir(exist_ok=True)
    write_picture(name, Picture(pixels, alpha=alpha))


def nearest(lq):
    return np.repeat(np.repeat(lq, 4, axis=0), 4, axis=1)


def test_small_and_flat_photographs_do_not_enter_the_mean(capsys):
    save("set/big.png", texture(98, 98, 3))  # 392 pixels without a border of 4: 16 blocks
    save("set/flat.png", np.full((98, 98, 3), 77, np.uint8))
    save("set/small.png", texture(97, 97, 3))  # 9 blocks
    save("set/tiny.png", texture(20, 20, 3))
    assert main([*REAL_SR, "--lq", "set", "--json", "e.json", "--csv", "e.csv"]) == 0
    content = json.loads(Path("e.json").read_text())
    big, flat, small, tiny = content["images"]
    enlarged = imresize(np.divide(texture(98, 98, 3), 255, dtype=np.float32), 4.0)
    expected, _ = niqe(np.round(np.clip(enlarged, 0, 1) * 255).astype(np.uint8), crop=4)
    assert big["niqe"] == big["niqe_bicubic"] == expected
    assert small["niqe"] > 0
    assert [image["niqe"] for image in (flat, tiny)] == [None, None]
    assert ["niqe" in image.get("remarks", {}) for image in (big, flat, small, tiny)] == [False, True, True, True]
    assert content["average"] == {"niqe_input": None, "niqe_bicubic": big["niqe"], "niqe": big["niqe"]}
    printed = capsys.readouterr().out
    assert f"{small['niqe']:.2f}*" in printed
    left_out = "* left out of the average: "
    assert f"{left_out}niqe, niqe_bicubic of 1 of 4 images (small): fewer than 16 blocks" in printed
    assert f"{left_out}niqe, niqe_bicubic of 2 of 4 images (flat, tiny): undefined" in printed
    assert f"{left_out}niqe_input of 4 of 4 images (big, flat, small, ...): undefined" in printed
    assert printed.endswith("no average, as all images are left out: niqe_input\n")
    rows = list(csv.DictReader(Path("e.csv").read_text().splitlines()))
    assert [row["left_out"] for row in rows] == ["niqe_input", *["niqe niqe_bicubic niqe_input"] * 3, ""]
    assert [row["niqe"] for row in rows[1::2]] == ["", ""]


def test_input_is_measured_whole_and_bicubic_beside_another_network():
    save("a.png", texture(384, 384, 3))
    pairs = [(None, Path("a.png"))]
    task = TASKS["real_sr"]
    [(result, images)] = evaluate(task, 2, lambda lq: nearest(lq)[::2, ::2], pairs)
    [(_, reference)] = evaluate(task, 2, baseline("bicubic", 2), pairs)
    judged = judge(result, images, task, 2)
    assert judged.scores == {
        "niqe_input": niqe(texture(384, 384, 3))[0],
        "niqe_bicubic": niqe(reference.restored, crop=2)[0],
        "niqe": niqe(images.restored, crop=2)[0],
    }
    assert not judged.remarks


def test_photographs_with_a_truth_get_distances_without_the_border():
    save("a.png", texture(64, 72, 3))
    task, seen = TASKS["real_sr"], []

    def distance(a, b):
        seen.append((a, b))
        return float(len(seen))

    [(result, images)] = evaluate(task, 4, nearest, [(Path("a.png"), None)])
    judged = judge(result, images, task, 4, distance)
    assert {metric: judged.scores[metric] for metric in result.scores} == result.scores
    assert judged.scores["psnr_y_bicubic"] == METRICS["psnr_y"](images.bicubic, images.hq, 4)
    assert judged.scores["ssim_y_bicubic"] == METRICS["ssim_y"](images.bicubic, images.hq, 4)
    assert (judged.scores["distance"], judged.scores["distance_bicubic"]) == (1, 2)
    for (a, b), measured in zip(seen, (images.restored, images.bicubic), strict=True):
        np.testing.assert_array_equal(a, measured[4:-4, 4:-4])
        np.testing.assert_array_equal(b, images.hq[4:-4, 4:-4])
    assert judged.remarks.keys() == {"niqe", "niqe_bicubic"}
    averages = average([judged])
    assert averages["distance"] == 1
    assert np.isnan(averages["niqe"])
    assert explain([judged], averages)[-1] == "no average, as all images are left out: niqe, niqe_bicubic"


def test_chains_are_those_of_training_and_make_lq_of_8_bits():
    of_one_size = {"photo_x1", "photo_strong_x1"}
    assert {f"{name}_x{scale}" for name in CHAIN_KINDS for scale in (2, 4)} | of_one_size == CHAINS.keys()
    hq = texture(64, 48, 3)
    made = {name: real_sr(name).degrade(hq, 2) for name in CHAIN_KINDS}
    for name, lq in made.items():
        np.testing.assert_array_equal(lq, np.round(lq * 255) / 255, err_msg=name)
        np.testing.assert_array_equal(lq, real_sr(name).degrade(hq, 2))
    assert len({lq.tobytes() for lq in made.values()}) == len(made)


def test_chain_is_an_option_and_named_in_the_protocol(capsys):
    save("Set5/a.png", texture(96, 80, 3))
    averages = []
    for options in ([], ["--chain", "bsrgan"], ["--chain", "photo"]):
        assert main([*REAL_SR, "--hq", "Set5", "--json", "e.json", *options]) == 0
        content = json.loads(Path("e.json").read_text())
        averages.append(content["average"])
    assert averages[0] == averages[1] != averages[2]
    assert content["protocol"]["degradation"].startswith("the mild chain")
    assert "published" not in capsys.readouterr().out  # the paper's bicubic rows have another degradation


@pytest.mark.parametrize(
    "options", [["--lq", "set"], ["--hq", "set", "--lq", "set"], ["--task", "classical_sr", "--hq", "set"]]
)
def test_chain_without_a_truth_to_degrade_is_refused(capsys, options):
    save("set/a.png", texture(20, 20, 3))
    assert main([*REAL_SR, *options, "--chain", "photo"]) == 2
    assert "--chain degrades the ground truth of --task real_sr" in capsys.readouterr().err


def test_gray_and_translucent_photographs_are_judged(capsys):
    save("set/alpha.png", texture(98, 98, 3), alpha=texture(98, 98))
    save("set/gray.png", texture(98, 98))
    save("set/three.png", np.repeat(texture(98, 98)[..., None], 3, axis=-1))
    assert main([*REAL_SR, "--lq", "set", "--json", "e.json"]) == 0
    alpha, gray, three = (image["niqe"] for image in json.loads(Path("e.json").read_text())["images"])
    assert gray == three != alpha
    assert re.findall(r".*alpha.*", capsys.readouterr().err) == ["set/alpha.png: alpha is left out"]


def test_scales_without_a_chain_are_refused_once(capsys):
    save("set/a.png", texture(20, 20, 3)), save("set/b.png", texture(20, 20, 3))
    assert main([*REAL_SR[:-4], "--scale", "3", "--model", "bicubic", "--hq", "set"]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("swinir-jax: error: No degradation chain is called 'bsrgan_x3'")
    assert printed.err.count("\n") == 1
    assert main([*REAL_SR[:-4], "--scale", "3", "--model", "bicubic", "--lq", "set"]) == 0


def test_photographs_smaller_than_the_scale_fail_in_words(capsys):
    save("set/a.png", texture(3, 9, 3)), save("set/b.png", texture(50, 50, 3))
    assert main([*REAL_SR, "--hq", "set"]) == 1
    assert "failed: set/a.png: 9x3 pixels are fewer than the scale, 4." in capsys.readouterr().err


def test_empty_folder_is_refused(capsys):
    Path("set").mkdir()
    assert main([*REAL_SR, "--lq", "set"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_report_slides_between_bicubic_and_result_and_shows_crops_at_full_size():
    pixels = np.full((100, 120, 3), 90, np.uint8)
    pixels[60:90, 80:110] = texture(30, 30, 3)  # in the result, rows 240 to 360 and columns 320 to 440
    save("set/a.png", pixels)
    assert main([*REAL_SR, "--lq", "set", "--report", "report", "--quiet"]) == 0
    page = Path("report/index.html").read_text()
    assert re.search(
        r'<div><img src="000_bicubic.png"[^>]*><img src="000_result.png"[^>]*></div><input type="range"', page
    )
    crops = re.findall(
        r'<img src="000_(\w+).png"[^>]*object-position: -(\d+)px -(\d+)px; width: (\d+)px; height: (\d+)', page
    )
    assert [name for name, *_ in crops] == ["input", "bicubic", "result"]
    [(left, top, width, height)] = {tuple(map(int, place)) for _, *place in crops}
    assert (width, height) == (256, 256)
    assert left <= 320 < 440 <= left + width
    assert top <= 240 < 360 <= top + height
    np.testing.assert_array_equal(read_picture("report/000_input.png").pixels, nearest(pixels))
    assert "NIQE ↓" in page
    assert "no average, as all images are left out: niqe, niqe_bicubic, niqe_input" in page
    assert "http" not in page


def mean_difference(a, b):
    return float(np.abs(a.astype(float) - b).mean())


def test_perceptual_distance_is_a_column_beside_bicubic_s(capsys, monkeypatch):
    asked = []
    monkeypatch.setattr(command, "load_distance", lambda *names, progress: asked.append(names) or mean_difference)
    save("set/a.png", texture(64, 48, 3))
    for options in ([], ["--perceptual", "vgg16_hed", "--weights-dir", "w"], ["--perceptual", "none"]):
        assert main([*REAL_SR, "--hq", "set", "--json", "e.json", *options]) == 0
        content = json.loads(Path("e.json").read_text())
        assert content["protocol"].get("distance") == (asked[-1][0] if "none" not in options else None)
        assert (
            ("distance" in content["average"]) == ("distance_bicubic" in content["average"]) == ("none" not in options)
        )
    assert asked == [("efficientnet_lite0", None), ("vgg16_hed", "w")]
    assert "distance ↓" in capsys.readouterr().out


def test_images_too_small_for_the_perceptual_distance_keep_the_other_scores(capsys):
    save("set/a.png", texture(96, 80, 3)), save("set/b.png", texture(20, 20, 3))
    assert main([*REAL_SR, "--hq", "set", "--json", "e.json"]) == 0
    small = json.loads(Path("e.json").read_text())["images"][1]
    assert small["psnr_y"] > 0
    assert "distance, distance_bicubic of 1 of 2 images (b): undefined for images as small" in capsys.readouterr().out


def test_missing_weights_leave_the_distance_out_unless_it_was_asked_for(capsys, monkeypatch):
    def load_distance(*names, progress):
        raise InputError("no weights: pip install them.")

    monkeypatch.setattr(command, "load_distance", load_distance)
    save("set/a.png", texture(64, 48, 3))
    assert main([*REAL_SR, "--hq", "set", "--json", "e.json"]) == 0
    assert capsys.readouterr().err == "no perceptual distance: no weights: pip install them.\n"
    assert "distance" not in json.loads(Path("e.json").read_text())["average"]
    assert main([*REAL_SR, "--hq", "set", "--perceptual", "efficientnet_lite0"]) == 2
    assert main([*REAL_SR, "--hq", "set", "--perceptual", "none"]) == 0


def test_perceptual_distance_without_a_truth_is_refused(capsys):
    save("set/a.png", texture(20, 20, 3))
    assert main([*REAL_SR, "--lq", "set", "--perceptual", "vgg16_hed"]) == 2
    assert "it takes --hq" in capsys.readouterr().err


def test_distance_takes_floats_in_batches_of_one(monkeypatch):
    def perceptual_distance(name, params, a, b):
        assert (name, a.dtype, a.shape) == ("vgg16_hed", np.float32, (1, 5, 6, 3))
        return params["factor"] * (a.mean() - b.mean())

    monkeypatch.setattr(judging, "load_features", lambda *names, progress: {"factor": np.float32(3)})
    monkeypatch.setattr(judging, "perceptual_distance", perceptual_distance)
    white, black = (np.full((5, 6, 3), value, np.uint8) for value in (255, 0))
    assert judging.load_distance("vgg16_hed")(white, black) == 3
