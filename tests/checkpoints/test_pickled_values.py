"""Tensors of all kinds, and values of all pickle protocols."""

import array
import ipaddress
import pickle
import re
import time
import types
from collections import OrderedDict

import ml_dtypes
import numpy as np
import pytest
from torch_programs import (
    SIX,
    call,
    items,
    name,
    storage,
    tensor,
    tensor_of_dtype,
    value,
    write_archive,
    write_legacy,
    write_zip,
)

from swinir_jax.checkpoints.pickled_values import Reference, UnreadTensor
from swinir_jax.checkpoints.torch_file import read_torch_file
from swinir_jax.errors import InputError


def test_pickles_of_every_protocol_are_the_same(tmp_path):
    content = {"a": [1, 2.5, "é", None, True, (1, 2)], "b": OrderedDict(x=1)}
    for protocol in (1, 2, 3, 4, 5):
        program = pickle.dumps(content, protocol)
        path = write_zip(tmp_path / "a.pt", program[2 if protocol > 1 else 0 : -1])
        assert read_torch_file(path) == content


def test_bytes_and_arrays_of_protocol_5(tmp_path):
    array = np.arange(6.0, dtype=np.float32).reshape(2, 3)
    content = {"c": array, "fortran": array.T, "bytes": bytearray(b"xy"), "empty": np.zeros((0, 2))}
    found = read_torch_file(write_zip(tmp_path / "a.pt", pickle.dumps(content, 5)[2:-1]))
    assert found.pop("bytes") == content.pop("bytes")
    for key, expected in content.items():
        np.testing.assert_array_equal(found[key], expected, strict=True)
    for long in (b"\x8d\x02\0\0\0\0\0\0\0xy", b"\x8e\x02\0\0\0\0\0\0\0xy"):  # BINUNICODE8, BINBYTES8
        assert read_torch_file(write_zip(tmp_path / "a.pt", long)) in ("xy", b"xy")


@pytest.mark.parametrize("protocol", [2, 5])
def test_numpy_arrays_of_the_other_byte_order(tmp_path, protocol):
    dtype = np.dtype(">f4")
    content = [np.arange(6, dtype=dtype).reshape(2, 3), np.arange(3, dtype=dtype), np.arange(3, dtype=">i8")]
    content += [np.arange(3.0, dtype="<f4"), dtype.type(3)]
    found = read_torch_file(write_zip(tmp_path / "a.pt", pickle.dumps(content, protocol)[2:-1]))
    for read, expected in zip(found, content, strict=True):
        np.testing.assert_array_equal(read, expected)


def test_buffers_outside_of_the_file_are_refused(tmp_path):
    buffers = []
    program = pickle.dumps(np.arange(3), 5, buffer_callback=buffers.append)
    with pytest.raises(InputError, match="buffers outside of the file"):
        read_torch_file(write_zip(tmp_path / "a.pt", program[2:-1]))


def test_tuples_that_hold_themselves_are_read(tmp_path):
    content = ([],)
    content[0].append(content)
    found = read_torch_file(write_zip(tmp_path / "a.pt", pickle.dumps(content, 2)[2:-1]))
    assert found[0][0] is found


@pytest.mark.parametrize("function", ["torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter"])
def test_tensors_of_subclasses_and_with_attributes_are_read(tmp_path, function):
    plain = tensor(storage(), 0, (6,), (1,))
    arguments = b"(" + plain + b"t" if function.endswith("parameter") else plain[len(name(function)) : -1]
    program = call("torch._tensor._rebuild_from_type_v2", name(function), name("project.Image"), arguments, b"}")
    found = read_torch_file(write_zip(tmp_path / "a.pt", program, np.arange(6, dtype="<f4").tobytes()))
    np.testing.assert_array_equal(found, np.arange(6, dtype=np.float32), strict=True)


def test_no_other_functions_are_called_for_subclasses(tmp_path):
    program = call("torch._tensor._rebuild_from_type_v2", name("os.system"), name("a.B"), value(("touch x",)), b"}")
    with pytest.raises(InputError, match=r"refused: it asks to call 'os\.system'"):
        read_torch_file(write_zip(tmp_path / "a.pt", program))


def test_weights_of_eight_bits_are_read(tmp_path):
    program = tensor_of_dtype("torch.float8_e4m3fn", 6, (6,))
    expected = np.arange(6).astype(ml_dtypes.float8_e4m3fn)
    for write in (write_archive, write_legacy_of_one):
        found = read_torch_file(write(tmp_path / "a.pt", program, {"x": expected.tobytes()}))
        np.testing.assert_array_equal(found, expected, strict=True)


@pytest.mark.parametrize("mark", ["neg", "conj"])
def test_a_tensor_of_other_values_than_those_of_its_storage_is_not_read(tmp_path, mark):
    marked, plain = (tensor(storage(), 0, (6,), (1,), value(marks)) for marks in ({mark: True}, {}))
    found = read_torch_file(write_zip(tmp_path / "a.pt", items(marked=marked, plain=plain), SIX))
    assert type(found["marked"]) is UnreadTensor
    np.testing.assert_array_equal(found["plain"], np.arange(6))


@pytest.mark.parametrize(
    "beside",
    [
        range(3),
        types.SimpleNamespace(lr=1e-4),
        array.array("f", [1.0]),
        re.compile("x+"),
        time.gmtime(0),
        ipaddress.ip_address("127.0.0.1"),
        np.ma.array([1.0, 2.0], mask=[True, False]),
        {np.int64(3): 1, (1, "a"): 2, 2**60: 3, 2**63: 4},
    ],
    ids=lambda beside: type(beside).__name__,
)
def test_harmless_values_beside_the_weights_are_read_over(tmp_path, beside):
    program = items(x=tensor(storage(), 0, (6,), (1,)), beside=pickle.dumps(beside, 2)[2:-1])
    found = read_torch_file(write_zip(tmp_path / "a.pt", program, SIX))
    np.testing.assert_array_equal(found["x"], np.arange(6, dtype=np.float32), strict=True)
    assert not isinstance(found["beside"], np.ndarray | Reference)
    if isinstance(beside, dict):
        assert sorted(found["beside"].values()) == [1, 2, 3, 4]


def test_a_quantized_tensor_in_an_old_file_is_not_read(tmp_path):
    program = call("torch._utils._rebuild_qtensor", storage("QUInt8Storage", 8))
    found = read_torch_file(write_legacy(tmp_path / "a.pt", items(x=program), bytes(8), count=8))
    assert found["x"].name == "torch._utils._rebuild_qtensor"


def write_legacy_of_one(path, program, storages):
    ((key, data),) = storages.items()
    return write_legacy(path, program, data, (key,), len(data))


def test_classes_of_modules_in_old_files_are_placeholders(tmp_path):
    module_class = b"(" + value("module") + name("project.Net") + value("net.py") + value("class Net: ...") + b"tQ"
    state = items(_parameters=items(weight=tensor(storage(), 0, (6,), (1,))))
    path = write_legacy(tmp_path / "a.pt", module_class + b")\x81" + state + b"b", np.arange(6, dtype="<f4").tobytes())
    found = read_torch_file(path)
    assert found.name == "project.Net"
    np.testing.assert_array_equal(found[""]["_parameters"]["weight"], np.arange(6))


def test_a_compiled_module_is_the_one_that_it_wraps(tmp_path):
    module = name("project.Net") + b")\x81" + value({"_modules": {}}) + b"b"
    compiled = call("torch._dynamo.eval_frame.OptimizedModule", module, call("torch._TorchCompileInductorWrapper"))
    assert read_torch_file(write_zip(tmp_path / "a.pt", compiled)).name == "project.Net"
