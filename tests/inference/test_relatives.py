"""SwinIR's relatives in Restorers: padding, tiles, rows and the command."""

import dataclasses
import functools

import numpy as np
import pytest
from goldens import TINY_SWIN2SR, TINY_UNSHUFFLED, compiled, image, relative_error
from weight_files import official_tensors, write_safetensors

from swinir_jax import Restorer, SwinIR, load_pretrained
from swinir_jax.checkpoints.names import params_from_official
from swinir_jax.cli.main import main
from swinir_jax.images import Picture, read_picture, write_picture
from swinir_jax.inference.chain import NetworkChain
from swinir_jax.inference.pictures import restore_picture

SMALL = dict(embed_dim=4, depths=(2,), num_heads=(2,))
SWIN2SR = dataclasses.replace(TINY_SWIN2SR, upsampler="pixelshuffle_aux", **SMALL)
UNSHUFFLED = dataclasses.replace(TINY_UNSHUFFLED, **SMALL)
each_relative = pytest.mark.parametrize("config", [SWIN2SR, UNSHUFFLED], ids=["swin2sr", "unshuffled"])


@functools.cache
def network(config):
    return SwinIR(config), params_from_official(official_tensors(config), config)


@each_relative
@pytest.mark.parametrize("fast", [True, False])
def test_a_margin_is_mirrored_around_the_image_and_cut_off(config, fast):
    (model, params), lq, multiple = network(config), image(61, 70, 3), config.side_multiple
    ends = [(8, 8 + -(side + 16) % multiple) for side in lq.shape[:2]]
    padded = np.pad(lq, (*ends, (0, 0)), mode="reflect")
    s = config.upscale
    expected = compiled(model)({"params": params}, padded[None])[0, 8 * s : 69 * s, 8 * s : 78 * s]
    assert relative_error(Restorer(model, params, tile=0, fast=fast).restore(lq), expected) < 1e-5


@each_relative
@pytest.mark.parametrize("size", [(150, 70), (1, 9)])
def test_tiles_are_close_to_the_whole(config, size):
    lq = image(*size, 3)
    whole = Restorer(*network(config), tile=0).restore(lq)
    tiled = Restorer(*network(config), tile=128, overlap=64).restore(lq)
    assert tiled.shape == whole.shape == (size[0] * config.upscale, size[1] * config.upscale, 3)
    assert relative_error(tiled, whole) < 0.04
    np.testing.assert_allclose(tiled[:32, :32], whole[:32, :32], atol=0.01)


@each_relative
@pytest.mark.parametrize("pad", ["reflect", "minimal", "official"])
def test_by_rows_as_in_memory(config, pad, tmp_path):
    pixels = (image(133, 70, 3) * 255).astype(np.uint8)
    write_picture(tmp_path / "a.png", Picture(pixels))
    restorer = NetworkChain([network(config)], tile=128, overlap=64, pad=pad)
    restorer.restore_file(tmp_path / "a.png", tmp_path / "b.png")
    expected = restore_picture(read_picture(tmp_path / "a.png"), restorer)
    np.testing.assert_array_equal(read_picture(tmp_path / "b.png").pixels, expected.pixels)


@each_relative
def test_the_command_restores_with_a_converted_network(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "")
    write_safetensors(tmp_path / "weights.safetensors", official_tensors(config))
    assert main(["convert", "weights.safetensors", "network"]) == 0
    pixels = (image(45, 38, 3) * 255).astype(np.uint8)
    write_picture("photo.png", Picture(pixels))
    assert main(["restore", "photo.png", "--model", "network", "--out", "restored.png"]) == 0
    model, params = load_pretrained("network")
    np.testing.assert_array_equal(read_picture("restored.png").pixels, Restorer(model, params)(pixels))
