import dataclasses
import json
import logging
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
import safetensors.numpy
from goldens import TINY, checkpoints, compiled, generated_weights, params_of, relative_error

import swinir_jax
from swinir_jax import InputError, SwinIRConfig
from swinir_jax.checkpoints import weight_file
from swinir_jax.checkpoints.convert import convert
from swinir_jax.checkpoints.names import official_buffers, official_shapes, params_to_official
from swinir_jax.checkpoints.store import save_model

FILES = checkpoints()
EXPECTED = np.load(FILES / "expected.npz")
CONFIG = SwinIRConfig.from_dict(json.loads((FILES / "config.json").read_text())["config"])


def error_of(source, **options):
    model, params = swinir_jax.load_pretrained(source, **options)
    return relative_error(compiled(model)({"params": params}, EXPECTED["input"]), EXPECTED["output"])


@pytest.mark.as_shipped
@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        *((name, 1e-5) for name in (
            "params.pth", "params_and_ema.pth", "bare.pth", "data_parallel.pth", "lightning.ckpt", "saved_on_cuda.pth",
            "legacy_format.pth", "strided.pth", "bare.safetensors",
        )),
        ("half.pth", 2e-3),  # the weights are rounded: 2^-11 and 2^-8
        ("bfloat16.pth", 2e-2),
    ],
)  # fmt: skip
def test_every_kind_of_file_gives_the_original_answer(name, tolerance):
    assert error_of(FILES / name) < tolerance


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("malicious.pth", "refuse|allow"),
        ("truncated.pth", "truncated.pth"),
        ("wrong_shape.pth", "shape"),
        ("not_swinir.pth", "not the weights of a SwinIR"),
    ],
)
def test_files_that_must_be_refused(name, word):
    with pytest.raises(InputError, match=word) as caught:
        swinir_jax.load_pretrained(FILES / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def without_a_bias(tmp_path):
    tensors = safetensors.numpy.load_file(FILES / "bare.safetensors")
    del tensors["layers.0.residual_group.blocks.0.mlp.fc2.bias"]
    (tmp_path / "odd.safetensors").write_bytes(safetensors.numpy.save(tensors))
    return tmp_path / "odd.safetensors"


def with_one_more(tmp_path):
    tensors = safetensors.numpy.load_file(FILES / "bare.safetensors")
    tensors["layers.0.head.weight"] = np.zeros(3, np.float32)
    (tmp_path / "odd.safetensors").write_bytes(safetensors.numpy.save(tensors))
    return tmp_path / "odd.safetensors"


@pytest.mark.parametrize(
    ("write", "word"),
    [(without_a_bias, r"missing.*fc2\.bias"), (with_one_more, r"unexpected.*layers\.0\.head\.weight")],
)
def test_missing_and_unexpected_tensors_are_named(tmp_path, write, word):
    with pytest.raises(InputError, match=word) as caught:
        swinir_jax.load_pretrained(write(tmp_path))
    assert "odd.safetensors" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_ema_weights_are_loaded_and_logged_and_raw_ones_on_request(caplog):
    assert error_of(FILES / "params_and_ema.pth") < 1e-5
    assert "took the averaged ones" in caplog.text
    assert "(weights='raw' or --weights raw takes raw ones)" in caplog.text
    assert error_of(FILES / "params_and_ema.pth", weights="raw") > 0.1


def test_raw_weights_of_a_file_that_has_none(monkeypatch):
    monkeypatch.setattr(weight_file, "read_torch_file", lambda path: {"params_ema": {"conv_first.weight": np.zeros(1)}})
    with pytest.raises(InputError, match="no raw weights in it; it holds params_ema"):
        weight_file.read_weight_file("x.pth", "raw")


def test_rules_are_logged_and_can_be_overridden(caplog):
    caplog.set_level(logging.INFO)
    model, _ = swinir_jax.load_pretrained(FILES / "bare.pth")
    assert model.config == CONFIG
    assert "img_range=1" in caplog.text
    assert "qk_scale=None" in caplog.text
    assert {record.levelno for record in caplog.records} == {logging.INFO}  # the usual values are no reason to warn
    caplog.clear()
    model, _ = swinir_jax.load_pretrained(FILES / "bare.pth", img_range=255.0, qk_scale=0.7)
    assert (model.config.img_range, model.config.qk_scale) == (255.0, 0.7)
    assert not caplog.text


def test_a_doubtful_rule_is_a_warning(tmp_path, caplog):
    config = dataclasses.replace(TINY, window_size=7, img_size=14, upscale=1, upsampler="", img_range=255.0)
    tensors = params_to_official(params_of(config), config)
    (tmp_path / "jpeg.safetensors").write_bytes(safetensors.numpy.save(tensors))
    assert swinir_jax.load_pretrained(tmp_path / "jpeg.safetensors")[0].config == config
    assert "by rule: img_range=255.0" in caplog.text
    assert "qk_scale" not in caplog.text


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    target = tmp_path_factory.mktemp("converted") / "model"
    convert([(FILES / "params.pth", 1.0)], target)
    return target


def flip_the_last_byte(path):
    *content, last = path.read_bytes()
    path.write_bytes(bytes([*content, last ^ 0xFF]))


def test_every_missing_piece_of_a_folder_is_an_input_error(folder, tmp_path):
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    assert Path("config.json") in files
    for i, file in enumerate(files):
        for damage in (Path.unlink, flip_the_last_byte):
            copy = shutil.copytree(folder, tmp_path / f"{i}{damage is Path.unlink}")
            damage(copy / file)
            with pytest.raises(InputError, match=file.name) as caught:
                swinir_jax.load_pretrained(copy)
            assert str(copy) in str(caught.value)
            assert "\n" not in str(caught.value)


def test_a_config_that_contradicts_the_weights_is_named(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    content = json.loads((copy / "config.json").read_text())
    for change, word in (
        ({"embed_dim": 24}, "contradicts the weights"),
        ({"colour": 1}, "colour"),
        ({"depths": [0]}, "depths"),
    ):
        (copy / "config.json").write_text(json.dumps({**content, "config": {**content["config"], **change}}))
        with pytest.raises(InputError, match=word):
            swinir_jax.load_pretrained(copy)


def test_unknown_names_get_the_nearest():
    with pytest.raises(InputError, match="lightweight_x2"):
        swinir_jax.load_pretrained("lightwait_x2")
    with pytest.raises(InputError, match="005_colorDN_DFWB_s128w8_SwinIR-M_noise25"):
        swinir_jax.load_pretrained("005_colorDN_DFWB_s128w8_SwinIR-M_noise26")
    with pytest.raises(InputError, match="no such file"):
        swinir_jax.load_pretrained("models/none.pth")


def test_other_suffixes_are_refused(tmp_path):
    (tmp_path / "weights.onnx").write_bytes(b"x")
    with pytest.raises(InputError, match=r"\.safetensors"):
        swinir_jax.load_pretrained(tmp_path / "weights.onnx")


def test_bundled_default_loads():
    model, params = swinir_jax.load_pretrained("lightweight_x2")
    assert (model.config.upscale, model.config.embed_dim) == (2, 60)
    assert params["conv_first"]["kernel"].shape == (3, 3, 3, 60)


@pytest.mark.parametrize("wrap", [
    lambda w: {"state_dict": {f"model.{k}": v for k, v in w.items()}},
    lambda w: {"model": {f"module.model.{k}": v for k, v in w.items()}},
    lambda w: {"model_state_dict": w, "epoch": 3},
    lambda w: {"iter": 3, "params": {"params_ema": w, "params": {}}},
])  # fmt: skip
def test_wrappers_and_prefixes(wrap, monkeypatch, tmp_path):
    weights = {**generated_weights(official_shapes(TINY), 1), **official_buffers(TINY)}
    monkeypatch.setattr(weight_file, "read_torch_file", lambda path: wrap(weights))
    tensors, _ = weight_file.read_weight_file("x.pth")
    assert tensors.keys() == weights.keys()


def test_a_file_that_contains_itself_ends(monkeypatch):
    content = {}
    content["params"] = content
    monkeypatch.setattr(weight_file, "read_torch_file", lambda path: content)
    with pytest.raises(InputError, match="no weights"):
        weight_file.read_weight_file("x.pth")


def test_parameters_are_no_views_of_the_file():
    _, params = swinir_jax.load_pretrained(FILES / "bare.pth")
    assert all(leaf.flags.owndata and leaf.flags.writeable for leaf in jax.tree.leaves(params))


def test_unknown_choice_of_weights():
    with pytest.raises(InputError, match="Raw"):
        swinir_jax.load_pretrained(FILES / "bare.pth", weights="Raw")


def test_windows_shift_without_buffers_by_a_logged_assumption(tmp_path, caplog):
    weights = generated_weights(official_shapes(TINY), 1)
    (tmp_path / "x.safetensors").write_bytes(safetensors.numpy.save(weights))
    assert swinir_jax.load_pretrained(tmp_path / "x.safetensors")[0].config.shift_size == 4
    assert "windows shift (there are no buffers)" in caplog.text


def test_a_tree_that_does_not_fit_is_not_written(tmp_path):
    _, params = swinir_jax.load_pretrained(FILES / "bare.pth")
    del params["norm"]
    with pytest.raises(InputError, match="missing norm/bias"):
        params_to_official(params, CONFIG)


def test_a_name_of_the_zoo_wins_over_a_folder_without_a_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("lightweight_x4").mkdir()
    Path("lightweight_x4/photo.png").touch()
    assert swinir_jax.load_pretrained("lightweight_x4")[0].config.upscale == 4
    Path("results").mkdir()
    with pytest.raises(InputError, match="results: holds no model"):
        swinir_jax.load_pretrained("results")
    params = params_of(TINY)
    save_model("lightweight_x2", params, TINY)
    assert swinir_jax.load_pretrained("lightweight_x2")[0].config == TINY
    Path("lightweight_x2/config.json").unlink()
    with pytest.raises(InputError, match="not a converted model"):
        swinir_jax.load_pretrained("lightweight_x2")
