"""`swinir-jax restore` with --for and --scale."""

import dataclasses
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from goldens import generated_weights, params_of
from weight_server import serving

from swinir_jax import Restorer, SwinIRConfig, load_pretrained
from swinir_jax.checkpoints import download, purposes, zoo
from swinir_jax.checkpoints.names import official_shapes
from swinir_jax.checkpoints.purposes import PURPOSES, SCALES
from swinir_jax.checkpoints.store import save_model
from swinir_jax.cli.main import main
from swinir_jax.data.degradations import imresize
from swinir_jax.images import Picture, read_picture, write_picture
from swinir_jax.images.row_writing import progress_file
from swinir_jax.inference import engine, files
from swinir_jax.inference.photographs import to_samples

SMALL = SwinIRConfig(embed_dim=4, depths=(1,), num_heads=(1,), img_size=16)
CONFIGS = {
    "lightweight_x2": dataclasses.replace(SMALL, upscale=2, upsampler="pixelshuffledirect"),
    "lightweight_x3": dataclasses.replace(SMALL, upscale=3, upsampler="pixelshuffledirect"),
    "lightweight_x4": dataclasses.replace(SMALL, upscale=4, upsampler="pixelshuffledirect"),
    "jpeg_light": SMALL,
    "color_denoise_light": SMALL,
    "real_denoise": SMALL,
    "real_x2": dataclasses.replace(SMALL, upscale=2, upsampler="pixelshuffledirect"),
    "real_x4": dataclasses.replace(SMALL, upscale=4, upsampler="pixelshuffledirect"),
}
GRAY = "004_grayDN_DFWB_s128w8_SwinIR-M_noise25"


@pytest.fixture(autouse=True)
def server(in_tmp, no_weights_on_this_machine, monkeypatch):
    """Puts small networks in place of the bundled ones, and a server in place of the release."""
    small = {name: os.path.abspath(f"models/{name}") for name in CONFIGS}
    for name, config in CONFIGS.items():
        save_model(small[name], params_of(config, len(name)), config)
    monkeypatch.setattr(purposes, "bundled_models", lambda: small)
    gray = dataclasses.replace(SMALL, in_chans=1)
    official = dataclasses.replace(zoo.OFFICIAL[GRAY], config=gray)
    monkeypatch.setitem(zoo.OFFICIAL, GRAY, official)
    with serving(safetensors.numpy.save(generated_weights(official_shapes(gray), 1))) as server:
        monkeypatch.setenv(download.MIRROR_VARIABLE, f"http://127.0.0.1:{server.server_port}")
        yield server


@pytest.fixture
def run(capsys):
    """Returns a function that restores a picture, and returns exit code, result and printed lines."""

    def run(*options, picture=None):
        picture = picture or Picture(np.random.default_rng(0).integers(0, 256, (12, 17, 3), np.uint8))
        write_picture("photo.png", picture)
        code = main(["restore", "photo.png", "--out", "out.png", *options])
        result = read_picture("out.png") if code == 0 else None
        return code, result, capsys.readouterr().err.splitlines()

    return run


@pytest.fixture
def restorers(monkeypatch):
    """Puts a restorer that repeats pixels in place of the networks; returns those that the command would have used."""
    used = []

    def repeat(picture, restorer):
        used.append(restorer)
        pixels = picture.pixels.repeat(restorer.scale, axis=0).repeat(restorer.scale, axis=1)
        return dataclasses.replace(picture, pixels=pixels)

    monkeypatch.setattr(files, "restore_picture", repeat)
    return used


def through(*names):
    """Restores the picture of `run` by networks in turn, in floats."""
    image = read_picture("photo.png").pixels.astype(np.float32) / np.float32(255)
    for name in names:
        image = Restorer(*load_pretrained(f"models/{name}"))(image)
    return image


@pytest.mark.parametrize(
    ("options", "scales", "line"),
    [
        (
            [],
            [2],
            "photo, scale 2: real_x2 (bundled); removes noise, JPEG and mild blur; for strong blur, too: --best "
            "(67 MB download)",
        ),
        (
            ["--scale", "3"],
            [4],
            "photo, scale 3: real_x4 (bundled), then MATLAB's bicubic to scale 3; removes noise, JPEG and mild blur; "
            "for strong blur, too: --best (142 MB download)",
        ),
        (["--for", "jpeg"], [1], "jpeg, scale 1: jpeg_light (bundled); for JPEG of any quality from 10 to 90"),
        (
            ["--for", "clean", "--scale", "8"],
            [4, 2],
            "clean, scale 8: lightweight_x4 (bundled), then lightweight_x2 (bundled); for clean pictures, small",
        ),
        (
            ["--model", "models/lightweight_x2", "--scale", "4"],
            [2, 2],
            "scale 4: models/lightweight_x2 (given), then lightweight_x2 (bundled)",
        ),
        (
            ["--model", "models/lightweight_x4", "--scale", "2"],
            [4],
            "scale 2: models/lightweight_x4 (given), then MATLAB's bicubic to scale 2",
        ),
    ],
)
def test_the_networks_are_named_in_a_line(run, restorers, options, scales, line):
    code, _, lines = run(*options)
    assert code == 0
    assert line in lines
    [restorer] = restorers
    assert [model.config.upscale for model in restorer.models] == scales


def test_a_model_at_its_own_scale_needs_no_line(run, restorers):
    code, result, lines = run("--model", "models/lightweight_x2", "--scale", "2")
    assert code == 0
    assert result.pixels.shape == (24, 34, 3)
    assert not [line for line in lines if "scale" in line]


def test_networks_run_in_turn(run):
    _, result, _ = run("--for", "noise", "--scale", "2")
    expected = through("color_denoise_light", "lightweight_x2")
    np.testing.assert_array_equal(result.pixels, to_samples(expected, np.dtype(np.uint8)))


def test_other_scales_are_reached_by_bicubic(run):
    _, result, _ = run("--scale", "3")
    expected = imresize(through("real_x4"), size=(36, 51)).astype(np.float32)
    np.testing.assert_array_equal(result.pixels, to_samples(expected, np.dtype(np.uint8)))


@pytest.mark.parametrize("purpose", [name for name in PURPOSES if name != "gray-noise"])
@pytest.mark.usefixtures("restorers")
def test_nothing_is_fetched_by_default(run, server, purpose):
    for options, scale in (([], PURPOSES[purpose].scale), *((["--scale", str(scale)], scale) for scale in SCALES)):
        code, result, _ = run("--for", purpose, *options)
        assert code == 0
        assert result.pixels.shape == (12 * scale, 17 * scale, 3)
    assert server.asked == []


def test_a_folder_does_not_hide_a_bundled_network(run, restorers):
    shutil.copytree("models/lightweight_x4", "lightweight_x2")
    _, result, _ = run()
    assert result.pixels.shape == (24, 34, 3)


def test_what_is_not_bundled_is_fetched_once_and_named(run, restorers, server):
    gray = Picture(np.random.default_rng(0).integers(0, 256, (12, 17), np.uint8))
    for place in ("to be fetched", "cached"):
        code, result, lines = run("--for", "gray-noise", picture=gray)
        assert code == 0
        assert result.pixels.shape == (12, 17)
        assert f"gray-noise, scale 1: {GRAY} ({place}); for gray noise of sigma 25; no bundled network is" in lines
    assert server.asked == [f"/{GRAY}.pth"]


def test_weights_are_taken_from_the_folder_that_is_named(run, restorers, server):
    os.mkdir("given")
    Path(f"given/{GRAY}.pth").write_bytes(server.body)
    code, _, lines = run("--for", "gray-noise", "--weights-dir", "given")
    assert code == 0
    assert f"gray-noise, scale 1: {GRAY} (cached); for gray noise of sigma 25; no bundled network is" in lines
    assert server.asked == []


def test_best_and_level_choose_the_official_file(run, server):
    server.body = None
    code, _, lines = run("--for", "noise", "--best", "--level", "15")
    assert code == 4
    assert server.asked == ["/005_colorDN_DFWB_s128w8_SwinIR-M_noise15.pth"]
    assert "noise, scale 1: 005_colorDN_DFWB_s128w8_SwinIR-M_noise15 (to be fetched); for noise of sigma 15" in lines


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--model", "jpeg_light", "--for", "jpeg"], "--for chooses a network, and --model jpeg_light names one"),
        (["--model", "jpeg_light", "--best"], "--best chooses"),
        (["--model", "jpeg_light", "--level", "10"], "--level chooses"),
        (
            ["--for", "noise", "--level", "20"],
            r"Wrong level 20 \(--level\): the purpose noise .* takes the levels 15, 25, 50",
        ),
        (["--level", "25"], r"Wrong level 25 \(--level\): the purpose photo .* takes no level"),
        (
            ["--for", "noise", "--strength", "0.5"],
            "--strength 0.5: color_denoise_light cannot be made more faithful or stronger, of the bundled models, "
            "real_denoise, real_x2, real_x4 can; leave --strength out",
        ),
        (["--model", "models/jpeg_light", "--strength", "2"], "--strength must be 0 to 1, got 2"),
    ],
)
def test_options_that_contradict_each_other_are_refused(run, options, word):
    code, _, lines = run(*options)
    assert code == 2
    [line] = lines
    assert re.search(word, line)


def test_depth_alpha_and_resolution_stay(run):
    rng = np.random.default_rng(0)
    pixels, alpha = rng.integers(0, 65536, (12, 17, 3), np.uint16), rng.integers(0, 65536, (12, 17), np.uint16)
    code, result, lines = run("--scale", "3", "--compare", picture=Picture(pixels, alpha, dpi=(72.0, 72.0)))
    assert code == 0
    assert (result.pixels.shape, result.pixels.dtype, result.alpha.shape) == ((36, 51, 3), np.uint16, (36, 51))
    assert result.dpi == pytest.approx((72, 72), abs=0.1)
    assert read_picture("compare/out.png").pixels.shape == (36, 106, 3)
    assert "  alpha was resized, not restored" in lines


def test_planned_format_holds_the_scale_that_was_asked_for(restorers):
    write_picture("wide.webp", Picture(np.zeros((2, 2100, 3), np.uint8)))
    assert main(["restore", "wide.webp", "--out", "out", "--for", "clean", "--scale", "8"]) == 0
    assert os.listdir("out") == ["wide.png"]  # WebP ends at 16383 pixels


TILES = ["--tile", "32", "--overlap", "8"]


@pytest.fixture
def large(monkeypatch):
    """Returns a picture that does not fit into 8 MB."""
    monkeypatch.setattr(engine, "resident_bytes", lambda: 0)
    return Picture(np.random.default_rng(0).integers(0, 256, (1000, 100, 3), np.uint8))


def test_the_default_restores_pictures_larger_than_memory_by_rows(run, large):
    code, result, lines = run(*TILES, "--memory", "8MB", picture=large)
    assert code == 0
    assert "photo.png -> out.png 200x2000 (by rows" in " ".join(lines)
    _, expected, lines = run(*TILES, picture=large)
    assert "by rows" not in " ".join(lines)
    np.testing.assert_array_equal(result.pixels, expected.pixels)


def test_an_interrupted_run_of_the_default_is_continued(run, large, interruption, capsys):
    with interruption():
        assert run(*TILES, "--memory", "8MB", picture=large)[0] == 130
    capsys.readouterr()
    assert main(["restore", "photo.png", "--out", "out.png", *TILES, "--memory", "9GB"]) == 0
    assert "continues after row 512 of 2000" in capsys.readouterr().err


def test_bicubic_does_not_continue_an_unfinished_result(run):
    progress_file(Path("out.png")).write_text("{}")
    code, result, _ = run("--scale", "3")
    assert code == 0
    assert result.pixels.shape == (36, 51, 3)


def test_a_picture_too_large_for_bicubic_is_named(run, large):
    code, _, lines = run("--scale", "3", "--memory", "8MB", picture=large)
    assert code == 3
    assert (
        "failed: photo.png: 100x1000 pixels are too many for the memory allowed; scale 3 ends with bicubic resizing, "
        "which needs the whole image; scale 4 does not (--scale)." in " ".join(lines)
    )


def test_choice_as_json(capsys):
    write_picture("photo.png", Picture(np.zeros((8, 8, 3), np.uint8)))
    assert main(["restore", "photo.png", "--for", "clean", "--scale", "8", "--json"]) == 0
    told, choice = json.loads(capsys.readouterr().out), purposes.choose_models("clean", 8)
    assert told["networks"] == [step.model for step in choice.passes] == ["lightweight_x4", "lightweight_x2"]
    assert (told["scale"], told["reason"]) == (8, choice.reason)
