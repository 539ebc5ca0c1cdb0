"""Shift and size of a network that are read from a file, or assumed with a warning."""

import dataclasses

import numpy as np
import pytest
import safetensors.numpy
from goldens import DATA, TINY, compiled, generated_weights, golden_case, params_of, relative_error
from weight_files import INPUTS, error_of, official_tensors, write_safetensors

import swinir_jax
from swinir_jax import InputError, Restorer
from swinir_jax.checkpoints.convert import convert
from swinir_jax.checkpoints.names import official_buffers, official_shapes
from swinir_jax.checkpoints.weight_file import read_weight_file
from swinir_jax.cli.main import main


@pytest.mark.as_shipped
def test_windows_shift_without_masks_by_a_logged_assumption(caplog):
    assert error_of(INPUTS / "nomask.pth") < 1e-5
    assert "windows shift (there are no attn_mask buffers), unless shift=False (--no-shift)" in caplog.text
    assert error_of(INPUTS / "nomask.pth", shift=False) > 1e-3
    caplog.clear()
    assert error_of(INPUTS / "nomask.pth", shift=True) < 1e-5
    assert "shift" not in caplog.text


@pytest.mark.parametrize("name", ["whole.pth", "rect_8x12.pth"])
def test_masks_tell_that_windows_shift(name, caplog):
    assert swinir_jax.load_pretrained(INPUTS / name)[0].config.shift_size == 2
    assert "shift" not in caplog.text
    with pytest.raises(InputError, match="shift=False contradicts the attn_mask buffers"):
        swinir_jax.load_pretrained(INPUTS / name, shift=False)


@pytest.mark.as_shipped
def test_a_network_trained_at_its_window_size_needs_the_option(tmp_path, caplog):
    config, weights, lq, expected = golden_case(DATA / "forward" / "trained_at_window_size.npz")
    tensors = {**weights, **official_buffers(config)}
    write_safetensors(tmp_path / "x.safetensors", tensors)
    model, params = swinir_jax.load_pretrained(tmp_path / "x.safetensors", shift=False)
    assert model.config.shift_size == 0
    assert relative_error(compiled(model)({"params": params}, lq), expected) < 1e-5
    assert "shift" not in caplog.text
    assert swinir_jax.load_pretrained(tmp_path / "x.safetensors")[0].config.shift_size == 4
    assert "windows shift (there are no attn_mask buffers)" in caplog.text


@pytest.mark.as_shipped
def test_conversion_keeps_the_shift(tmp_path, caplog):
    source = str(INPUTS / "nomask.pth")
    assert main(["convert", source, str(tmp_path / "model"), "--no-shift"]) == 0
    assert swinir_jax.load_pretrained(tmp_path / "model")[0].config.shift_size == 0
    assert swinir_jax.load_pretrained(tmp_path / "model", shift=True)[0].config.shift_size == 2
    convert([(tmp_path / "model", 1.0)], tmp_path / "back.safetensors")
    assert "do not tell shift=False" in caplog.text
    caplog.clear()
    convert([(source, 1.0)], tmp_path / "shifting.safetensors", shift=True)
    assert error_of(tmp_path / "shifting.safetensors") < 1e-5
    assert "windows shift" not in caplog.text


def test_some_masks_are_enough(caplog, tmp_path):
    config = dataclasses.replace(TINY, depths=(2, 2), img_size=(16, 24))
    tensors = official_tensors(config)
    del tensors["layers.0.residual_group.blocks.1.attn_mask"]
    write_safetensors(tmp_path / "x.safetensors", tensors)
    assert swinir_jax.load_pretrained(tmp_path / "x.safetensors")[0].config == config
    assert "shift" not in caplog.text
    name = "layers.1.residual_group.blocks.1.attn_mask"
    for wrong in (tensors[name][:4], tensors[name].transpose(0, 2, 1)[::-1]):
        write_safetensors(tmp_path / "x.safetensors", {**tensors, name: np.ascontiguousarray(wrong)})
        with pytest.raises(InputError, match="attn_mask"):
            swinir_jax.load_pretrained(tmp_path / "x.safetensors")


def test_a_position_embedding_tells_whether_windows_shift(caplog, tmp_path):
    for side in (16, 8):
        config = dataclasses.replace(TINY, ape=True, img_size=side)
        tensors = official_tensors(config)
        kept = {key: tensor for key, tensor in tensors.items() if not key.endswith("attn_mask")}
        write_safetensors(tmp_path / "x.safetensors", kept)
        assert swinir_jax.load_pretrained(tmp_path / "x.safetensors")[0].config == config
        with pytest.raises(InputError, match="contradicts img_size"):
            swinir_jax.load_pretrained(tmp_path / "x.safetensors", shift=side == 8)
        assert "shift" not in caplog.text
        assert ("16x16, a square" in caplog.text) == (side == 16)  # 256 positions can also be 8x32
        caplog.clear()


@pytest.mark.parametrize(
    ("options", "lost"),
    [
        (dict(ape=True, img_size=(8, 32)), "img_size=(8, 32): the file will be read with 16"),
        (dict(img_size=4), "window_size=8: the file will be read with 4"),
        (dict(in_chans=4, unshuffle=2), "in_chans=4: the file will be read with 1"),
    ],
)
def test_conversion_warns_of_what_official_names_tell_wrongly(options, lost, tmp_path, caplog):
    config = dataclasses.replace(TINY, **options)
    params = params_of(config)
    swinir_jax.save_pretrained(tmp_path / "model", swinir_jax.SwinIR(config), params)
    convert([(tmp_path / "model", 1.0)], tmp_path / "x.safetensors")
    assert f"do not tell {lost}" in caplog.text


@pytest.mark.as_shipped
def test_a_rectangle_there_and_back(tmp_path):
    original = read_weight_file(INPUTS / "rect_8x12.pth")[0]
    convert([(INPUTS / "rect_8x12.pth", 1.0)], tmp_path / "model")
    convert([(tmp_path / "model", 1.0)], tmp_path / "back.safetensors")
    convert([(tmp_path / "model", 1.0)], tmp_path / "small.safetensors", small=True)
    back = safetensors.numpy.load_file(tmp_path / "back.safetensors")
    assert back.keys() == original.keys()
    for name, tensor in original.items():
        np.testing.assert_array_equal(back[name], tensor, strict=True)
    assert error_of(tmp_path / "small.safetensors") < 1e-5


def test_a_rectangular_position_embedding_there_and_back(tmp_path):
    config = dataclasses.replace(TINY, ape=True, img_size=(16, 24), depths=(2,), num_heads=(2,))
    tensors = official_tensors(config)
    write_safetensors(tmp_path / "x.safetensors", tensors)
    convert([(tmp_path / "x.safetensors", 1.0)], tmp_path / "model")
    convert([(tmp_path / "model", 1.0)], tmp_path / "back.safetensors")
    back = safetensors.numpy.load_file(tmp_path / "back.safetensors")
    assert back.keys() == tensors.keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(back[name], tensor, strict=True)

    model, params = swinir_jax.load_pretrained(tmp_path / "model")
    assert model.config == config
    restorers = [Restorer(model, params, fast=fast, pad="minimal") for fast in (True, False)]
    for size in ((16, 24), (37, 41)):  # one tile, and several
        lq = np.random.default_rng(0).random((*size, 3), dtype=np.float32)
        fast, by_modules = (restorer.restore(lq) for restorer in restorers)
        assert fast.shape == (2 * size[0], 2 * size[1], 3)
        assert relative_error(fast, by_modules) < 2e-6


def test_without_masks_the_sides_of_a_rectangular_position_embedding_are_asked_for(tmp_path):
    config = dataclasses.replace(TINY, ape=True, img_size=(16, 24))
    write_safetensors(tmp_path / "x.safetensors", generated_weights(official_shapes(config), 1))
    with pytest.raises(InputError, match=r"x\.safetensors: absolute_pos_embed has 384 positions, no square"):
        swinir_jax.load_pretrained(tmp_path / "x.safetensors")
