"""The values of a pickled file: which of its names stand for what, and safe makers of tensors and arrays.

A file can call only what `_CALLABLES` lists. A `Placeholder` stands for an object of any other class, whose code is
never looked up, imported or called.
"""

import argparse
import dataclasses
import math
import pickle
import re
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import ml_dtypes
import numpy as np

FLOAT8 = ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu")  # as in ml_dtypes

_LONGEST_NAME = 256  # characters of a class with its module


class Placeholder(dict):
    """Stand-in for an object of an unknown class: holds its items and elements, and its state under "".

    Attributes:
      name: name of the class, or of the function that makes the object.
    """

    __slots__ = ("name",)

    def __init__(self, name: str):
        super().__init__()
        self.name = name

    def append(self, element: Any) -> None:
        """Adds an element, as to a list."""
        self[f"element {len(self)}"] = element


class UnreadTensor(Placeholder):
    """Stand-in for a tensor of a kind that is not read, such as a sparse or a quantized one.

    Attributes:
      shape: nothing is known of the tensor's shape.
    """

    __slots__ = ()
    shape: ClassVar[tuple[int, ...]] = ()


@dataclasses.dataclass(frozen=True)
class Reference:
    """The name of an unknown class or function, which cannot be called."""

    name: str

    def represent(self) -> Placeholder:
        """Returns a stand-in for an object that the class makes.

        Raises:
          pickle.UnpicklingError: if this is a function that does not make a tensor, or a class of Python's other than
            those of plain values.
        """
        if _MAKERS_OF_TENSORS.fullmatch(self.name):
            return UnreadTensor(self.name)
        module, _, last = self.name.rpartition(".")
        if module.split(".")[0] in sys.stdlib_module_names:
            is_value = module in _VALUE_MODULES or self.name in _VALUES
        else:
            is_value = last.lstrip("_")[:1].isupper() or module.startswith(_NUMPY_MAKERS)
        if not is_value:
            raise pickle.UnpicklingError(f"refused: it asks to call {self.name!r}, and nothing in a file is run")
        return Placeholder(self.name)


def find(module: str, name: str) -> Any:
    """Returns what a name in a file stands for: a dtype, one of `_CALLABLES`, or a `Reference`."""
    reference = _reference(_PYTHON_2.get(module, module), name)
    return _CALLABLES.get(reference.name, _DTYPES_BY_NAME.get(reference.name, reference))


def _reference(owner: str, name: str) -> Reference:
    if len(owner) + len(name) > _LONGEST_NAME:  # names joined from parts could fill the memory
        raise pickle.UnpicklingError(f"a class has a name of more than {_LONGEST_NAME} characters")
    return Reference(".".join((owner, name)))  # not a format, which would write lists in lists as one long text


def _attribute(owner: Any, name: Any) -> Reference:  # a nested class or a bound method: named, not looked up
    return _reference(owner.name if isinstance(owner, Reference | Placeholder) else type(owner).__name__, name)


class EncodedBytes(Placeholder):
    """Bytes as protocol 2 writes them, a text in Latin-1; decoded only where bytes are needed."""

    __slots__ = ("text",)

    def __init__(self, text: Any, encoding: Any):
        super().__init__("bytes")
        if type(text) is not str or encoding != "latin1":
            raise pickle.UnpicklingError("an encoded text other than bytes")
        self.text = text


def size_in_bytes(data: Any) -> int:
    """Returns the size of `EncodedBytes` or of another sequence of bytes."""
    return len(data.text if type(data) is EncodedBytes else data)


@dataclasses.dataclass(frozen=True, eq=False)
class Storage:
    """The bytes of tensors.

    Attributes:
      data: `[size]` uint8.
      dtype: dtype of the tensors.
      limit: size of the file in bytes, an upper bound for each tensor.
    """

    data: np.ndarray
    dtype: np.dtype
    limit: int


def _tensor(
    storage: Any,
    offset: Any,
    shape: Any,
    strides: Any,
    requires_grad: Any = False,
    hooks: Any = None,
    marks: Any = None,
) -> np.ndarray | UnreadTensor:
    if type(storage) is UnreadTensor:
        return storage
    if marks:  # that the values are to be negated or conjugated
        return UnreadTensor("torch.Tensor")
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


def _tensor_of_dtype(
    storage: Any, offset: Any, shape: Any, strides: Any, requires_grad: Any, hooks: Any, dtype: Any, *marks: Any
) -> np.ndarray | UnreadTensor:
    if not isinstance(dtype, np.dtype):
        return UnreadTensor(dtype.name)
    return _tensor(dataclasses.replace(storage, dtype=dtype), offset, shape, strides, requires_grad, hooks, *marks)


def _tensor_of_class(function: Any, tensor_class: Any, arguments: Any, *_: Any) -> Any:
    return call(function, arguments)


def call(function: Any, arguments: Any) -> Any:
    """Calls one of `_CALLABLES`; for a `Reference`, returns a stand-in for its result."""
    return function.represent() if type(function) is Reference else function(*arguments)


class NumpyArray(np.ndarray):
    """A NumPy array that waits for its shape and values, which the next instruction gives."""

    def fill_in(self, shape: Any, dtype: np.dtype, fortran: Any, data: Any) -> None:
        """Gives the array a shape and the values in `data`.

        Raises:
          pickle.UnpicklingError: if the shape does not fit the values.
        """
        size = size_in_bytes(data)
        if not all(type(n) is int and n >= 0 for n in shape) or math.prod(shape) * dtype.itemsize != size:
            raise pickle.UnpicklingError("an array's shape does not fit its values")
        values = data.text.encode("latin1") if type(data) is EncodedBytes else bytes(data) if size else b""
        self.__setstate__((1, tuple(shape), dtype, bool(fortran), values))  # type: ignore[arg-type]


def _numpy_array(*_: Any) -> np.ndarray:
    return np.empty(0).view(NumpyArray)


def _numpy_from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray | Placeholder:
    if not isinstance(dtype, np.dtype):
        return Placeholder("numpy.ndarray")
    return np.frombuffer(data, dtype).reshape(shape, order=order)


def _numpy_dtype(code: Any, *_: Any) -> np.dtype | Placeholder:
    if type(code) is not str or code not in _NUMPY_DTYPES:
        return Placeholder("numpy.dtype")  # such as that of objects or texts
    return np.dtype(_NUMPY_DTYPES[code], copy=True)  # its byte order may be set


def _numpy_scalar(dtype: Any, data: Any) -> Any:
    if isinstance(dtype, Placeholder):
        return Placeholder("numpy.generic")
    data = data.text[:17].encode("latin1") if type(data) is EncodedBytes else data  # no number has more than 16 bytes
    if not isinstance(dtype, np.dtype) or type(data) is not bytes or len(data) != dtype.itemsize:
        raise pickle.UnpicklingError("a NumPy scalar that is not a plain number")
    return np.frombuffer(data, dtype)[0]


def _first(value: Any, *_: Any) -> Any:
    return value


def _empty_ordered_dict() -> OrderedDict:  # Python 3 adds the items afterwards
    return OrderedDict()


# PyTorch's storage class, where a dtype has one, its dtype, NumPy's
_DTYPES: list[tuple[*tuple[str, ...], np.dtype]] = [
    ("DoubleStorage", "float64", np.dtype(np.float64)),
    ("FloatStorage", "float32", np.dtype(np.float32)),
    ("HalfStorage", "float16", np.dtype(np.float16)),
    ("BFloat16Storage", "bfloat16", np.dtype(ml_dtypes.bfloat16)),
    *((name, np.dtype(getattr(ml_dtypes, name))) for name in FLOAT8),
    ("LongStorage", "int64", np.dtype(np.int64)),
    ("IntStorage", "int32", np.dtype(np.int32)),
    ("ShortStorage", "int16", np.dtype(np.int16)),
    ("CharStorage", "int8", np.dtype(np.int8)),
    ("ByteStorage", "storage.UntypedStorage", "uint8", np.dtype(np.uint8)),
    ("uint16", np.dtype(np.uint16)),
    ("uint32", np.dtype(np.uint32)),
    ("uint64", np.dtype(np.uint64)),
    ("BoolStorage", "bool", np.dtype(np.bool_)),
    ("ComplexFloatStorage", "complex64", np.dtype(np.complex64)),
    ("ComplexDoubleStorage", "complex128", np.dtype(np.complex128)),
    ("QInt8Storage", np.dtype(np.int8)),  # of quantized tensors, which are not read: only the size counts
    ("QUInt8Storage", np.dtype(np.uint8)),
    ("QInt32Storage", np.dtype(np.int32)),
]
_DTYPES_BY_NAME = {f"torch.{name}": dtype for *names, dtype in _DTYPES for name in names}
_NUMPY_DTYPES = {f"{dtype.kind}{dtype.itemsize}": dtype for *_, dtype in _DTYPES if dtype.kind in "biuf"}

# Everything that a file can call, because nothing else on the unpickler's stack is callable. Each function checks its
# arguments and makes nothing larger than they are.
_CALLABLES: Mapping[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_of_dtype,
    "torch._tensor._rebuild_from_type_v2": _tensor_of_class,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch.Size": _first,
    "torch.device": _first,
    "collections.OrderedDict": _empty_ordered_dict,
    "collections.Counter": _first,
    "argparse.Namespace": argparse.Namespace,
    "_codecs.encode": EncodedBytes,
    "builtins.getattr": _attribute,
    "torch._dynamo.eval_frame.OptimizedModule": _first,  # the module that torch.compile wraps
    "numpy.dtype": _numpy_dtype,
    **{
        f"numpy.{core}.{name}": function
        for core in ("core", "_core")
        for name, function in (
            ("multiarray.scalar", _numpy_scalar),
            ("multiarray._reconstruct", _numpy_array),
            ("numeric._frombuffer", _numpy_from_buffer),
        )
    },
}

# Modules, classes and functions of Python's standard library whose results stand beside weights. None is called.
_VALUE_MODULES = (
    *("array", "collections", "datetime", "decimal", "fractions", "ipaddress", "pathlib", "pathlib._local", "random"),
    "uuid",
)
_BUILTIN_VALUES = (
    *("bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "object"),
    *("range", "set", "slice", "str", "tuple", "xrange"),
)
_VALUES = {
    *(f"builtins.{name}" for name in _BUILTIN_VALUES),
    *("_operator.getitem", "functools.partial", "http.HTTPStatus", "itertools.count", "logging.getLogger"),
    *("re._compile", "string.Template", "time.struct_time", "types.GenericAlias", "types.SimpleNamespace"),
    "zoneinfo.ZoneInfo._unpickle",
}
_NUMPY_MAKERS = ("numpy.ma", "numpy.random")  # make masked arrays and random generators
# PyTorch's functions that make tensors, a part of sparse ones, and a storage without torch.save.
_MAKERS_OF_TENSORS = re.compile(
    r"torch\.((_utils|_tensor)\._rebuild\w*|serialization\._get_layout|storage\._load_from_bytes)"
)
_PYTHON_2 = {"__builtin__": "builtins"}  # protocol 2 writes names as Python 2 had them
