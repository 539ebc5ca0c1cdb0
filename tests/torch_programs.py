"""Files of `torch.save`, written without PyTorch: instruction by instruction, so that they can ask for anything."""

import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

SIX = np.arange(6, dtype="<f4").tobytes()  # the bytes of a storage


def value(x: object) -> bytes:
    return pickle.dumps(x, 2)[2:-1]  # without PROTO and STOP


def name(full_name: str) -> bytes:
    module, _, attribute = full_name.rpartition(".")
    return f"c{module}\n{attribute}\n".encode()


def call(full_name: str, *args: bytes) -> bytes:
    return name(full_name) + b"(" + b"".join(args) + b"tR"


def storage(kind: str = "FloatStorage", count: int = 6, key: str = "0") -> bytes:
    return b"(" + value("storage") + name(f"torch.{kind}") + value(key) + value("cuda:3") + value(count) + b"tQ"


def tensor(source: bytes, offset: object, shape: object, strides: object, *marks: bytes) -> bytes:
    rest = value(False) + call("collections.OrderedDict") + b"".join(marks)
    return call("torch._utils._rebuild_tensor_v2", source, value(offset), value(shape), value(strides), rest)


def tensor_of_dtype(dtype: str, size: int, shape: tuple[int, ...], key: str = "x") -> bytes:
    rest = value(False) + call("collections.OrderedDict") + name(dtype)
    source = storage("storage.UntypedStorage", size, key)
    return call("torch._utils._rebuild_tensor_v3", source, value(0), value(shape), value((1,)), rest)


def write_zip(
    path: Path, program: bytes, data: bytes = b"", byteorder: bytes = b"little", compression: int = 0
) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("any name/data.pkl", b"\x80\x02" + program + b".")
        archive.writestr("any name/byteorder", byteorder)
        archive.writestr("any name/data/0", data)
    return path


def write_legacy(path: Path, program: bytes, data: bytes = b"", keys: tuple[str, ...] = ("0",), count: int = 6) -> Path:
    head = [pickle.dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    main = b"\x80\x02" + program + b"."
    path.write_bytes(b"".join(head) + main + pickle.dumps(list(keys), 2) + struct.pack("<q", count) + data)
    return path


def state_dict(tensors: Mapping[str, np.ndarray], storages: dict[str, bytes]) -> bytes:
    """The program of a dict of tensors; their bytes are added to `storages`."""
    kinds = {"float32": "FloatStorage", "int64": "LongStorage"}
    program = b"}"
    for key, array in tensors.items():
        place = str(len(storages))
        storages[place] = array.tobytes()
        strides = tuple(stride // array.itemsize for stride in np.empty(array.shape, array.dtype).strides)
        source = storage(kinds[array.dtype.name], array.size, place)
        program += value(key) + tensor(source, 0, array.shape, strides) + b"s"
    return program


def items(**programs: bytes) -> bytes:
    """The program of a dict, by the programs of its values."""
    return b"}" + b"".join(value(key) + program + b"s" for key, program in programs.items())


def write_archive(path: Path, program: bytes, storages: Mapping[str, bytes], compression: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("network/data.pkl", b"\x80\x02" + program + b".")
        archive.writestr("network/byteorder", b"little")
        for key, data in storages.items():
            archive.writestr(f"network/data/{key}", data)
    return path
