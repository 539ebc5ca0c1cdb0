"""Kinds of files: the content counts, not the suffix, and errors name other kinds."""

import shutil
import zipfile

import numpy as np
import pytest
from torch_programs import call, items, state_dict, value, write_archive
from weight_files import FIRST, INPUTS, error_of, under, write_safetensors

import swinir_jax
from swinir_jax import InputError
from swinir_jax.checkpoints import weight_file

WHOLE = INPUTS / "whole.pth"


def renamed(path, name):
    return lambda folder: shutil.copy(path, folder / name)


def unpacked(folder):
    with zipfile.ZipFile(WHOLE) as archive:
        archive.extractall(folder / "network")
    return folder / "network"


def rewritten(compression, separator="/"):
    def write(folder):
        with zipfile.ZipFile(WHOLE) as old, zipfile.ZipFile(folder / "x.pth", "w", compression) as new:
            for name in old.namelist():
                new.writestr(name.replace("/", separator), old.read(name))
        return folder / "x.pth"

    return write


@pytest.mark.parametrize("make", [
    *(renamed(WHOLE, name) for name in ("x.pth.tar", "pytorch_model.bin", "network", "x.PTH", "x.safetensors", "x.1")),
    *(renamed(INPUTS / "params_ema_prefix.safetensors", name) for name in ("x.pth", "x.ckpt", "x")),
    unpacked, lambda folder: unpacked(folder) / "whole", rewritten(zipfile.ZIP_DEFLATED), rewritten(zipfile.ZIP_BZIP2),
    rewritten(zipfile.ZIP_STORED, separator="\\"),
])  # fmt: skip
def test_the_content_counts_not_the_suffix(make, tmp_path):
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
        (b"\x28\xb5\x2f\xfd" + b"\0" * 20, "a packed archive; unpack it first"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        ("<html>".encode("utf-16"), "a text in UTF-16"),
        (b'{"error": "not found"}', "a JSON text, without weights"),
        (b'{"metadata": {}, "weight_map": {"conv_first.weight": "a"}}', "an index of files .* join the parts"),
        (b"\x93NUMPY\x01\x00v\x00", "a single NumPy array"),
        (b"\x08\x07\x12\x07pytorch", "an ONNX model"),
        (b"\x80\x02}.", "a pickle, but not of torch.save; save it again by torch.save"),
        (b"\x80\x02" + call("torch.storage._load_from_bytes", value("x")) + b".", "a pickle, but not of torch.save;"),
        (b"\x89PNG\r\n\x1a\n", "an image"),
        (b"Entry not found", "neither PyTorch's nor safetensors"),
        (bytes(600), "neither PyTorch's nor safetensors"),
    ],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ""])
def test_errors_name_the_kind_of_other_files(content, sentence, suffix, tmp_path):
    (tmp_path / f"x{suffix}").write_bytes(content)
    with pytest.raises(InputError, match=sentence) as caught:
        swinir_jax.load_pretrained(tmp_path / f"x{suffix}")
    assert "Error(" not in str(caught.value)
    assert ("or damaged" in str(caught.value)) == sentence.startswith("neither")
    assert "\n" not in str(caught.value)


KERNEL, VECTOR, MATRIX = np.zeros((4, 4, 3, 3), "f4"), np.zeros(4, "f4"), np.zeros((4, 4), "f4")
BLOCK = "layers.0.residual_group.blocks.0"
SWIN = {FIRST: KERNEL, f"{BLOCK}.attn.relative_position_bias_table": np.zeros((9, 1), "f4")}
FOREIGN = {
    "an ESRGAN": {"model.0.weight": KERNEL, "model.1.sub.0.RDB1.conv1.0.weight": KERNEL},
    "an ESRGAN ": {FIRST: KERNEL, "RRDB_trunk.0.RDB1.conv1.weight": KERNEL},
    "an ESRGAN  ": {FIRST: KERNEL, "body.0.rdb1.conv1.weight": KERNEL},
    r"Real-ESRGAN's compact network \(SRVGGNet\)": {"body.0.weight": KERNEL, "body.1.weight": VECTOR},
    "a Swin2SR with the names of Hugging Face's library": {
        "swin2sr.first_convolution.weight": KERNEL,
        "swin2sr.encoder.stages.0.layers.0.attention.self.logit_scale": np.zeros((1, 1, 1), "f4"),
    },
    "HAT": {**SWIN, f"{BLOCK}.conv_block.cab.0.weight": KERNEL},
    "HMA": {**SWIN, f"{BLOCK}.conv_block.0.weight": KERNEL},
    "SwinFIR": {**SWIN, "layers.0.conv.S.body.0.weight": KERNEL},
    "MambaIR": {FIRST: KERNEL, f"{BLOCK}.self_attention.x_proj_weight": np.zeros((4, 3, 8), "f4")},
    "ATD": {FIRST: KERNEL, "layers.0.residual_group.layers.0.attn_win.relative_position_bias_table": MATRIX},
    "GRL": {FIRST: KERNEL, "layers.0.blocks.0.attn.qkv.body.weight": MATRIX},
    "DAT": {FIRST: KERNEL, "before_RG.1.weight": VECTOR},
    "SRFormer": {**SWIN, f"{BLOCK}.attn.aligned_relative_position_index": MATRIX},
    "Restormer": {"encoder_level1.0.attn.temperature": np.zeros((1, 1, 1), "f4")},
    "NAFNet": {"intro.weight": KERNEL, "middle_blks.0.beta": KERNEL},
    "EDSR": {FIRST: KERNEL, "body.0.conv1.weight": KERNEL},
    "RCAN": {"body.0.body.0.body.0.weight": KERNEL},
    "a discriminator": {"conv0.weight": KERNEL, "conv1.weight_orig": KERNEL, "conv1.weight_u": VECTOR},
    "a discriminator ": {"conv0_0.weight": KERNEL, "bn0_1.weight": VECTOR},
    "DRUNet": {"m_head.weight": KERNEL},
    "Uformer": {"encoderlayer_0.blocks.0.attn.relative_position_bias_table": MATRIX},
    "GFPGAN": {"stylegan_decoder.style_mlp.1.weight": MATRIX},
    "LPIPS": {"lin0.model.1.weight": KERNEL},
    "one with LoRA layers; merge them in PyTorch first": {
        **SWIN,
        f"{BLOCK}.attn.qkv.base_layer.weight": MATRIX,
        f"{BLOCK}.attn.qkv.lora_A.default.weight": MATRIX,
    },
    r"one that was pruned; call torch\.nn\.utils\.prune\.remove first": {
        **SWIN,
        f"{BLOCK}.mlp.fc1.weight_orig": MATRIX,
        f"{BLOCK}.mlp.fc1.weight_mask": MATRIX,
    },
    "a LoRA adapter": {f"{BLOCK}.attn.qkv.lora_A": MATRIX},
    "a chain of convolutions, such as DnCNN or PatchGAN": {"model.0.weight": KERNEL, "model.2.weight": KERNEL},
    "a VGG": {"features.0.weight": KERNEL},
}


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("place", ["", "params_ema/", "state_dict/net_g."])
def test_errors_name_other_networks(kind, place, tmp_path, monkeypatch):
    (tmp_path / "x.pth").write_bytes(b"PK\x03\x04")
    monkeypatch.setattr(weight_file, "read_torch_file", lambda path: under(place, FOREIGN[kind]))
    with pytest.raises(InputError, match=f"x.pth: .*not the weights of a SwinIR but of {kind.strip()}"):
        swinir_jax.load_pretrained(tmp_path / "x.pth")


def test_an_error_names_an_optimiser_without_weights(tmp_path):
    storages = {}
    state = b"}" + value(0) + state_dict({"exp_avg": VECTOR}, storages) + b"s"
    path = write_archive(tmp_path / "x.pth", items(state=state, param_groups=value([])), storages)
    with pytest.raises(InputError, match="an optimiser's state, without weights"):
        swinir_jax.load_pretrained(path)


def test_archives_around_other_files_name_them(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
        archive.writestr("whole\n.pth", WHOLE.read_bytes())
    with pytest.raises(
        InputError, match=r"no data\.pkl in it; if the weights are among whole\\n\.pth, unpack it first"
    ):
        swinir_jax.load_pretrained(tmp_path / "x.pth")


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("conv_first.weight.npy", r"arrays of NumPy \(\.npz\); weights of PyTorch are read\.$"),
        ("network/archive_format", r"a program of torch\.export; save the network's state_dict\(\) by torch\.save\.$"),
    ],
)
def test_errors_name_other_archives(tmp_path, entry, sentence):
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
        archive.writestr("network/byteorder", b"little")
        archive.writestr(entry, b"pt2")
    with pytest.raises(InputError, match=sentence):
        swinir_jax.load_pretrained(tmp_path / "x.pth")


def test_an_error_names_a_distributed_checkpoint(tmp_path):
    (tmp_path / ".metadata").touch()
    part = tmp_path / "__0_0.distcp"  # of tensors in files of torch.save, one behind the other
    part.write_bytes(2 * (INPUTS / "prefix_net.pth").read_bytes())
    for name, kind in ((tmp_path, "a folder"), (part, "a part")):
        sentence = rf"{kind} of torch\.distributed\.checkpoint; write the folder as one file first"
        with pytest.raises(InputError, match=sentence):
            swinir_jax.load_pretrained(name)


def test_folders_of_weight_files_name_them(tmp_path):
    shutil.copy(INPUTS / "params_ema_prefix.safetensors", tmp_path / "model.safetensors")
    for content in (None, '{"model_type": "swinir"}'):  # without and with a configuration of another library
        if content:
            (tmp_path / "config.json").write_text(content)
        with pytest.raises(InputError, match=r"a folder of weights; name the file: model\.safetensors"):
            swinir_jax.load_pretrained(tmp_path)


def test_an_incomplete_part_of_sharded_weights_is_named(tmp_path):
    part = write_safetensors(tmp_path / "model-00001-of-00002.safetensors", {FIRST: KERNEL})
    with pytest.raises(InputError, match="the file is one of several parts of a network"):
        swinir_jax.load_pretrained(part)
    shutil.copy(WHOLE, part)
    assert error_of(part) < 1e-5
