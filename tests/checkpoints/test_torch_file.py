import argparse
import json
import mmap
import random
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from goldens import DATA, fill
from torch_programs import call, name, storage, tensor, value, write_legacy, write_zip

from swinir_jax.checkpoints import torch_file
from swinir_jax.checkpoints.torch_file import read_torch_file
from swinir_jax.errors import InputError

SAMPLES = DATA / "checkpoints"
SEEDS = json.loads((SAMPLES / "config.json").read_text())
BUFFERS = ("relative_position_index", "attn_mask")


WRITERS = pytest.mark.parametrize("write", [write_zip, write_legacy])
SIX = np.arange(6, dtype="<f4").tobytes()


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_torch_file(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


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


@WRITERS
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


@WRITERS
@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (6, (1,), (1,)),
        (0, (7,), (1,)),
        (0, (3,), (3,)),
        (-1, (1,), (1,)),
        (5, (6,), (-1,)),
        (0, (2, 3), (3,)),
        (0, (5,), (2**60,)),  # the last element begins at byte 2**64, in 64 bits at 0
        (0, (0, 2), (2**70, 1)),
        (0, (2**40,), (0,)),
        (0.0, (1,), (1,)),
        (0, ("1",), (1,)),
        (0, 6, 1),
        (0, (1,) * 65, (1,) * 65),
    ],
)
def test_a_tensor_outside_its_storage_is_refused(tmp_path, write, offset, shape, strides):
    refusal(write(tmp_path / "a.pt", tensor(storage(), offset, shape, strides), SIX))


def test_a_tensor_cannot_pass_for_a_storage(tmp_path):
    expanded = tensor(storage(), 0, (50,), (0,))  # 50 elements, 4 bytes behind them
    refusal(write_zip(tmp_path / "a.pt", tensor(expanded, 0, (50,), (1,)), SIX))


@WRITERS
def test_storages_that_do_not_fit_the_file_are_refused(tmp_path, write):
    one = (0, (1,), (1,))
    for source in (storage(count=5), storage(count=7), storage(key="1")):
        refusal(write(tmp_path / "a.pt", tensor(source, *one), SIX))
    for count in (-1, 2**30):
        assert "larger than the file" in refusal(write(tmp_path / "a.pt", tensor(storage(count=count), *one), SIX))
    assert "without a storage" in refusal(write(tmp_path / "a.pt", tensor(value(None), *one), SIX))


def test_a_legacy_file_must_bring_each_storage(tmp_path):
    program = tensor(storage(), 0, (6,), (1,))
    for options in ({"data": SIX[:1]}, {"data": SIX, "keys": ()}, {"data": SIX, "keys": ("0", "0")}):
        refusal(write_legacy(tmp_path / "a.pt", program, **options))


def test_an_archive_that_was_compressed_again_is_read(tmp_path):
    path = write_zip(tmp_path / "a.pt", tensor(storage(), 0, (6,), (1,)), SIX, compression=zipfile.ZIP_DEFLATED)
    np.testing.assert_array_equal(read_torch_file(path), np.arange(6))
    path = write_zip(tmp_path / "b.pt", tensor(storage(), 0, (6,), (1,)), SIX, compression=zipfile.ZIP_LZMA)
    assert "compressed again, in a way that is not read" in refusal(path)  # its dictionary can be of any size


@pytest.mark.parametrize("nested", [False, True])
def test_an_archive_that_was_unpacked_is_read(tmp_path, nested):
    path = write_zip(tmp_path / "a.pt", tensor(storage(), 0, (6,), (1,)), SIX)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "a")
    np.testing.assert_array_equal(
        read_torch_file(tmp_path / "a" if nested else tmp_path / "a" / "any name"), np.arange(6)
    )


def test_what_a_small_archive_unpacks_to_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(torch_file, "_LARGEST_UNPACKED", 1 << 16)
    zeros = bytes(1 << 20)
    program = tensor(storage(count=1 << 18), 0, (1 << 18,), (1,))
    path = write_zip(tmp_path / "a.pt", program, zeros, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 12
    assert "larger than the file" in refusal(path)
    monkeypatch.setattr(torch_file, "_LARGEST_PICKLE", 1 << 12)
    path = write_zip(tmp_path / "b.pt", b"}" * (1 << 13), compression=zipfile.ZIP_DEFLATED)
    assert "data.pkl' has 8195 bytes" in refusal(path)


@WRITERS
@pytest.mark.parametrize(
    ("culprit", "call_of"),
    [
        ("os.mkdir", lambda target: call("os.mkdir", target)),
        ("os.mkdir", lambda target: value("os") + value("mkdir") + b"\x93(" + target + b"tR"),  # STACK_GLOBAL
        ("builtins.eval", lambda target: call("builtins.eval", value("__import__('os').mkdir('x')"))),
        ("torch._utils.os.mkdir", lambda target: call("torch._utils.os.mkdir", target)),
        ("KeyError(105)", lambda target: b"(" + target + b"ios\nmkdir\n"),  # INST
        ("KeyError(111)", lambda target: b"(" + name("argparse.Namespace") + target + b"o"),  # OBJ
    ],
)
def test_code_is_refused_by_name_and_never_runs(tmp_path, write, culprit, call_of):
    target = tmp_path / "made"
    assert culprit in refusal(write(tmp_path / "a.pt", call_of(value(str(target)))))
    assert not target.exists()


def test_the_malicious_sample_is_refused():
    assert "posix.system" in refusal(SAMPLES / "malicious.pth")


@pytest.mark.parametrize(
    "program",
    [
        tensor(storage(), 0, (6,), (1,)) + value((1, (6,), None, False, "")) + b"b",  # ndarray.__setstate__
        name("torch._utils._rebuild_tensor_v2") + value((None, {"__defaults__": ()})) + b"b",
        tensor(storage(), 0, (6,), (1,)) + value(0) + value(1.0) + b"s",  # array[0] = 1
        call("numpy.dtype", value("O8")),
        call(
            "numpy.core.multiarray.scalar",
            call("numpy.dtype", value("f8")),
            call("_codecs.encode", value("1" * 16), value("latin1")),
        ),
        call("collections.OrderedDict", b"]" + value(("a", 1)) + b"a"),
        call("_codecs.encode", value("x" * 1000), value("latin1")),
        value(1) + value(2) + b"a",  # (1).append(2)
        b"}N" + b"\x85" * 100_000 + b"Ns",  # its hash would overflow the C stack
        b"}N" + b"".join(b"q\x00h\x00\x86" for _ in range(64)) + b"Ns",  # its hash would take 2**64 steps
        b"\x96" + struct.pack("<Q", 2**36) + b"x",  # BYTEARRAY8 of 64 GiB
    ],
)
def test_instructions_cannot_be_turned_against_the_reader(tmp_path, program):
    refusal(write_zip(tmp_path / "a.pt", program, SIX))


def test_a_large_memo_index_allocates_nothing(tmp_path):
    assert read_torch_file(write_zip(tmp_path / "a.pt", value(5) + b"r\xff\xff\xff\xff")) == 5


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
def test_what_training_checkpoints_hold_besides(tmp_path, program, expected):
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


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"Not a network.\n", b"\x80\x02K\x01.", b"PK\x03\x04"])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    refusal(path)


def test_a_missing_file_a_folder_and_another_archive_are_told_apart(tmp_path):
    assert "no such file" in refusal(tmp_path / "absent.pth")
    assert "folder" in refusal(tmp_path)
    assert "no data.pkl" in refusal(SAMPLES / "expected.npz")
    assert "damaged" in refusal(SAMPLES / "truncated.pth")


def test_an_archive_of_a_later_zip_version_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.pt", value(1))
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 6] = 99
    path.write_bytes(content)
    assert "version 9.9" in refusal(path)


@WRITERS
def test_damage_never_raises_anything_but_an_input_error(tmp_path, write):
    path = tmp_path / "a.pth"
    good = write(path, b"}" + value("w") + tensor(storage(), 0, (2, 3), (3, 1)) + b"s", SIX).read_bytes()
    rng = random.Random(0)
    refused = 0
    for _ in range(200):
        damaged = bytearray(good)
        for _ in range(rng.choice((1, 1, 4))):
            damaged[rng.randrange(len(good))] = rng.randrange(256)
        path.write_bytes(damaged[: rng.choice((len(good), rng.randrange(len(good))))])
        try:
            read_torch_file(path)
        except InputError:
            refused += 1
    assert refused > 100
