"""Safetensors files of all header lengths and dtypes."""

import json
import struct

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from weight_files import FIRST, official_tensors

import swinir_jax
from swinir_jax import InputError
from swinir_jax.checkpoints.safetensors_file import read_safetensors
from swinir_jax.checkpoints.weight_file import read_weight_file

WEIGHTS = official_tensors()
FLOAT8 = {
    "F8_E4M3": "float8_e4m3fn",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2": "float8_e5m2",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
}


def write(path, tensors):
    """Writes tensors that are given as dtype, shape and bytes."""
    header, end = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end := end + len(data)]}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data for *_, data in tensors.values()))
    return path


def entries(tensors, dtype="F32"):
    kinds = {"float32": dtype, "int64": "I64"}
    numpy_dtype = getattr(ml_dtypes, FLOAT8[dtype]) if dtype in FLOAT8 else np.float32
    casts = {name: t.astype(numpy_dtype) if t.dtype == np.float32 else t for name, t in tensors.items()}
    return {name: (kinds[tensors[name].dtype.name], t.shape, t.tobytes()) for name, t in casts.items()}


@pytest.mark.parametrize("first_byte", [0x50, 0x80])  # as archives and pickles begin
def test_every_length_of_the_header(tmp_path, first_byte):
    for length in range(0, 2048, 8):
        data = safetensors.numpy.save(WEIGHTS, {"note": "x" * length})
        if data[0] == first_byte:
            break
    assert data[0] == first_byte
    (tmp_path / "x.safetensors").write_bytes(data)
    assert read_weight_file(tmp_path / "x.safetensors")[0].keys() == WEIGHTS.keys()


@pytest.mark.parametrize(("kind", "dtype"), FLOAT8.items())
def test_weights_of_eight_bits_are_read(tmp_path, kind, dtype):
    path = write(tmp_path / "x.safetensors", entries(WEIGHTS, kind))
    model, params = swinir_jax.load_pretrained(path)
    assert model.config.shift_size == 4
    rounded = WEIGHTS["upsample.0.bias"].astype(getattr(ml_dtypes, dtype)).astype(np.float32)
    np.testing.assert_array_equal(params["upsample_0"]["bias"], rounded, strict=True)


@pytest.mark.parametrize("kind", ["F8_E5M2", "F8_E8M0", "F4", "C64", "U16"])
def test_every_dtype_beside_the_network(tmp_path, kind):
    beside = {"x": (kind, (16,), bytes({"F4": 8, "C64": 128, "U16": 32}.get(kind, 16)))}
    path = write(tmp_path / "x.safetensors", {**entries(WEIGHTS), **beside})
    assert swinir_jax.load_pretrained(path)[0].config.shift_size == 4


def test_a_network_of_an_unknown_dtype_is_refused(tmp_path):
    path = write(tmp_path / "x.safetensors", {**entries(WEIGHTS), FIRST: ("F4", (4, 3, 3, 4), bytes(72))})
    with pytest.raises(InputError, match=r"tensors of a kind that is not read: conv_first\.weight \(F4\)\.$"):
        swinir_jax.load_pretrained(path)


def test_damaged_files_are_refused(tmp_path):
    content = write(tmp_path / "x.safetensors", entries({FIRST: WEIGHTS[FIRST]})).read_bytes()
    for end in (9, 20, len(content) - 1):
        (tmp_path / "x.safetensors").write_bytes(content[:end])
        with pytest.raises(InputError, match="not a readable safetensors file") as caught:
            read_safetensors(tmp_path / "x.safetensors")
        assert "\n" not in str(caught.value)
