import contextlib
import dataclasses
import json
import logging
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
import safetensors.numpy
from goldens import TINY, params_of

import swinir_jax
from swinir_jax import InputError
from swinir_jax.checkpoints.convert import convert, with_img_range
from swinir_jax.checkpoints.ends import save_ends
from swinir_jax.checkpoints.store import save_model
from swinir_jax.checkpoints.zoo import bundled_models, weight_metadata
from swinir_jax.cli.main import main
from swinir_jax.images import Picture, write_picture

WIDER = dataclasses.replace(TINY, embed_dim=2 * TINY.embed_dim)


FIRST, SECOND = params_of(TINY), params_of(TINY, 2)
FIRST["conv_first"]["bias"][0] = -0.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Makes three networks: a and b of one architecture, and a wider one."""
    folder = tmp_path_factory.mktemp("models")
    save_model(folder / "a", FIRST, TINY)
    save_model(folder / "b", SECOND, TINY)
    save_model(folder / "wider", params_of(WIDER, 3), WIDER)
    return folder


@pytest.fixture(autouse=True)
def models(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "")
    for name in ("a", "b", "wider"):
        Path(name).symlink_to(folder / name)


def bits(params):
    return [(leaf.dtype, leaf.shape, leaf.tobytes()) for leaf in map(np.asarray, jax.tree.leaves(params))]


def load(name, **options):
    return swinir_jax.load_pretrained(name, **options)[1]


def assert_close(params, expected):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7), params, expected)


def run(*arguments):
    return main(["convert", *arguments])


def error_of(capsys, *arguments):
    """Runs a command that must be refused, and returns the only line of the message."""
    with contextlib.suppress(SystemExit):  # raised by argparse
        assert main([*arguments]) == 2
    [line] = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    return line


def test_a_blend_is_the_weighted_mean():
    third = params_of(TINY, 3)
    expected = jax.tree.map(lambda a, b, c: 0.5 * a + 0.3 * b + 0.2 * c, FIRST, SECOND, third)
    blended = swinir_jax.blend([(FIRST, 0.5), (SECOND, 0.3), (third, 0.2)])
    assert_close(blended, expected)
    assert {leaf.dtype for leaf in jax.tree.leaves(blended)} == {np.dtype(np.float32)}


def test_a_weight_of_1_keeps_a_network_bit_for_bit():
    assert bits(swinir_jax.blend([(FIRST, 1), (SECOND, 0)])) == bits(FIRST)
    assert bits(swinir_jax.blend([(FIRST, 0.0), (SECOND, 1.0)])) == bits(SECOND)


@pytest.mark.parametrize(
    ("networks", "words"),
    [
        ([(FIRST, 0.5), (SECOND, 0.4)], r"must sum to 1, but 0.5 \+ 0.4 is 0.9"),
        ([(FIRST, float("nan")), (SECOND, 1)], "is nan"),
        ([], "no weight is 0"),
        ([("lightweight_x2", 1)], "nested dictionary, got str"),
        ([({"params": FIRST}, 1)], r"pass variables\['params'\]"),
        ([(FIRST, 0.5), (params_of(WIDER, 3), 0.5)], r"Network 2 does not fit the first one: .* has shape"),
    ],
)
def test_networks_that_cannot_be_blended_are_refused(networks, words):
    with pytest.raises(InputError, match=words):
        swinir_jax.blend(networks)


@pytest.mark.parametrize("target", ["blend", "blend.safetensors"])
def test_the_command_blends_in_both_formats(target):
    Path("my, first:copy").symlink_to("a")
    assert run("--blend", r"my\, first:copy:0.25,b:0.75", "--out", target) == 0
    assert_close(load(target), swinir_jax.blend([(FIRST, 0.25), (SECOND, 0.75)]))


def test_networks_of_another_img_range_are_rewritten():
    save_model("b255", with_img_range(SECOND, TINY, 255.0), dataclasses.replace(TINY, img_range=255.0))
    assert run("--blend", "a:0.5,b255:0.5", "--out", "blend") == 0
    assert_close(load("blend"), swinir_jax.blend([(FIRST, 0.5), (SECOND, 0.5)]))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--blend", "a:0.7,b:0.2", "--out", "o"], "must sum to 1, but 0.7 + 0.2 is 0.9"),
        (["--blend", "a:0.5,wider:0.5", "--out", "o"], f"a and wider differ in embed_dim: {TINY.embed_dim} and"),
        (["--ends", "a,wider", "--out", "o"], f"a and wider differ in embed_dim: {TINY.embed_dim} and"),
        (["--blend", "a:1", "--out", "o"], "a blend is two or more of NAME:WEIGHT"),
        (["--blend", "a,b:1", "--out", "o"], "a blend is two or more of NAME:WEIGHT"),
        (["--blend", "a:0.5,nobody:0.5", "--out", "o"], "nobody: no such file, folder or model"),
        (["--blend", "a:0.5,b:0.5"], "Name one target"),
        (["a", "--blend", "a:0.5,b:0.5", "--out", "o"], "Name one source"),
        (["--out", "o"], "Name one source"),
        (["a"], "Name one target"),
        (["a", "o", "--out", "o"], "Name one target"),
        (["--ends", "a", "--out", "o"], "the ends are two names with a comma between, not 'a'"),
        (["--ends", "a,b", "--out", "a"], "a: exists already"),
        (["--ends", "a,b", "--out", "o.safetensors"], "o.safetensors: a model with two ends is a folder; name one"),
        (["--ends", "a,b", "--strength", "1.5", "--out", "o"], "strength (--strength) must be 0 to 1, got 1.5"),
        (["a", "--strength", "0.5", "--out", "o"], "a: has no two ends; leave out the strength"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(capsys, arguments, words):
    assert words in error_of(capsys, "convert", *arguments)
    assert not Path("o").exists()


@pytest.mark.parametrize("img_range", [1e-300, 1e-39, 1e300])
def test_ranges_that_float32_cannot_bridge_are_refused(img_range):
    with pytest.raises(InputError, match="too far from 1, the network's own"):
        with_img_range(SECOND, TINY, img_range)


def test_configurations_that_only_training_uses_may_differ():
    save_model("c", SECOND, dataclasses.replace(TINY, drop_path_rate=0.3))
    assert run("--blend", "a:0.5,c:0.5", "--out", "blend") == 0


def test_strength_chooses_between_two_ends(caplog):
    assert run("--ends", "a,b", "--out", "model", "--strength", "0.4") == 0
    assert bits(load("model", strength=0)) == bits(FIRST)
    assert bits(load("model", strength=1)) == bits(SECOND)
    assert bits(load("model", strength=np.float32(0.25))) == bits(load("model", strength=0.25))
    assert_close(load("model", strength=0.25), swinir_jax.blend([(FIRST, 0.75), (SECOND, 0.25)]))
    with caplog.at_level(logging.INFO):
        assert bits(load("model")) == bits(load("model", strength=0.4))
    assert "model: strength 0.4, from 0 (faithful) to 1 (strong)." in caplog.text
    assert swinir_jax.load_pretrained("model")[0].config == TINY


@pytest.mark.parametrize("strength", [np.float32(0.25), np.int64(1)])
def test_a_default_strength_of_numpy_is_stored(strength):
    save_ends("model", FIRST, SECOND, TINY, strength)
    assert json.loads(Path("model/config.json").read_text())["strength"] == strength


def test_the_default_strength_is_noted_in_the_folder():
    assert run("--ends", "a,b", "--out", "model") == 0
    assert json.loads(Path("model/config.json").read_text())["strength"] == 0.7
    assert bits(load("model")) == bits(load("model", strength=0.7))


def test_a_model_with_two_ends_is_converted_at_a_strength():
    assert run("--ends", "a,b", "--out", "model") == 0
    assert run("model", "strong.safetensors", "--strength", "1") == 0
    assert bits(load("strong.safetensors")) == bits(SECOND)
    assert "attn_mask" in str([*safetensors.numpy.load_file("model/strong.safetensors")])  # loads in PyTorch, too


def test_two_ends_in_float16():
    assert run("--ends", "a,b", "--out", "model", "--float16") == 0
    convert([("b", 1.0)], "half.safetensors", small=True, float16=True)
    assert Path("model/strong.safetensors").read_bytes() == Path("half.safetensors").read_bytes()
    assert bits(load("model", strength=1)) == bits(load("half.safetensors"))


def test_a_bundled_model_may_have_two_ends(monkeypatch, tmp_path):
    (tmp_path / "pretrained").mkdir()
    monkeypatch.setattr("swinir_jax.checkpoints.zoo.resources.files", lambda package: tmp_path)
    assert run("--ends", "a,b", "--out", "pretrained/light") == 0
    convert([("a", 1.0)], "pretrained/other.safetensors")
    assert [*bundled_models()] == ["light", "other"]
    assert bits(load("light", strength=1)) == bits(SECOND)
    assert weight_metadata("light") == weight_metadata(str(bundled_models()["light"]))
    assert weight_metadata("light")["license"]
    shutil.copy("pretrained/light/strong.safetensors", "copy.safetensors")
    assert weight_metadata("copy.safetensors") == weight_metadata("light")


@pytest.fixture
def photo():
    write_picture("photo.png", Picture(np.zeros((8, 8, 3), np.uint8)))
    return "photo.png"


@pytest.mark.parametrize("strength", ["-0.1", "1.01", "nan"])
def test_a_strength_out_of_range_is_refused(capsys, photo, strength):
    assert run("--ends", "a,b", "--out", "model") == 0
    line = error_of(capsys, "restore", photo, "--model", "model", f"--strength={strength}", "--out", "out")
    assert "--strength must be 0 to 1, got" in line


def test_a_model_without_two_ends_refuses_a_strength(capsys, photo):
    line = error_of(capsys, "restore", photo, "--model", "a", "--strength", "1", "--out", "out")
    assert "--strength 1: a cannot be made more faithful or stronger, " in line
    assert line.endswith("leave --strength out.")
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.unlink(), "strong.safetensors is missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:-4] + b"none"), "strong.safetensors is damaged"),
    ],
)
def test_damage_is_noticed(damage, words):
    assert run("--ends", "a,b", "--out", "model") == 0
    damage(Path("model/strong.safetensors"))
    with pytest.raises(InputError, match=words):
        load("model")
