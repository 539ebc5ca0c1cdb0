"""Objects beside the tensors of a file, and attacks by a file."""

import struct
import time
import tracemalloc
from collections import defaultdict

import ml_dtypes
import numpy as np
import pytest
from goldens import TINY, generated_weights
from torch_programs import (
    call,
    items,
    name,
    state_dict,
    storage,
    tensor,
    tensor_of_dtype,
    value,
    write_archive,
    write_zip,
)
from weight_files import FIRST

import swinir_jax
from swinir_jax.checkpoints.names import official_buffers, official_shapes
from swinir_jax.checkpoints.pickled_values import Placeholder
from swinir_jax.checkpoints.torch_file import read_torch_file
from swinir_jax.checkpoints.weight_file import read_weight_file
from swinir_jax.errors import InputError

WEIGHTS = {**generated_weights(official_shapes(TINY), 1), **official_buffers(TINY)}


def latin1(data: bytes) -> bytes:
    return call("_codecs.encode", value(data.decode("latin1")), value("latin1"))


def numpy_array(array: np.ndarray, code: str, core: str = "_core") -> bytes:
    start = call(f"numpy.{core}.multiarray._reconstruct", name("numpy.ndarray"), value((0,)), latin1(b"b"))
    dtype = call("numpy.dtype", value(code), value(False), value(True))
    dtype += value((3, "<", None, None, None, -1, -1, 0)) + b"b"
    state = b"(" + value(1) + value(array.shape) + dtype + value(False) + latin1(array.tobytes()) + b"t"
    return start + state + b"b"


def instance(class_name: str, *state: bytes) -> bytes:
    return name(class_name) + b")\x81" + b"".join(program + b"b" for program in state)


def frozen(elements: bytes) -> bytes:
    return b"(" + elements + b"\x91"


HARMLESS = {
    "defaultdict": call("collections.defaultdict", name("__builtin__.list")) + value("log") + value([1.5]) + b"s",
    "numpy array": numpy_array(np.arange(30.0), "f8"),
    "numpy array of numpy 1": numpy_array(np.arange(3), "i8", "core"),
    "numpy array of objects": numpy_array(np.zeros(0), "O8"),
    "random state": b"(" + value("MT19937") + numpy_array(np.arange(624, dtype=np.uint32), "u4") + value(624) + b"t",
    "random generator": call("numpy.random._pickle.__generator_ctor", value("PCG64")) + value({"state": 1}) + b"b",
    "path": call("pathlib.PosixPath", value("runs"), value("x4")),
    "datetime": call("datetime.datetime", latin1(b"\x07\xe8\x01\x02\x03\x04\x05\x00\x00\x00")),
    "set": call("__builtin__.set", value([1, 2])),
    "set of protocol 4": b"\x8f(" + value(1) + b"\x90",
    "frozenset of protocol 4": frozen(value("a")),
    "bytes": latin1(bytes(range(256)) * 8),
    "class": name("torch.optim.adam.Adam"),
    "function, only named": name("torch.nn.functional.relu"),
    "configuration": instance("omegaconf.dictconfig.DictConfig", value({"lr": 0.1})),
    "configuration with items": instance("yacs.config.CfgNode") + value("lr") + value(0.1) + b"s",
    "list of a class": instance("fvcore.History") + value(1) + b"a(" + value(1) + value(2) + b"e",
    "complex tensor": tensor(storage("ComplexFloatStorage", 1, "x"), 0, (1,), (1,)),
    "tensor of an unknown storage": tensor(storage("OddStorage", 1, "x"), 0, (1,), (1,)),
    "tensor of an unknown dtype": tensor_of_dtype("torch.float4_e2m1fn_x2", 8, (8,)),
    "tensor of 16 bits": tensor_of_dtype("torch.uint16", 8, (4,)),
    "quantized tensor": call("torch._utils._rebuild_qtensor", storage("QUInt8Storage", 8, "x"), name("torch.q")),
    "sparse tensor": call("torch._utils._rebuild_sparse_tensor", call("torch.serialization._get_layout", value("coo"))),
    "meta tensor": call("torch._utils._rebuild_meta_tensor_no_storage", name("torch.float32"), value((3,))),
    "slots": instance("project.Slotted", value((None, {"a": 1}))),
    "enum": call("project.Phase", value(1)),
    "class as a key": b"}" + name("lightning.ModelCheckpoint") + value({"best": 1}) + b"s",
    "pair as a key": b"}" + value(("Set5", 4)) + value(30.1) + b"s",
    "tensor as a key": b"}" + tensor(storage("FloatStorage", 2, "x"), 0, (2,), (1,)) + value({"step": 1}) + b"s",
    "dtype as a key": b"}" + name("torch.float32") + value(1) + b"s",
    "method of a class": call("__builtin__.getattr", name("project.Scheduler"), value("_annealing_cos")),
    "method of an object": call("__builtin__.getattr", instance("project.Scheduler"), value("step")),
    "nested class": call("__builtin__.getattr", name("project.Net"), value("Part")) + b")\x81",
    "nested enum": call("__builtin__.getattr", name("project.Net"), value("Mode")) + value((1,)) + b"R",
    "private class": instance("project._Options", value({"a": 1})),
    "partial function": call("functools.partial", name("project.make")) + value({"a": 1}) + b"b",
    **{known: call(known, value("x")) for known in ("_operator.getitem", "http.HTTPStatus", "itertools.count")},
    **{known: call(known, value("x")) for known in ("logging.getLogger", "string.Template", "types.GenericAlias")},
    "time zone": call("__builtin__.getattr", name("zoneinfo.ZoneInfo"), value("_unpickle"))
    + value(("UTC", True))
    + b"R",
}


@pytest.mark.parametrize("kind", HARMLESS)
def test_harmless_objects_beside_the_tensors(tmp_path, kind):
    storages: dict[str, bytes] = {}
    program = items(thing=HARMLESS[kind], params=state_dict(WEIGHTS, storages))
    storages["x"] = bytes(8)
    tensors, _ = read_weight_file(write_archive(tmp_path / "a.pth", program, storages))
    assert tensors.keys() == WEIGHTS.keys()
    np.testing.assert_array_equal(tensors["conv_first.weight"], WEIGHTS["conv_first.weight"])


def test_numpy_arrays_are_read_as_they_were(tmp_path):
    for array, code in ((np.arange(6.0).reshape(2, 3), "f8"), (np.array([True, False]), "b1"), (np.array(7), "i8")):
        found = read_torch_file(write_zip(tmp_path / "a.pt", numpy_array(array, code)))
        np.testing.assert_array_equal(found, array)
        assert found.dtype == array.dtype


def test_weights_that_are_numpy_arrays(tmp_path):
    arrays = {key: numpy_array(array, f"{array.dtype.kind}{array.itemsize}") for key, array in WEIGHTS.items()}
    program = b"}" + b"".join(value(key) + array + b"s" for key, array in arrays.items())
    tensors, _ = read_weight_file(write_zip(tmp_path / "a.pth", program))
    for key, array in WEIGHTS.items():
        np.testing.assert_array_equal(tensors[key], array, strict=True)


def test_a_whole_pickled_network_is_read_without_its_code(tmp_path):
    storages: dict[str, bytes] = {}

    def module(tensors, class_name="models.network_swinir.Part"):
        own = {key: array for key, array in tensors.items() if "." not in key}
        buffers = {key: array for key, array in own.items() if key in ("attn_mask", "relative_position_index")}
        children = defaultdict(dict)
        for key, array in tensors.items():
            first, dot, rest = key.partition(".")
            if dot:
                children[first][rest] = array
        attributes = {
            "training": value(False),
            "mean": state_dict({"mean": np.zeros((1, 3, 1, 1), np.float32)}, storages),  # no parameter and no buffer
            "_parameters": state_dict({key: array for key, array in own.items() if key not in buffers}, storages),
            "_buffers": state_dict(buffers, storages),
            "_modules": items(**{key: module(parts) for key, parts in children.items()}),
        }
        return instance(class_name, items(**attributes))

    program = module(WEIGHTS, "models.network_swinir.SwinIR")
    model, params = swinir_jax.load_pretrained(write_archive(tmp_path / "a.pth", program, storages))
    assert model.config.shift_size == 4
    np.testing.assert_array_equal(params["upsample_0"]["bias"], WEIGHTS["upsample.0.bias"])


CALLS = [
    "posix.system",
    "os.system",
    "nt.system",
    "subprocess.Popen",
    "subprocess.check_output",
    "__builtin__.eval",
    "builtins.exec",
    "__builtin__.__import__",
    "importlib.import_module",
    "runpy.run_path",
    "pty.spawn",
    "types.FunctionType",
    "types.CodeType",
    "marshal.loads",
    "pickle.loads",
    "operator.attrgetter",
    "functools.reduce",
    "logging.FileHandler",
    "shutil.rmtree",
    "ctypes.CDLL",
    "webbrowser.open",
    "torch.load",
    "torch.hub.load",
    "numpy.load",
    "numpy.f2py.crackfortran.myeval",
    "pip.main",
    "project.build",
]


@pytest.mark.parametrize("callee", CALLS)
@pytest.mark.parametrize("how", ["call", "new", "new with names"])
def test_calls_beside_good_weights_are_refused_by_name(tmp_path, callee, how):
    storages: dict[str, bytes] = {}
    if how == "call":
        harm = call(callee, value("touch made"))
    elif how == "new":
        harm = name(callee) + value(("touch made",)) + b"\x81"
    else:
        harm = name(callee) + value(("touch made",)) + b"}" + b"\x92"
    path = write_archive(tmp_path / "a.pth", items(x=harm, params=state_dict(WEIGHTS, storages)), storages)
    with pytest.raises(InputError, match="refused") as caught:
        swinir_jax.load_pretrained(path)
    assert callee.replace("__builtin__", "builtins") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_modules_named_in_a_file_are_not_imported(tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    found = read_torch_file(write_zip(tmp_path / "a.pt", items(x=instance("evil.Thing", value({"a": 1})))))
    assert type(found["x"]) is Placeholder
    assert (found["x"].name, found["x"][""]) == ("evil.Thing", {"a": 1})


@pytest.mark.parametrize(
    ("weights", "word"),
    [
        (
            items(**{FIRST: call("torch._utils._rebuild_qtensor", value(1))}),
            r"not read: conv_first\.weight \(.*qtensor",
        ),
        (items(**{FIRST: tensor(storage("OddStorage"), 0, (1,), (1,))}), "torch.OddStorage"),
        (call("torch._utils._rebuild_qtensor", value(1)), "_rebuild_qtensor"),
        (call("project.unpack_weights", value("x")), "project.unpack_weights"),
        (instance("project.LazyWeights"), "no weights"),
    ],
)
def test_weights_that_need_a_call_are_refused(tmp_path, weights, word):
    with pytest.raises(InputError, match=word):
        swinir_jax.load_pretrained(write_zip(tmp_path / "a.pth", items(params=weights)))


LONG = 1 << 16


ATTACKS = {
    # One long value that is encoded, or used in names, keys and states, thousands of times.
    "bytes": value("x" * LONG) + b"q\x05" + b"".join(
        call("_codecs.encode", b"h\x05", value("latin1")) for _ in range(2000)
    ),
    "classes": value("x" * LONG) + b"q\x05" + b"h\x05h\x05\x93" * 4000,
    "state": b"}(" + b"".join(value(f"k{i}") + b"N" for i in range(4000)) + b"u" + b"q\x05" + b"".join(
        instance("a.B") + b"h\x05b" for _ in range(2000)
    ),
    "large integers as keys": b"\x8b" + struct.pack("<i", LONG) + b"\x01" * LONG + b"q\x05}" + b"h\x05Ns" * 4000,
    "integers of one hash": b"}(" + b"".join(value(i * (2**61 - 1)) + b"N" for i in range(1, 8000)) + b"u",
    "long tuples as keys": b"(" + b"N" * LONG + b"tq\x05}" + b"h\x05Ns" * 4000,
    "sets": b"(" + b"N" * LONG + b"tq\x05" + b"\x8f(h\x05\x90" * 4000,
    "tuples in sets": b"\x8f(N" + b"\x85" * LONG + b"\x90",
    "lists in lists": b"]" * LONG + b"a" * (LONG - 1),
    "shared lists": b"]" + b"".join(b"q\x00](h\x00h\x00e" for _ in range(64)),
    "a list in itself": b"]q\x00h\x00a",
    "placeholders in themselves": instance("a.B") + b"q\x00h\x00b",
    "huge numbers as names": b"}\x8b" + struct.pack("<i", 8000) + b"\x01" * 8000 + b"Ns",
    "an array larger than its bytes": call(
        "numpy._core.multiarray._reconstruct", name("numpy.ndarray"), value((0,)), latin1(b"b")
    ) + b"(" + value(1) + value((2**40,)) + call("numpy.dtype", value("f8")) + value(False) + latin1(b"x" * 8) + b"tb",
    "an array of negative sides": call(
        "numpy._core.multiarray._reconstruct", name("numpy.ndarray"), value((0,)), latin1(b"b")
    ) + b"(" + value(1) + value((-1, -1)) + call("numpy.dtype", value("f8")) + value(False) + latin1(b"x" * 8) + b"tb",
}  # fmt: skip


@pytest.mark.parametrize("kind", ATTACKS)
def test_small_files_take_neither_much_time_nor_memory(tmp_path, kind):
    path = write_zip(tmp_path / "a.pth", items(x=ATTACKS[kind]) if kind not in ("bytes", "classes") else ATTACKS[kind])
    start = time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises(InputError) as caught:
            swinir_jax.load_pretrained(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert peak < 32 << 20
    assert time.process_time() - start < 5


def test_arrays_together_hold_no_more_than_the_file(tmp_path):
    start = call("numpy._core.multiarray._reconstruct", name("numpy.ndarray"), value((0,)), latin1(b"b"))
    data = latin1(b"\0" * LONG) + b"q\x07"
    dtype = call("numpy.dtype", value("u1"))
    state = b"(" + value(1) + value((LONG,)) + dtype + value(False) + b"h\x07" + b"tb"
    program = b"]" + data + b"a" + (start + state + b"a") * 4
    with pytest.raises(InputError, match="larger than the file"):
        read_torch_file(write_zip(tmp_path / "a.pt", program))


def test_states_of_tensors_and_dtypes_cannot_be_set(tmp_path):
    six = np.arange(6, dtype="<f4").tobytes()
    for target in (tensor(storage(), 0, (6,), (1,)), value([1])):
        with pytest.raises(InputError, match="refused"):
            read_torch_file(write_zip(tmp_path / "a.pt", target + value((1, (6,), None, False, "")) + b"b", six))
    for dtype in ("torch.bfloat16", "torch.float32"):  # shared by the whole process
        with pytest.raises(InputError, match="refused"):
            read_torch_file(write_zip(tmp_path / "a.pt", name(dtype) + value((3, ">", None)) + b"b"))
    assert np.dtype(ml_dtypes.bfloat16).byteorder == "="


def test_a_hostile_file_with_another_suffix_is_refused(tmp_path):
    path = write_zip(tmp_path / "x.bin", items(x=call("os.system", value("touch made"))))
    with pytest.raises(InputError, match=r"os\.system"):
        swinir_jax.load_pretrained(path)
