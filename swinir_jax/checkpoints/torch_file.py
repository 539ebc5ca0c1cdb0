"""Files of `torch.save`, read without PyTorch and without running anything that they hold.

Two formats, as in PyTorch's `torch/serialization.py`: the zip archive that it writes since 1.6, and before it a row of
pickles with the storages' bytes behind them. A file can make the unpickler do only what the two tables below list.
"""

import argparse
import dataclasses
import io
import math
import mmap
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import ml_dtypes
import numpy as np

from swinir_jax.errors import InputError

_ZIP_MAGIC = b"PK\x03\x04"
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001

# What the handlers of pickle, zipfile and NumPy raise on arbitrary bytes; the file's fault, each of them.
_MALFORMED = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
)


def read_torch_file(path: str | os.PathLike[str]) -> Any:
    """Reads a file that `torch.save` wrote, in either of its formats.

    Follows `torch.load(path, map_location="cpu", weights_only=True)`. Tensors keep their strides, and where they were
    saved from (`cuda:3`) is ignored. A zip archive's tensors are views of the mapped file: leave it in place while
    they are in use.

    Args:
      path: a `.pth`, `.pt` or `.ckpt` file.

    Returns:
      The saved object. Tensors and parameters are read-only NumPy arrays, bfloat16 ones of `ml_dtypes.bfloat16`;
      dtypes are NumPy's, `torch.Size` is a tuple, a `Counter` a dict, and of a `torch.device` its type remains.

    Raises:
      InputError: if there is no such file, it is damaged or is not PyTorch's, or it asks for anything but data.
    """
    path = Path(path)
    try:
        if not path.is_file():  # nor a pipe, which would be waited for
            raise pickle.UnpicklingError("a folder, not a file" if path.is_dir() else "no such file")
        with open(path, "rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            read = _read_zip if mapped[: len(_ZIP_MAGIC)] == _ZIP_MAGIC else _read_legacy
            return read(file, mapped)
    except (pickle.UnpicklingError, OSError) as error:
        raise InputError(f"{path}: {str(error)[:200]}.") from error
    except _MALFORMED as error:
        raise InputError(f"{path}: not a PyTorch file, or a damaged one ({repr(error)[:200]}).") from error


def _read_zip(file: BinaryIO, mapped: mmap.mmap) -> Any:
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
    pickles = [name for name in entries if name.split("/")[-1] == "data.pkl"]
    if not pickles:
        raise pickle.UnpicklingError("a zip archive, but not PyTorch's: no data.pkl in it")
    root = min(pickles, key=len).removesuffix("data.pkl")
    whole = np.frombuffer(mapped, np.uint8)

    def content(name: str) -> np.ndarray:
        entry = entries.get(root + name)
        if entry is None:
            raise pickle.UnpicklingError(f"the archive lacks its entry {name!r}")
        if entry.compress_type != zipfile.ZIP_STORED:
            raise pickle.UnpicklingError(f"the archive was compressed again (entry {name!r}); PyTorch's are not")
        # Only the header beside the data tells how much padding lies between the two.
        magic, name_length, extra_length = struct.unpack_from("<4s22xHH", mapped, entry.header_offset)
        start = entry.header_offset + 30 + name_length + extra_length
        if magic != _ZIP_MAGIC or start < 0 or start + entry.file_size > whole.size:
            raise pickle.UnpicklingError(f"the archive is damaged at its entry {name!r}")
        return whole[start : start + entry.file_size]

    big_endian = f"{root}byteorder" in entries and content("byteorder").tobytes() == b"big"

    def load_storage(key: str, dtype: np.dtype, size: int) -> np.ndarray:
        data = content(f"data/{key}")
        if data.size != size:
            raise pickle.UnpicklingError(f"storage {key!r} has {data.size} bytes where {size} were announced")
        return data.reshape(-1, dtype.itemsize)[:, ::-1].ravel() if big_endian else data

    return _Unpickler(io.BytesIO(content("data.pkl").tobytes()), load_storage, whole.size).load()


def _read_legacy(file: BinaryIO, mapped: mmap.mmap) -> Any:
    # The storages' sizes are known only after the pickle that uses them: it gets empty ones, filled at the end.
    def unpickler() -> _Unpickler:
        return _Unpickler(mapped, lambda key, dtype, size: np.zeros(size, np.uint8), len(mapped))

    if (unpickler().load(), unpickler().load()) != (_LEGACY_MAGIC, _LEGACY_PROTOCOL):
        raise pickle.UnpicklingError("not a PyTorch file")
    unpickler().load()  # about the machine that wrote it; the bytes are little-endian on every one
    main = unpickler()
    result = main.load()
    keys = unpickler().load()
    if not all(type(key) is str for key in keys) or sorted(keys) != sorted(main.storages):
        raise pickle.UnpicklingError("the storages in the file are not those that its tensors use")
    for storage in map(main.storages.__getitem__, keys):
        (count,) = struct.unpack("<q", mapped.read(8))
        data = mapped.read(storage.data.size)
        if count * storage.dtype.itemsize != storage.data.size or len(data) != storage.data.size:
            raise pickle.UnpicklingError("a storage's size is not the announced one, or the file is cut short")
        storage.data[:] = np.frombuffer(data, np.uint8)
    return result


@dataclasses.dataclass(frozen=True, eq=False)
class _Storage:
    """The bytes behind tensors; `limit` is the size in bytes of the file, which no tensor exceeds."""

    data: np.ndarray
    dtype: np.dtype
    limit: int


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> np.ndarray:
    if type(storage) is not _Storage:
        raise pickle.UnpicklingError("a tensor without a storage")
    numbers = (offset, *shape, *strides)
    if len(shape) != len(strides) or not all(type(n) is int and n >= 0 for n in numbers):
        raise pickle.UnpicklingError("a tensor's offset, shape and strides do not describe one")
    # NumPy's own check of the bounds can overflow; a stride of 0 makes any size out of one element.
    itemsize = storage.dtype.itemsize
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if (last + 1) * itemsize > storage.data.size and 0 not in shape:
        raise pickle.UnpicklingError("a tensor reaches beyond its storage")
    if math.prod(shape) * itemsize > storage.limit:
        raise pickle.UnpicklingError("a tensor is larger than the whole file")
    byte_strides = tuple(stride * itemsize for stride in strides)
    array: np.ndarray = np.ndarray(shape, storage.dtype, storage.data, offset * itemsize, byte_strides)
    array.flags.writeable = False
    return array


def _first(value: Any, *_: Any) -> Any:
    return value


def _empty_ordered_dict() -> OrderedDict:  # Python 3 adds the items afterwards
    return OrderedDict()


def _bytes(text: str, encoding: str) -> bytes:
    # NumPy scalars need it. A longer text, encoded over and over, could fill the memory.
    if type(text) is not str or encoding != "latin1" or len(text) > 16:
        raise pickle.UnpicklingError("bytes that are not a NumPy scalar's")
    return text.encode("latin1")


def _numpy_dtype(code: str, *_: Any) -> np.dtype:
    if type(code) is not str or code not in _NUMPY_DTYPES:
        raise pickle.UnpicklingError("a NumPy type other than plain numbers")
    return _NUMPY_DTYPES[code]


def _numpy_scalar(dtype: np.dtype, data: bytes) -> Any:
    if not isinstance(dtype, np.dtype) or type(data) is not bytes or len(data) != dtype.itemsize:
        raise pickle.UnpicklingError("a NumPy scalar that is not a plain number")
    return np.frombuffer(data, dtype)[0]


# PyTorch's storage class, its dtype, NumPy's
_DTYPES = [
    ("DoubleStorage", "float64", np.dtype(np.float64)),
    ("FloatStorage", "float32", np.dtype(np.float32)),
    ("HalfStorage", "float16", np.dtype(np.float16)),
    ("BFloat16Storage", "bfloat16", np.dtype(ml_dtypes.bfloat16)),
    ("LongStorage", "int64", np.dtype(np.int64)),
    ("IntStorage", "int32", np.dtype(np.int32)),
    ("ShortStorage", "int16", np.dtype(np.int16)),
    ("CharStorage", "int8", np.dtype(np.int8)),
    ("ByteStorage", "uint8", np.dtype(np.uint8)),
    ("BoolStorage", "bool", np.dtype(np.bool_)),
]
_NUMPY_DTYPES = {f"{dtype.kind}{dtype.itemsize}": dtype for *_, dtype in _DTYPES if dtype.kind in "biuf"}

# Every name that a file may use. Nothing else that can be called ever lies on the unpickler's stack, so these are all
# that a file can call: each checks what it is given, and makes nothing larger than that.
_GLOBALS: Mapping[str, Any] = {
    **{f"torch.{name}": dtype for *names, dtype in _DTYPES for name in names},
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch.Size": _first,
    "torch.device": _first,
    "collections.OrderedDict": _empty_ordered_dict,
    "collections.Counter": _first,
    "argparse.Namespace": argparse.Namespace,
    "_codecs.encode": _bytes,
    "numpy.dtype": _numpy_dtype,
    "numpy.core.multiarray.scalar": _numpy_scalar,
    "numpy._core.multiarray.scalar": _numpy_scalar,
}

# Every instruction that a file may use: those that `torch.save` writes.
_OPCODES = """
    PROTO FRAME STOP MARK BINPUT LONG_BINPUT MEMOIZE BINGET LONG_BINGET
    NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 LONG4 BINFLOAT
    BINUNICODE SHORT_BINUNICODE BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES
    EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST APPEND APPENDS EMPTY_DICT
    GLOBAL STACK_GLOBAL BINPERSID REDUCE
"""


# The Python one: it lets instructions be replaced, and a memo index of 2**32 does not make it allocate as many slots.
class _Unpickler(pickle._Unpickler):
    """Unpickles data only.

    `load_storage` maps a storage's key, type and size in bytes to its bytes; `limit` is the size of the file.
    """

    stack: list[Any]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, stream: Any, load_storage: Callable[[str, np.dtype, int], np.ndarray], limit: int):
        super().__init__(stream, encoding="latin1")
        self.storages: dict[str, _Storage] = {}
        self._load_storage = load_storage
        self._limit = self._unused = limit

    def find_class(self, module: str, name: str) -> Any:
        full_name = f"{module}.{name}"
        if full_name not in _GLOBALS:
            raise pickle.UnpicklingError(f"refused: it asks for {full_name!r}, and only plain data is read")
        return _GLOBALS[full_name]

    def persistent_load(self, pid: Any) -> _Storage:
        match pid:
            case ("storage", np.dtype() as dtype, str() as key, _, int() as count, *view) if view in ([], [None]):
                if key not in self.storages:
                    size = count * dtype.itemsize
                    self._unused -= size
                    if size < 0 or self._unused < 0:
                        raise pickle.UnpicklingError("its storages are larger than the file")
                    self.storages[key] = _Storage(self._load_storage(key, dtype, size), dtype, self._limit)
                return self.storages[key]
        raise pickle.UnpicklingError("a reference to something other than a whole storage")

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set_items([key, value])

    def load_setitems(self) -> None:
        self._set_items(self.pop_mark())

    def _set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Hashing nested tuples can take for ever, or the whole C stack.
            if type(key) not in (str, int, float, bool, bytes, type(None)):
                raise pickle.UnpicklingError(f"a {type(key).__name__} as a dictionary's key")
            target[key] = value

    def load_build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, argparse.Namespace) and type(state) is dict:
            target.__dict__ = state
        elif isinstance(target, np.dtype) and state[1] in ("<", "|"):
            pass  # the byte order that it has already
        elif not isinstance(target, OrderedDict):  # a state dict's attributes, `_metadata`, are of no use here
            raise pickle.UnpicklingError(f"refused: it sets the state of a {type(target).__name__}")

    dispatch: ClassVar[dict[int, Any]] = {
        **{getattr(pickle, name)[0]: pickle._Unpickler.dispatch[getattr(pickle, name)[0]] for name in _OPCODES.split()},
        pickle.NEWOBJ[0]: pickle._Unpickler.dispatch[pickle.REDUCE[0]],
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.BUILD[0]: load_build,
    }
