import dataclasses

import jax
import numpy as np
import pytest
import safetensors.numpy
from goldens import TINY, checkpoints, compiled, params_of, relative_error

import swinir_jax
from swinir_jax import InputError
from swinir_jax.checkpoints.convert import convert
from swinir_jax.checkpoints.store import save_model

FILES = checkpoints()


def test_folder_and_back_is_bit_exact(tmp_path):
    convert([(FILES / "params.pth", 1.0)], tmp_path / "model", img_range=2.0)
    assert swinir_jax.load_pretrained(tmp_path / "model")[0].config.img_range == 2.0
    convert([(tmp_path / "model", 1.0)], tmp_path / "back.safetensors")
    back = safetensors.numpy.load_file(tmp_path / "back.safetensors")
    original = safetensors.numpy.load_file(FILES / "bare.safetensors")
    assert back.keys() == original.keys()
    for name, tensor in original.items():
        assert (back[name].dtype, back[name].tobytes()) == (tensor.dtype, tensor.tobytes()), name


@pytest.mark.parametrize("upsampler", ["", "pixelshuffle", "pixelshuffledirect", "nearest+conv"])
def test_another_img_range_restores_as_before(upsampler, tmp_path, caplog):
    config = dataclasses.replace(TINY, upsampler=upsampler, upscale=2 if upsampler else 1)
    params = params_of(config)
    save_model(tmp_path / "model", params, config)
    convert([(tmp_path / "model", 1.0)], tmp_path / "other.safetensors", to_img_range=255.0)
    assert "do not tell img_range=255.0" in caplog.text
    lq = np.random.default_rng(0).random((1, 16, 16, 3), dtype=np.float32)
    other, other_params = swinir_jax.load_pretrained(tmp_path / "other.safetensors", img_range=255.0)
    expected = compiled(swinir_jax.SwinIR(config))({"params": params}, lq)
    assert relative_error(compiled(other)({"params": other_params}, lq), expected) < 1e-5
    for img_range in (0.0, -1.0):
        with pytest.raises(InputError, match="img_range must be positive"):
            convert([(tmp_path / "model", 1.0)], tmp_path / "none", to_img_range=img_range)


def test_a_small_file_has_the_masks_of_the_smallest_image_that_shifts_and_integers_of_a_byte(tmp_path):
    config = dataclasses.replace(TINY, img_size=8 * TINY.window_size)
    params = params_of(config)
    save_model(tmp_path / "model", params, config)
    for name, small in (("whole", False), ("small", True)):
        convert([(tmp_path / "model", 1.0)], tmp_path / f"{name}.safetensors", small=small)
    whole, small = (safetensors.numpy.load_file(tmp_path / f"{name}.safetensors") for name in ("whole", "small"))
    masks, indices = ({name for name in whole if name.endswith(kind)} for kind in ("attn_mask", "position_index"))
    assert whole.keys() == small.keys()
    assert {name for name in whole if whole[name].tobytes() != small[name].tobytes()} == masks | indices
    assert {small[name].shape[0] for name in masks} == {4}
    assert {small[name].itemsize for name in masks | indices} == {1}
    assert all(np.array_equal(whole[name], small[name]) for name in indices)
    again, _ = swinir_jax.load_pretrained(tmp_path / "small.safetensors")
    assert again.config == dataclasses.replace(config, img_size=2 * config.window_size)


def test_a_file_of_float16_loads_as_float32(tmp_path):
    params = params_of(TINY)
    save_model(tmp_path / "model", params, TINY)
    convert([(tmp_path / "model", 1.0)], tmp_path / "whole.safetensors")
    convert([(tmp_path / "model", 1.0)], tmp_path / "half.safetensors", float16=True)
    whole, half = (safetensors.numpy.load_file(tmp_path / f"{name}.safetensors") for name in ("whole", "half"))
    assert whole.keys() == half.keys()
    for name, tensor in whole.items():
        expected = tensor.astype(np.float16) if tensor.dtype == np.float32 else tensor
        assert (half[name].dtype, half[name].tobytes()) == (expected.dtype, expected.tobytes()), name
    _, loaded = swinir_jax.load_pretrained(tmp_path / "half.safetensors")
    rounded = jax.tree.map(lambda leaf: np.asarray(leaf).astype(np.float16).astype(np.float32), params)
    jax.tree.map(np.testing.assert_array_equal, loaded, rounded)
    assert {leaf.dtype for leaf in jax.tree.leaves(loaded)} == {np.dtype(np.float32)}


def test_float16_that_cannot_be(tmp_path):
    params = params_of(TINY)
    params["conv_first"]["bias"] = np.full_like(params["conv_first"]["bias"], 1e5)
    save_model(tmp_path / "model", params, TINY)
    with pytest.raises(InputError, match=r"conv_first\.bias has values that float16 cannot hold"):
        convert([(tmp_path / "model", 1.0)], tmp_path / "new" / "half.safetensors", float16=True)
    with pytest.raises(InputError, match="model folders hold float32"):
        convert([(tmp_path / "model", 1.0)], tmp_path / "half", float16=True)
    with pytest.raises(InputError, match="model folders hold no masks"):
        convert([(tmp_path / "model", 1.0)], tmp_path / "half", small=True)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_nothing_is_written_unless_all_fits(tmp_path):
    for target in ("model", "back.safetensors"):
        with pytest.raises(InputError):
            convert([(FILES / "wrong_shape.pth", 1.0)], tmp_path / target)
    assert list(tmp_path.iterdir()) == []


def test_targets_that_cannot_be_written(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(InputError, match="exists already"):
        convert([(FILES / "params.pth", 1.0)], tmp_path / "full")
    with pytest.raises(InputError, match=r"written as \.safetensors"):
        convert([(FILES / "params.pth", 1.0)], tmp_path / "back.pth")
    with pytest.raises(InputError, match="cannot be written"):
        convert([(FILES / "params.pth", 1.0)], tmp_path / "full" / "file" / "model")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "full"]
