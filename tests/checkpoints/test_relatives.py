"""SwinIR's relatives, Swin2SR and the SwinIR of DiffBIR: read off their files, and written back."""

import dataclasses
import json
import re
from pathlib import Path

import jax
import numpy as np
import pytest
import safetensors.numpy
from goldens import (
    FAMILY,
    TINY,
    TINY_SWIN2SR,
    TINY_UNSHUFFLED,
    generated_weights,
    golden_case,
    relative_error,
)
from weight_files import official_tensors, under, write_safetensors

import swinir_jax
from swinir_jax import InputError, SwinIR
from swinir_jax.checkpoints import weight_file
from swinir_jax.checkpoints.architecture import infer_config, tells_window
from swinir_jax.checkpoints.convert import convert, with_img_range
from swinir_jax.checkpoints.names import official_buffers, official_shapes, params_from_official, params_to_official
from swinir_jax.config import SwinIRConfig

ATTENTION = "layers.0.residual_group.blocks.0.attn"


def smallest(**options) -> SwinIRConfig:
    return dataclasses.replace(TINY_SWIN2SR, depths=(2,), num_heads=(2,), **options)


# One network of each kind.
RELATIVES = {
    "swin2sr": TINY_SWIN2SR,
    "swin2sr for JPEG": smallest(upsampler="", upscale=1, in_chans=1, window_size=7, img_size=14, img_range=255.0),
    "swin2sr without shift": smallest(img_size=8),
    "swin2sr aux": smallest(upsampler="pixelshuffle_aux", upscale=4),
    "swin2sr hf": smallest(upsampler="pixelshuffle_hf"),
    "unshuffled": TINY_UNSHUFFLED,
    "unshuffled, of four channels": dataclasses.replace(TINY_UNSHUFFLED, in_chans=4),
}
each_relative = pytest.mark.parametrize("config", RELATIVES.values(), ids=RELATIVES)


@pytest.mark.parametrize("path", FAMILY, ids=lambda path: path.stem)
def test_configuration_and_buffers_of_the_original_s_files(path):
    config, weights, _, _ = golden_case(path)
    described = json.loads(str(np.load(path)["buffers"]))
    buffers = official_buffers(config)
    assert {name: list(buffer.shape) for name, buffer in buffers.items()} == described
    inferred = infer_config({**weights, **buffers}, img_range=config.img_range, qk_scale=config.qk_scale)
    training = {name: getattr(config, name) for name in ("drop_rate", "attn_drop_rate", "drop_path_rate")}
    assert dataclasses.replace(inferred, **training) == config


@each_relative
def test_there_and_back_is_bit_exact(config):
    tensors = official_tensors(config)
    back = params_to_official(params_from_official(tensors, config), config)
    assert back.keys() == tensors.keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(back[name], tensor, strict=True)
    assert infer_config(tensors, shift=None if config.shift_size else False) == config


def test_without_buffers_the_window_of_a_swin2sr_is_assumed_and_told(tmp_path, caplog):
    weights = generated_weights(official_shapes(TINY_SWIN2SR), 1)
    model, _ = swinir_jax.load_pretrained(write_safetensors(tmp_path / "x.safetensors", weights))
    assert (model.config.window_size, model.config.shift_size) == (8, 4)
    assert "windows of 8 pixels (there are no buffers)" in caplog.text
    assert "qk_scale" not in caplog.text  # a swin2sr has none
    assert not tells_window(weights)
    for name, buffer in official_buffers(dataclasses.replace(TINY_SWIN2SR, window_size=5, img_size=10)).items():
        assert infer_config({**weights, name: buffer}).window_size == 5
    caplog.clear()
    tensors = {**weights, **official_buffers(TINY_SWIN2SR)}
    swinir_jax.load_pretrained(write_safetensors(tmp_path / "x.safetensors", tensors))
    assert "windows" not in caplog.text


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({f"{ATTENTION}.v_bias": None}, rf"missing {ATTENTION}\.v_bias \(12,\)"),
        ({f"{ATTENTION}.cpb_mlp.2.weight": None}, r"missing .*cpb_mlp\.2\.weight \(2, 512\)"),
        ({"patch_embed.proj.bias": None}, r"missing patch_embed\.proj\.bias \(12,\)"),
        ({f"{ATTENTION}.k_bias": np.zeros(12, "f4")}, r"unexpected .*k_bias"),
        ({"conv_aux.bias": np.zeros(3, "f4")}, r"unexpected conv_aux\.bias"),
        ({f"{ATTENTION}.logit_scale": np.zeros((2, 1), "f4")}, "logit_scale of 3 axes"),
        ({f"{ATTENTION}.cpb_mlp.0.weight": np.zeros((64, 2), "f4")}, r"cpb_mlp\.0\.weight has shape \(64, 2\)"),
        ({f"{ATTENTION}.relative_coords_table": np.zeros((1, 15, 15, 2), "f4")}, "relative_coords_table differs"),
        ({f"{ATTENTION}.relative_position_index": np.zeros((64, 64), "i8")}, "relative_position_index differs"),
    ],
    ids=lambda value: next(iter(value)).removeprefix(f"{ATTENTION}.") if isinstance(value, dict) else "",
)
def test_tensors_that_do_not_fit_are_refused(change, problem, tmp_path):
    tensors = {name: t for name, t in {**official_tensors(TINY_SWIN2SR), **change}.items() if t is not None}
    with pytest.raises(InputError, match=problem):
        swinir_jax.load_pretrained(write_safetensors(tmp_path / "x.safetensors", tensors))


@pytest.mark.parametrize(
    ("name", "shape", "problem"),
    [
        ("conv_first.1.weight", (12, 1, 3, 3), "conv_first.1 takes 1 channels, which no pixel unshuffle makes of 3"),
        ("conv_first.1.weight", (12, 7, 3, 3), "conv_first.1 takes 7 channels, which no pixel unshuffle makes of 3"),
        ("conv_last.weight", (0, 64, 3, 3), "no tensor conv_last.weight of 4 axes with values"),
        ("conv_last.weight", (), "no tensor conv_last.weight of 4 axes with values"),
    ],
)
def test_first_and_last_convolutions_of_no_pixel_unshuffle(name, shape, problem, tmp_path):
    tensors = {**official_tensors(TINY_UNSHUFFLED), name: np.ones(shape, np.float32)}
    with pytest.raises(InputError, match=re.escape(problem)):
        swinir_jax.load_pretrained(write_safetensors(tmp_path / "x.safetensors", tensors))


@pytest.mark.parametrize("place", ["", "params_ema/", "state_dict/module.", "params/net_g.module."])
@each_relative
def test_networks_below_wrappers_and_prefixes(config, place, monkeypatch):
    content = under(place, official_tensors(config))
    monkeypatch.setattr(weight_file, "read_torch_file", lambda path: content)
    tensors, notes = weight_file.read_weight_file("x.pth")
    assert tensors.keys() == official_tensors(config).keys()
    assert notes == []


@pytest.mark.parametrize("config", [RELATIVES["swin2sr hf"], TINY_UNSHUFFLED], ids=["swin2sr", "unshuffled"])
def test_averaged_copies_beside(config, monkeypatch):
    raw, averaged = official_tensors(config), generated_weights(official_shapes(config), 2)
    for copies in (
        {"params_ema": averaged},
        {"model_ema": {name.replace(".", ""): tensor for name, tensor in averaged.items()}},
        {"ema": {"shadow_params": [*averaged.values()]}},
    ):
        content = {"params": raw, **copies}
        monkeypatch.setattr(weight_file, "read_torch_file", lambda path, content=content: content)
        for weights, expected in (("ema", averaged), ("raw", raw)):
            tensors, _ = weight_file.read_weight_file("x.pth", weights)
            assert all(tensors[name] is expected[name] for name in averaged)


def all_answers(config, params, lq):
    apply = jax.jit(lambda params: SwinIR(config).apply({"params": params}, lq, mutable=["intermediates"]))
    restored, collections = apply(params)
    return [restored, *collections.get("intermediates", {}).get("answers", [()])[0]]


@pytest.mark.parametrize("kind", ["swin2sr for JPEG", "swin2sr aux", "swin2sr hf", "unshuffled"])
def test_another_img_range_gives_the_same_answers(kind):
    config = dataclasses.replace(RELATIVES[kind], depths=(1,), num_heads=(2,))
    params = params_from_official(official_tensors(config), config)
    rewritten, other = with_img_range(params, config, 7.0), dataclasses.replace(config, img_range=7.0)
    height, width = config.example_sides
    lq = np.random.default_rng(0).random((1, height, width - 3, config.in_chans), dtype=np.float32)
    pairs = zip(all_answers(other, rewritten, lq), all_answers(config, params, lq), strict=True)
    for answer, expected in pairs:
        assert relative_error(answer, expected) < 1e-5


@each_relative
def test_conversion_to_a_folder_and_back_keeps_every_bit(config, tmp_path):
    tensors = official_tensors(config)
    source = write_safetensors(tmp_path / "x.safetensors", tensors)
    shift = None if config.shift_size else False
    convert([(source, 1.0)], tmp_path / "model", shift=shift)
    convert([(tmp_path / "model", 1.0)], tmp_path / "back.safetensors")
    assert swinir_jax.load_pretrained(tmp_path / "model")[0].config == config
    back = safetensors.numpy.load_file(tmp_path / "back.safetensors")
    assert back.keys() == tensors.keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(back[name], tensor, strict=True)


def test_the_second_body_of_a_swin2sr_ends_with_one_convolution():
    config = dataclasses.replace(RELATIVES["swin2sr hf"], resi_connection="3conv")
    names = official_shapes(config)
    assert {name for name in names if name.startswith("conv_after_body_hf")} == {
        "conv_after_body_hf.weight", "conv_after_body_hf.bias",
    }  # fmt: skip
    assert {"conv_after_body.0.weight", "conv_after_body.4.weight", "layers_hf.0.conv.2.weight"} <= names.keys()
    assert infer_config(official_tensors(config)) == config


def test_a_small_file_of_a_swin2sr_tells_window_and_shift(tmp_path, caplog):
    config = dataclasses.replace(TINY_SWIN2SR, img_size=40, window_size=5)
    source = write_safetensors(tmp_path / "x.safetensors", official_tensors(config))
    convert([(source, 1.0)], tmp_path / "small.safetensors", small=True)
    found = swinir_jax.load_pretrained(tmp_path / "small.safetensors")[0].config
    assert found == dataclasses.replace(config, img_size=10)
    assert "windows" not in caplog.text


def test_blends_are_of_one_family(tmp_path):
    def written(name: str, config: SwinIRConfig, seed: int) -> Path:
        weights = generated_weights(official_shapes(config), seed)
        return write_safetensors(tmp_path / name, {**weights, **official_buffers(config)})

    a, b = (written(f"{seed}.safetensors", TINY_SWIN2SR, seed) for seed in (1, 2))
    convert([(a, 0.5), (b, 0.5)], tmp_path / "blend")
    (_, first), (_, second), (model, blended) = map(swinir_jax.load_pretrained, (a, b, tmp_path / "blend"))
    assert model.config == TINY_SWIN2SR
    scales = (p["layers_0"]["residual_group"]["blocks_0"]["attn"]["logit_scale"] for p in (first, second, blended))
    one, two, mean = scales
    np.testing.assert_allclose(mean, (one + two) / 2, rtol=1e-6)
    other = written("swinir.safetensors", TINY, 3)
    with pytest.raises(InputError, match="differ in family: 'swin2sr' and 'swinir'"):
        convert([(a, 0.5), (other, 0.5)], tmp_path / "none")


def test_windows_of_a_swin2sr_that_do_not_shift(tmp_path, caplog):
    config = RELATIVES["swin2sr without shift"]
    path = write_safetensors(tmp_path / "x.safetensors", official_tensors(config))
    assert swinir_jax.load_pretrained(path)[0].config.shift_size == 4
    assert "windows shift (there are no attn_mask buffers)" in caplog.text
    caplog.clear()
    assert swinir_jax.load_pretrained(path, shift=False)[0].config == config
    assert "shift" not in caplog.text
    shifting = write_safetensors(tmp_path / "y.safetensors", official_tensors(TINY_SWIN2SR))
    with pytest.raises(InputError, match="shift=False contradicts"):
        swinir_jax.load_pretrained(shifting, shift=False)
