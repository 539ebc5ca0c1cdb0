"""Files as people bring them: each is read rightly, and what was assumed is said, or refused with a true sentence."""

import dataclasses
import functools
import shutil
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest
import safetensors.numpy
from goldens import DATA, TINY, generated_weights, golden_case, relative_error
from torch_programs import call, items, state_dict, value, write_archive, write_zip

import swinir_jax
from swinir_jax import InputError, Restorer
from swinir_jax.checkpoints import weight_file
from swinir_jax.checkpoints.convert import convert
from swinir_jax.checkpoints.names import official_buffers, official_shapes, params_from_official
from swinir_jax.checkpoints.store import save_model
from swinir_jax.checkpoints.weight_file import read_weight_file
from swinir_jax.cli.main import main

INPUTS = DATA / "inputs"
EXPECTED = np.load(INPUTS / "expected.npz")
WHOLE = INPUTS / "whole.pth"
WEIGHTS = {**generated_weights(official_shapes(TINY), 1), **official_buffers(TINY)}
OTHERS = generated_weights(official_shapes(TINY), 2)
FIRST = "conv_first.weight"


@functools.cache  # most files hold the same network, which is compiled once
def compiled(model):
    return jax.jit(model.apply)


def error_of(source, expected=EXPECTED["whole"], **options):
    model, params = swinir_jax.load_pretrained(source, **options)
    return relative_error(compiled(model)({"params": params}, EXPECTED["input"]), expected)


@pytest.mark.parametrize("path", sorted(INPUTS.glob("*.*[!z]")), ids=lambda path: path.name)
def test_small_inputs_give_the_original_answer(path):
    if path.name == "x1_pixelshuffle.pth":
        assert error_of(path, EXPECTED["x1_pixelshuffle"]) < 2**-11  # the file's weights are rounded to float16
    else:
        assert error_of(path, EXPECTED["rect_8x12" if path.name == "rect_8x12.pth" else "whole"]) < 1e-5


# Windows that shift, or do not


def test_deleted_masks_are_said_and_assumed_to_have_been_there(caplog):
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
    with pytest.raises(InputError, match="shift=False contradicts its attn_mask"):
        swinir_jax.load_pretrained(INPUTS / name, shift=False)


def test_a_network_trained_at_its_window_size_needs_the_option(tmp_path, caplog):
    config, weights, lq, expected = golden_case(DATA / "forward" / "trained_at_window_size.npz")
    tensors = {**weights, **official_buffers(config)}
    (tmp_path / "x.safetensors").write_bytes(safetensors.numpy.save(tensors))
    model, params = swinir_jax.load_pretrained(tmp_path / "x.safetensors", shift=False)
    assert model.config.shift_size == 0
    assert relative_error(compiled(model)({"params": params}, lq), expected) < 1e-5
    assert "shift" not in caplog.text
    assert swinir_jax.load_pretrained(tmp_path / "x.safetensors")[0].config.shift_size == 4
    assert "windows shift (there are no attn_mask buffers)" in caplog.text


def test_conversion_keeps_what_was_said_of_the_shift(tmp_path, caplog):
    source = str(INPUTS / "nomask.pth")
    assert main(["convert", source, str(tmp_path / "model"), "--no-shift"]) == 0
    assert swinir_jax.load_pretrained(tmp_path / "model")[0].config.shift_size == 0
    assert swinir_jax.load_pretrained(tmp_path / "model", shift=True)[0].config.shift_size == 2
    convert(tmp_path / "model", tmp_path / "back.safetensors")
    assert "do not tell shift=False" in caplog.text
    caplog.clear()
    convert(source, tmp_path / "shifting.safetensors", shift=True)
    assert error_of(tmp_path / "shifting.safetensors") < 1e-5
    assert "windows shift" not in caplog.text


def test_some_masks_are_enough(caplog, tmp_path):
    config = dataclasses.replace(TINY, depths=(2, 2), img_size=(16, 24))
    tensors = {**generated_weights(official_shapes(config), 1), **official_buffers(config)}
    del tensors["layers.0.residual_group.blocks.1.attn_mask"]
    (tmp_path / "x.safetensors").write_bytes(safetensors.numpy.save(tensors))
    assert swinir_jax.load_pretrained(tmp_path / "x.safetensors")[0].config == config
    assert "shift" not in caplog.text
    name = "layers.1.residual_group.blocks.1.attn_mask"
    for wrong in (tensors[name][:4], tensors[name].transpose(0, 2, 1)[::-1]):
        (tmp_path / "x.safetensors").write_bytes(safetensors.numpy.save({**tensors, name: np.ascontiguousarray(wrong)}))
        with pytest.raises(InputError, match="attn_mask"):
            swinir_jax.load_pretrained(tmp_path / "x.safetensors")


def test_a_position_embedding_tells_whether_windows_shift(caplog, tmp_path):
    for side in (16, 8):
        config = dataclasses.replace(TINY, ape=True, img_size=side)
        tensors = {**generated_weights(official_shapes(config), 1), **official_buffers(config)}
        kept = {key: tensor for key, tensor in tensors.items() if not key.endswith("attn_mask")}
        (tmp_path / "x.safetensors").write_bytes(safetensors.numpy.save(kept))
        assert swinir_jax.load_pretrained(tmp_path / "x.safetensors")[0].config == config
        with pytest.raises(InputError, match="contradicts img_size"):
            swinir_jax.load_pretrained(tmp_path / "x.safetensors", shift=side == 8)
    assert "shift" not in caplog.text


def test_a_rectangle_there_and_back(tmp_path):
    original = read_weight_file(INPUTS / "rect_8x12.pth")[0]
    convert(INPUTS / "rect_8x12.pth", tmp_path / "model")
    convert(tmp_path / "model", tmp_path / "back.safetensors")
    convert(tmp_path / "model", tmp_path / "small.safetensors", small=True)
    back = safetensors.numpy.load_file(tmp_path / "back.safetensors")
    assert back.keys() == original.keys()
    for name, tensor in original.items():
        np.testing.assert_array_equal(back[name], tensor, strict=True)
    assert error_of(tmp_path / "small.safetensors") < 1e-5


def test_a_rectangular_position_embedding_there_and_back(tmp_path):
    config = dataclasses.replace(TINY, ape=True, img_size=(16, 24), depths=(2,), num_heads=(2,))
    tensors = {**generated_weights(official_shapes(config), 1), **official_buffers(config)}
    (tmp_path / "x.safetensors").write_bytes(safetensors.numpy.save(tensors))
    convert(tmp_path / "x.safetensors", tmp_path / "model")
    convert(tmp_path / "model", tmp_path / "back.safetensors")
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
    (tmp_path / "x.safetensors").write_bytes(safetensors.numpy.save(generated_weights(official_shapes(config), 1)))
    with pytest.raises(InputError, match=r"x\.safetensors: absolute_pos_embed has 384 positions, no square"):
        swinir_jax.load_pretrained(tmp_path / "x.safetensors")


# Which tensors: wrappers, prefixes, several networks


def under(path, weights=WEIGHTS):
    *wrappers, prefix = path.split("/")
    content = {prefix + key: tensor for key, tensor in weights.items()}
    for wrapper in reversed(wrappers):
        content = {wrapper: content}
    return content


def read(monkeypatch, content, weights="ema"):
    monkeypatch.setattr(weight_file, "read_torch_file", lambda path: content)
    return read_weight_file("x.pth", weights)


@pytest.mark.parametrize("path", [
    "", "_orig_mod.", "net.", "netG.", "net_g.", "generator.", "params_ema.", "module._orig_mod.", "model.module.net.",
    "state_dict/module._orig_mod.", "net/", "net_g/", "netG/", "generator/", "G/", "ema/", "model_ema/", "weights/",
    "a/b/c/d/e/f/g/h.i.j.", "my model/", "checkpoint/0/",
])  # fmt: skip
def test_any_wrapper_and_prefix(monkeypatch, path):
    tensors, notes = read(monkeypatch, {"iter": 3, **under(path)})
    assert tensors.keys() == WEIGHTS.keys()
    assert not notes


@pytest.mark.parametrize("averaged", [
    "params_ema/", "params-ema/", "ema/", "model_ema/", "net_g_ema/", "netG_ema/", "EMA/", "modelEMA/", "emaModel/",
    "ema_model.", "state_dict_ema/", "swa_model/module.", "generator_avg/", "ema/shadow/",
])  # fmt: skip
@pytest.mark.parametrize("raw", ["params/", "net_g/", "model/"])
@pytest.mark.parametrize("first", [True, False])
def test_averaged_weights_are_wanted_under_any_name(monkeypatch, averaged, raw, first):
    parts = [under(averaged), under(raw, OTHERS)]
    content = {**parts[0], **parts[1]} if first else {**parts[1], **parts[0]}
    tensors, notes = read(monkeypatch, content)
    assert tensors[FIRST] is WEIGHTS[FIRST]
    assert len(notes) == 1
    assert "took the averaged ones" in notes[0]
    tensors, notes = read(monkeypatch, content, "raw")
    assert tensors[FIRST] is OTHERS[FIRST]
    assert "took the raw ones" in notes[0]


def test_a_counter_tells_that_weights_are_averaged(monkeypatch):
    content = {**under("model/", OTHERS), "other": {"n_averaged": np.array(7), **under("module.")}}
    assert read(monkeypatch, content)[0][FIRST] is WEIGHTS[FIRST]


@pytest.mark.parametrize("name", ["schema", "cinema.", "emanet/", "remap/"])
def test_other_words_are_not_averages(monkeypatch, name):
    assert read(monkeypatch, under(name if name[-1] in "./" else f"{name}/"), "raw")[0].keys() == WEIGHTS.keys()


def test_the_first_of_several_networks_is_taken_and_the_others_named(monkeypatch):
    content = {**under("student/"), **under("teacher/", OTHERS), **under("netG_B/", OTHERS)}
    tensors, notes = read(monkeypatch, content)
    assert tensors[FIRST] is WEIGHTS[FIRST]
    assert notes == ["x.pth holds several networks; took the first, student, and left teacher, netG_B."]


def test_networks_beside_each_other_do_not_mix(monkeypatch):
    tensors, notes = read(monkeypatch, {**under("", OTHERS), **under("ema.")})
    assert tensors.keys() == WEIGHTS.keys()
    assert "ema" in notes[0]
    assert read(monkeypatch, {**under("", OTHERS), **under("ema.")}, "raw")[0].keys() == OTHERS.keys()


def test_what_belongs_to_no_network_is_left_and_named(monkeypatch):
    disc = {"net_d.conv0.weight": np.zeros((4, 3, 3, 3)), "net_d.conv_first.weight": np.zeros((4, 3, 3, 3))}
    vgg = {f"loss.vgg.features.{i}.weight": np.zeros((4, 3, 3, 3)) for i in range(3)}
    optimizer = {"optimizer": {"state": {0: {"exp_avg": np.zeros(3)}}, "param_groups": []}}
    tensors, notes = read(monkeypatch, {"state_dict": {**disc, **vgg, **under("net_g.")}, **optimizer})
    assert tensors.keys() == WEIGHTS.keys()
    assert notes == ["x.pth holds more than the network, which was left: state_dict.net_d, state_dict.loss."]


def test_shared_and_endless_containers_are_entered_once(monkeypatch):
    content = {"params": dict(WEIGHTS)}
    content["again"], content["params"]["self"] = content["params"], content
    for _ in range(64):
        content = {"a": content, "b": content, "c": [content, content]}
    tensors, _ = read(monkeypatch, content)
    assert tensors.keys() == WEIGHTS.keys()


def test_strange_keys_stay_on_one_line(monkeypatch):
    for key in ("a\nb", "\x1b[31m", 10**5000, b"x", None, "x" * 100_000):
        with pytest.raises(InputError, match="no weights") as caught:
            read(monkeypatch, {key: 1})
        assert str(caught.value).isprintable()
    content = {"a\nb\x1b": under("", OTHERS), **under("ema/")}
    assert all(note.isprintable() for note in read(monkeypatch, content)[1])


# Kinds of files


def renamed(path, name):
    return lambda folder: shutil.copy(path, folder / name)


def unpacked(folder):
    with zipfile.ZipFile(WHOLE) as archive:
        archive.extractall(folder / "network")
    return folder / "network"


def compressed(folder):
    with zipfile.ZipFile(WHOLE) as old, zipfile.ZipFile(folder / "x.pth", "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return folder / "x.pth"


@pytest.mark.parametrize("make", [
    *(renamed(WHOLE, name) for name in ("x.pth.tar", "pytorch_model.bin", "network", "x.PTH", "x.safetensors", "x.1")),
    *(renamed(INPUTS / "params_ema_prefix.safetensors", name) for name in ("x.pth", "x.ckpt", "x")),
    unpacked, lambda folder: unpacked(folder) / "whole", compressed,
])  # fmt: skip
def test_the_content_counts_not_the_ending(make, tmp_path):
    assert error_of(make(tmp_path)) < 1e-5


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "an empty file"),
        (b"<!DOCTYPE html>\n<html>", "a web page"),
        (b"\n\n  <html lang='en'>", "a web page"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n", "a Git LFS pointer"),
        (b"\x1f\x8b\x08" + b"\0" * 20, "a packed archive; unpack it first"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"\x89PNG\r\n\x1a\n", "an image"),
        (b"Entry not found", "neither PyTorch's nor safetensors"),
        (bytes(600), "neither PyTorch's nor safetensors"),
    ],
)
@pytest.mark.parametrize("ending", [".pth", ".safetensors", ""])
def test_other_files_are_told_what_they_are(content, sentence, ending, tmp_path):
    (tmp_path / f"x{ending}").write_bytes(content)
    with pytest.raises(InputError, match=sentence) as caught:
        swinir_jax.load_pretrained(tmp_path / f"x{ending}")
    assert "Error(" not in str(caught.value)
    assert "\n" not in str(caught.value)


KERNEL, VECTOR, MATRIX = np.zeros((4, 4, 3, 3), "f4"), np.zeros(4, "f4"), np.zeros((4, 4), "f4")
BLOCK = "layers.0.residual_group.blocks.0"
SWIN = {FIRST: KERNEL, f"{BLOCK}.attn.relative_position_bias_table": np.zeros((9, 1), "f4")}
FOREIGN = {
    "an ESRGAN": {"model.0.weight": KERNEL, "model.1.sub.0.RDB1.conv1.0.weight": KERNEL},
    "an ESRGAN ": {FIRST: KERNEL, "RRDB_trunk.0.RDB1.conv1.weight": KERNEL},
    "an ESRGAN  ": {FIRST: KERNEL, "body.0.rdb1.conv1.weight": KERNEL},
    r"Real-ESRGAN's compact network \(SRVGGNet\)": {"body.0.weight": KERNEL, "body.1.weight": VECTOR},
    "Swin2SR": {**SWIN, f"{BLOCK}.attn.logit_scale": np.zeros((1, 1, 1), "f4")},
    "HAT": {**SWIN, f"{BLOCK}.conv_block.cab.0.weight": KERNEL},
    "DAT": {FIRST: KERNEL, "before_RG.1.weight": VECTOR},
    "SRFormer": {**SWIN, f"{BLOCK}.attn.aligned_relative_position_index": MATRIX},
    "Restormer": {"encoder_level1.0.attn.temperature": np.zeros((1, 1, 1), "f4")},
    "NAFNet": {"intro.weight": KERNEL, "middle_blks.0.beta": KERNEL},
    "EDSR": {FIRST: KERNEL, "body.0.conv1.weight": KERNEL},
    "RCAN": {"body.0.body.0.body.0.weight": KERNEL},
    "a discriminator": {"conv0.weight": KERNEL, "conv1.weight_orig": KERNEL, "conv1.weight_u": VECTOR},
    "a discriminator ": {"conv0_0.weight": KERNEL, "bn0_1.weight": VECTOR},
    "a VGG": {"features.0.weight": KERNEL},
}


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("place", ["", "params_ema/", "state_dict/net_g."])
def test_other_networks_are_told_what_they_are(kind, place, tmp_path, monkeypatch):
    (tmp_path / "x.pth").write_bytes(b"PK\x03\x04")
    monkeypatch.setattr(weight_file, "read_torch_file", lambda path: under(place, FOREIGN[kind]))
    with pytest.raises(InputError, match=f"x.pth: .*not the weights of a SwinIR but of {kind.strip()}"):
        swinir_jax.load_pretrained(tmp_path / "x.pth")


def test_an_optimizer_without_weights_is_told(tmp_path):
    storages = {}
    state = b"}" + value(0) + state_dict({"exp_avg": VECTOR}, storages) + b"s"
    path = write_archive(tmp_path / "x.pth", items(state=state, param_groups=value([])), storages)
    with pytest.raises(InputError, match="an optimiser's state, without weights"):
        swinir_jax.load_pretrained(path)


# Names


def test_a_name_of_the_zoo_wins_over_a_folder_without_a_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("lightweight_x4").mkdir()
    Path("lightweight_x4/photo.png").touch()
    assert swinir_jax.load_pretrained("lightweight_x4")[0].config.upscale == 4
    Path("results").mkdir()
    with pytest.raises(InputError, match="results: holds no model"):
        swinir_jax.load_pretrained("results")
    params = params_from_official(generated_weights(official_shapes(TINY), 1), TINY)
    save_model("lightweight_x2", params, TINY)
    assert swinir_jax.load_pretrained("lightweight_x2")[0].config == TINY
    Path("lightweight_x2/config.json").unlink()
    with pytest.raises(InputError, match="not a converted model"):
        swinir_jax.load_pretrained("lightweight_x2")


def test_a_hostile_file_of_another_ending_is_refused_all_the_same(tmp_path):
    path = write_zip(tmp_path / "x.bin", items(x=call("os.system", value("touch made"))))
    with pytest.raises(InputError, match=r"os\.system"):
        swinir_jax.load_pretrained(path)
