"""Unpickles the data of `torch.save`, and runs nothing.

A file can call only what `_CALLABLES` lists. An object of any other class is represented by a `Placeholder`, for which
no code of that class is looked up, imported or called; a call of anything else is refused by name.
"""

import argparse
import dataclasses
import math
import pickle
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import ml_dtypes
import numpy as np

_LONGEST_NAME = 256  # characters of a class with its module
_LONGEST_KEY = 16  # elements of a tuple


class Placeholder(dict):
    """Stands for an object of a class that is not known here: its items and elements, and its state under "".

    Attributes:
      name: of the class, or of what was called to make it.
    """

    __slots__ = ("name",)

    def __init__(self, name: str):
        super().__init__()
        self.name = name

    def append(self, element: Any) -> None:
        """Adds an element, as to a list."""
        self[f"element {len(self)}"] = element


@dataclasses.dataclass(frozen=True)
class Reference:
    """The name of a class or a function that is not known here; nothing that could be called."""

    name: str

    def represent(self) -> Placeholder:
        """What stands for an object that this makes.

        Raises:
          pickle.UnpicklingError: if this is a function, or belongs to Python but is no plain value.
        """
        module, _, last = self.name.rpartition(".")
        if module.split(".")[0] in sys.stdlib_module_names:
            is_value = module in _VALUE_MODULES or (module == "builtins" and last in _BUILTIN_VALUES)
        else:
            is_value = last[:1].isupper() or module.startswith(_NUMPY_RANDOM)
        if not is_value:
            raise pickle.UnpicklingError(f"refused: it asks to call {self.name!r}, and nothing in a file is run")
        return Placeholder(self.name)


class _Encoded(Placeholder):
    """Bytes, as protocol 2 writes them: a text to be encoded in Latin-1. Encoded only where bytes are needed."""

    __slots__ = ("text",)

    def __init__(self, text: Any, encoding: Any):
        super().__init__("bytes")
        if type(text) is not str or encoding != "latin1":
            raise pickle.UnpicklingError("an encoded text other than bytes")
        self.text = text


@dataclasses.dataclass(frozen=True, eq=False)
class Storage:
    """The bytes behind tensors; `limit` is the size in bytes of the file, which no tensor exceeds."""

    data: np.ndarray
    dtype: np.dtype
    limit: int


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> np.ndarray:
    if type(storage) is not Storage:
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


class _NumpyArray(np.ndarray):
    """An array whose shape and values the next instruction brings."""


def _numpy_array(*_: Any) -> np.ndarray:
    return np.empty(0).view(_NumpyArray)


def _numpy_dtype(code: Any, *_: Any) -> np.dtype | Placeholder:
    if type(code) is not str or code not in _NUMPY_DTYPES:
        return Placeholder("numpy.dtype")  # of objects or texts, say
    return _NUMPY_DTYPES[code]


def _numpy_scalar(dtype: Any, data: Any) -> Any:
    if isinstance(dtype, Placeholder):
        return Placeholder("numpy.generic")
    data = data.text[:17].encode("latin1") if type(data) is _Encoded else data
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

# All that a file can call, because nothing else that can be called ever lies on the unpickler's stack: each checks what
# it is given, and makes nothing larger than that.
_CALLABLES: Mapping[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch.Size": _first,
    "torch.device": _first,
    "collections.OrderedDict": _empty_ordered_dict,
    "collections.Counter": _first,
    "argparse.Namespace": argparse.Namespace,
    "_codecs.encode": _Encoded,
    "numpy.dtype": _numpy_dtype,
    **{
        f"numpy.{core}.multiarray.{name}": function
        for core in ("core", "_core")
        for name, function in (("scalar", _numpy_scalar), ("_reconstruct", _numpy_array))
    },
}
_DTYPES_BY_NAME = {f"torch.{name}": dtype for *names, dtype in _DTYPES for name in names}

# Of Python's own names, those whose objects are plain values: placeholders stand for them.
_VALUE_MODULES = ("collections", "datetime", "decimal", "fractions", "pathlib", "pathlib._local", "random", "uuid")
_BUILTIN_VALUES = {
    *("bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "object"),
    *("range", "set", "slice", "str", "tuple"),
}
_NUMPY_RANDOM = ("numpy.random", "numpy._core.numeric")  # generators of random numbers, arrays of protocol 5
_PYTHON_2 = {"__builtin__": "builtins"}  # protocol 2 writes names as Python 2 had them

# Every instruction that a file may use: those that `torch.save` writes.
_OPCODES = """
    PROTO FRAME STOP MARK BINPUT LONG_BINPUT MEMOIZE BINGET LONG_BINGET
    NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 LONG4 BINFLOAT
    BINUNICODE SHORT_BINUNICODE BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES
    EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST APPEND APPENDS EMPTY_DICT
    GLOBAL STACK_GLOBAL BINPERSID
"""


# The Python one: it lets instructions be replaced, and a memo index of 2**32 does not make it allocate as many slots.
class Unpickler(pickle._Unpickler):
    """Unpickles data only.

    Args:
      stream: what to read the pickle from.
      load_storage: maps a storage's key, type and size in bytes to its bytes.
      limit: in bytes: what storages and arrays hold together, and any one tensor.
    """

    stack: list[Any]
    pop_mark: Callable[[], list[Any]]
    append: Callable[[Any], None]

    def __init__(self, stream: Any, load_storage: Callable[[str, np.dtype, int], np.ndarray], limit: int):
        super().__init__(stream, encoding="latin1")
        self.storages: dict[str, Storage] = {}
        self._load_storage = load_storage
        self._limit = self._unused = limit

    def find_class(self, module: str, name: str) -> Any:
        """A dtype, one of `_CALLABLES`, or the name alone."""
        if len(module) + len(name) > _LONGEST_NAME:  # names put together from parts could fill the memory
            raise pickle.UnpicklingError("a class of an endless name")
        full_name = f"{_PYTHON_2.get(module, module)}.{name}"
        known = _CALLABLES.get(full_name, _DTYPES_BY_NAME.get(full_name))
        return Reference(full_name) if known is None else known

    def persistent_load(self, pid: Any) -> Storage:
        """The storage that a tensor refers to."""
        match pid:
            case ("storage", np.dtype() as dtype, str() as key, _, int() as count, *view) if view in ([], [None]):
                if key not in self.storages:
                    size = count * dtype.itemsize
                    self._use(size)
                    self.storages[key] = Storage(self._load_storage(key, dtype, size), dtype, self._limit)
                return self.storages[key]
        raise pickle.UnpicklingError("a reference to something other than a whole storage")

    def _use(self, size: int) -> None:
        self._unused -= size
        if size < 0 or self._unused < 0:
            raise pickle.UnpicklingError("its storages are larger than the file")

    def _reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack[-1]
        self.stack[-1] = function.represent() if type(function) is Reference else function(*arguments)

    def _newobj_ex(self) -> None:
        self.stack.pop()  # the arguments by name
        self._reduce()

    def _empty_set(self) -> None:  # sets stay empty: hashing their elements could take for ever
        self.append(Placeholder("builtins.set"))

    def _additems(self) -> None:
        self.pop_mark()

    def _frozenset(self) -> None:
        self.pop_mark()
        self._empty_set()

    def _setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set_items([key, value])

    def _setitems(self) -> None:
        self._set_items(self.pop_mark())

    def _set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[_key(key, len(target))] = value

    def _build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, argparse.Namespace) and type(state) is dict:
            target.__dict__ = state
        elif isinstance(target, Placeholder):
            target[""] = state  # no copy: one large state, set over and over, could fill the memory
        elif type(target) is _NumpyArray:
            self._fill(target, *state)
        elif isinstance(target, np.dtype) and state[1] in ("<", "|"):
            pass  # the byte order that it has already
        elif not isinstance(target, OrderedDict):  # a state dict's attributes, `_metadata`, are of no use here
            raise pickle.UnpicklingError(f"refused: it sets the state of a {type(target).__name__}")

    def _fill(self, array: np.ndarray, version: Any, shape: Any, dtype: Any, fortran: Any, data: Any) -> None:
        if not isinstance(dtype, np.dtype):
            return  # an array of objects or texts stays empty
        size = len(data.text if type(data) is _Encoded else data)
        self._use(size)
        if not all(type(n) is int and n >= 0 for n in shape) or math.prod(shape) * dtype.itemsize != size:
            raise pickle.UnpicklingError("an array's shape does not fit its values")
        values = data.text.encode("latin1") if type(data) is _Encoded else bytes(data) if size else b""
        array.__setstate__((1, tuple(shape), dtype, bool(fortran), values))  # type: ignore[arg-type]

    dispatch: ClassVar[dict[int, Any]] = {
        **{getattr(pickle, name)[0]: pickle._Unpickler.dispatch[getattr(pickle, name)[0]] for name in _OPCODES.split()},
        pickle.REDUCE[0]: _reduce,
        pickle.NEWOBJ[0]: _reduce,
        pickle.NEWOBJ_EX[0]: _newobj_ex,
        pickle.EMPTY_SET[0]: _empty_set,
        pickle.ADDITEMS[0]: _additems,
        pickle.FROZENSET[0]: _frozenset,
        pickle.SETITEM[0]: _setitem,
        pickle.SETITEMS[0]: _setitems,
        pickle.BUILD[0]: _build,
    }


def _key(key: Any, number: int) -> Any:
    """A key whose hash is found at once, and which many others do not share: texts, and numbers of 60 bits.

    A class or a short tuple as a key is replaced by a text; nobody looks for weights there.
    """
    plain = (str, float, bool, bytes, type(None))
    if type(key) in plain or (type(key) is int and abs(key) < 2**60):
        return key
    if type(key) in (Reference, Placeholder) or (
        type(key) is tuple and len(key) <= _LONGEST_KEY and all(type(part) in (*plain, int) for part in key)
    ):
        return f"{type(key).__name__} {number}"
    raise pickle.UnpicklingError(f"a {type(key).__name__} as a dictionary's key")
