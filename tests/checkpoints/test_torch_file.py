"""Files of `torch.save` and what is read from them."""

import argparse
import json
import mmap
import struct
import zipfile
from collections import OrderedDict

import ml_dtypes
import numpy as np
import pytest
from goldens import checkpoints, fill
from torch_programs import SIX, call, name, storage, tensor, value, write_legacy, write_zip

from swinir_jax.checkpoints.torch_file import read_torch_file

SAMPLES = checkpoints()
SEEDS = json.loads((SAMPLES / "config.json").read_text())
BUFFERS = ("relative_position_index", "attn_mask")


@pytest.mark.parametrize(
    ("file", "wrapper", "prefix", "dtype", "seed"),
    [
        ("params.pth", "params", "", np.float32, "seed"),
        ("params_and_ema.pth", "params", "", np.float32, "other_seed"),
        ("params_and_ema.pth", "params_ema", "", np.float32, "seed"),
        ("bare.pth", None, "", np.float32, "seed"),
        ("data_parallel.pth", None, "module.", np.float32, "seed"),
        ("lightning.ckpt", "state_dict", "model.", np.float32, "seed"),
        ("saved_on_cuda.pth", "params", "", np.float32, "seed"),
        ("legacy_format.pth", "params", "", np.float32, "seed"),
        ("strided.pth", "params", "", np.float32, "seed"),
        ("half.pth", "params", "", np.float16, "seed"),
        ("bfloat16.pth", "params", "", ml_dtypes.bfloat16, "seed"),
    ],
)
def test_every_weight_is_the_saved_one(file, wrapper, prefix, dtype, seed):
    content = read_torch_file(SAMPLES / file)
    tensors = content[wrapper] if wrapper else content
    weights = {key.removeprefix(prefix): array for key, array in tensors.items() if not key.endswith(BUFFERS)}
    assert "layers.0.residual_group.blocks.1.attn.qkv.weight" in weights
    for key, array in weights.items():
        assert array.dtype == dtype, key
        np.testing.assert_array_equal(array, fill(key, array.shape, SEEDS[seed]).astype(dtype), err_msg=key)


def test_tensors_of_an_archive_are_views_of_the_mapped_file():
    weights = read_torch_file(SAMPLES / "strided.pth")["params"]
    array = weights["layers.0.residual_group.blocks.0.mlp.fc1.weight"]
    assert not array.flags.c_contiguous
    assert not array.flags.writeable
    while isinstance(array, np.ndarray):
        array = array.base
    assert isinstance(array, memoryview | mmap.mmap)


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        ("DoubleStorage", "f8"),
        ("FloatStorage", "f4"),
        ("HalfStorage", "f2"),
        ("BFloat16Storage", ml_dtypes.bfloat16),
        ("LongStorage", "i8"),
        ("IntStorage", "i4"),
        ("ShortStorage", "i2"),
        ("CharStorage", "i1"),
        ("ByteStorage", "u1"),
        ("BoolStorage", "?"),
    ],
)
@pytest.mark.parametrize("big_endian", [False, True])
def test_dtypes_and_byte_orders(tmp_path, kind, dtype, big_endian):
    expected = np.array([1, 0, 1, 3, 117, 2]).astype(dtype)
    data = expected.tobytes()
    if big_endian:
        data = b"".join(data[i : i + expected.itemsize][::-1] for i in range(0, len(data), expected.itemsize))
    program = tensor(storage(kind), 0, (6,), (1,))
    array = read_torch_file(write_zip(tmp_path / "a.pt", program, data, b"big" if big_endian else b"little"))
    assert array.dtype == expected.dtype
    np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("write", [write_zip, write_legacy])
@pytest.mark.parametrize(
    ("offset", "shape", "strides", "expected"),
    [
        (0, (3, 2), (1, 3), [[0, 3], [1, 4], [2, 5]]),
        (1, (2, 2), (3, 1), [[1, 2], [4, 5]]),
        (5, (2, 2), (0, 0), [[5, 5], [5, 5]]),
        (4, (), (), 4),
        (0, (0, 7), (7, 1), np.zeros((0, 7))),
    ],
)
def test_strides_and_offset_are_honoured(tmp_path, write, offset, shape, strides, expected):
    array = read_torch_file(write(tmp_path / "a.pt", tensor(storage(), offset, shape, strides), SIX))
    np.testing.assert_array_equal(array, np.array(expected, np.float32), strict=True)
    assert not array.flags.writeable


def test_an_archive_that_was_compressed_again_is_read(tmp_path):
    path = write_zip(tmp_path / "a.pt", tensor(storage(), 0, (6,), (1,)), SIX, compression=zipfile.ZIP_DEFLATED)
    np.testing.assert_array_equal(read_torch_file(path), np.arange(6))


@pytest.mark.parametrize("nested", [False, True])
def test_an_archive_that_was_unpacked_is_read(tmp_path, nested):
    path = write_zip(tmp_path / "a.pt", tensor(storage(), 0, (6,), (1,)), SIX)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "a")
    np.testing.assert_array_equal(
        read_torch_file(tmp_path / "a" if nested else tmp_path / "a" / "any name"), np.arange(6)
    )


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (call("collections.OrderedDict") + value({"_metadata": {}}) + b"b", OrderedDict()),
        (name("argparse.Namespace") + b")\x81" + value({"lr": 0.5}) + b"b", argparse.Namespace(lr=0.5)),
        (call("collections.Counter", value({400: 1})), {400: 1}),
        (call("torch.Size", value((2, 3))), (2, 3)),
        (name("torch.bfloat16"), np.dtype(ml_dtypes.bfloat16)),
        (call("torch._utils._rebuild_parameter", value(7), value(True), value({})), 7),
        (b"U\x01\xe9", "é"),  # a string of Python 2
        (value([None, True, -3, 2**70, 0.5, "é", (1, 2, 3, 4)]), [None, True, -3, 2**70, 0.5, "é", (1, 2, 3, 4)]),
    ],
)
def test_other_objects_of_training_checkpoints(tmp_path, program, expected):
    result = read_torch_file(write_zip(tmp_path / "a.pt", program))
    assert result == expected
    assert type(result) is type(expected)


def test_numpy_scalars(tmp_path):
    state = value((3, "<", None, None, None, -1, -1, 0)) + b"b"
    dtype = call("numpy.dtype", value("f8"), value(False), value(True)) + state
    data = call("_codecs.encode", value(struct.pack("<d", 31.25).decode("latin1")), value("latin1"))
    result = read_torch_file(write_zip(tmp_path / "a.pt", call("numpy.core.multiarray.scalar", dtype, data)))
    assert result == 31.25
    assert result.dtype == np.float64


def test_a_large_memo_index_allocates_nothing(tmp_path):
    assert read_torch_file(write_zip(tmp_path / "a.pt", value(5) + b"r\xff\xff\xff\xff")) == 5
