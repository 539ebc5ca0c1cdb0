"""Unpickles the data of `torch.save` and runs nothing: instructions and names other than those of data are refused."""

import argparse
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from swinir_jax.checkpoints.pickled_values import (
    NumpyArray,
    Placeholder,
    Reference,
    Storage,
    UnreadTensor,
    call,
    find,
    size_in_bytes,
)

_LONGEST_KEY = 16  # elements of a tuple

# The instructions of pickles written by `torch.save` that Python's own unpickler may execute.
_OPCODES = """
    PROTO FRAME STOP MARK BINPUT LONG_BINPUT MEMOIZE BINGET LONG_BINGET
    POP POP_MARK NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT
    BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES BINBYTES8
    EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST APPEND APPENDS EMPTY_DICT
    GLOBAL STACK_GLOBAL BINPERSID
"""


# Python's unpickler in Python, not in C: its instructions can be replaced, and a memo index of 2**32 does not make it
# allocate as many slots.
class Unpickler(pickle._Unpickler):
    """Unpickles data only; a refused pickle raises `pickle.UnpicklingError`, a malformed one any error.

    Args:
      stream: stream with the pickle.
      load_storage: function of a storage's key, dtype and size in bytes; returns the bytes, `[size]` uint8.
      limit: size in bytes that all storages and arrays have together at most, and each tensor.

    Attributes:
      storages: the storages of the tensors by key.
    """

    stack: list[Any]
    pop_mark: Callable[[], list[Any]]
    append: Callable[[Any], None]
    read: Callable[[int], bytes]

    def __init__(self, stream: Any, load_storage: Callable[[str, np.dtype, int], np.ndarray], limit: int):
        super().__init__(stream, encoding="latin1")
        self.storages: dict[str, Storage] = {}
        self._load_storage = load_storage
        self._limit = self._unused = limit

    def find_class(self, module: str, name: str) -> Any:
        """Returns what a name stands for, as `pickled_values.find`."""
        return find(module, name)

    def persistent_load(self, pid: Any) -> Storage | UnreadTensor | Reference:
        """Returns the storage of a tensor, or the class of a module (in files of before PyTorch 1.6)."""
        match pid:
            case ("module", Reference() as module_class, *_):
                return module_class
            case ("storage", Reference(name), *_):
                return UnreadTensor(name)
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
        self.stack[-1] = call(function, arguments)

    def _newobj_ex(self) -> None:
        self.stack.pop()  # the keyword arguments
        self._reduce()

    def _bytearray8(self) -> None:
        (size,) = struct.unpack("<Q", self.read(8))
        self.append(self.read(size))  # read at once, because Python's unpickler makes room for any size first

    def _next_buffer(self) -> None:
        raise pickle.UnpicklingError("its arrays lie in buffers outside of the file; save it without buffer_callback")

    def _empty_set(self) -> None:  # sets stay empty: hashing nested elements could take for ever
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
            target[_checked_key(key, len(target))] = value

    def _build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, argparse.Namespace) and type(state) is dict:
            target.__dict__ = state
        elif isinstance(target, Placeholder):
            target[""] = state  # not copied: one large state, set over and over, could fill the memory
        elif type(target) is NumpyArray:
            _, shape, dtype, fortran, data = state
            if isinstance(dtype, np.dtype):  # an array of objects or texts stays empty
                self._use(size_in_bytes(data))
                target.fill_in(shape, dtype, fortran, data)
        elif isinstance(target, np.dtype) and state[1] in ("<", "|"):
            pass  # the byte order that the dtype has already
        elif isinstance(target, np.dtype) and state[1] == ">" and target is not np.dtype(target.type):
            # In place, as by `pickle`, whose memo holds the object; a dtype that the process shares is refused.
            target.__setstate__((3, ">", None, None, None, -1, -1, 0))  # type: ignore[attr-defined]
        elif not isinstance(target, OrderedDict):  # the attributes of a state dict (`_metadata`) are not needed
            raise pickle.UnpicklingError(f"refused: it sets the state of a {type(target).__name__}")

    dispatch: ClassVar[dict[int, Any]] = {
        **{getattr(pickle, name)[0]: pickle._Unpickler.dispatch[getattr(pickle, name)[0]] for name in _OPCODES.split()},
        pickle.REDUCE[0]: _reduce,
        pickle.NEWOBJ[0]: _reduce,
        pickle.NEWOBJ_EX[0]: _newobj_ex,
        pickle.BYTEARRAY8[0]: _bytearray8,
        pickle.NEXT_BUFFER[0]: _next_buffer,
        pickle.EMPTY_SET[0]: _empty_set,
        pickle.ADDITEMS[0]: _additems,
        pickle.FROZENSET[0]: _frozenset,
        pickle.SETITEM[0]: _setitem,
        pickle.SETITEMS[0]: _setitems,
        pickle.BUILD[0]: _build,
    }


def _checked_key(key: Any, number: int) -> Any:
    """Returns a key that is cheap to hash and rarely collides: a text, None, bytes, a float or an integer of 60 bits.

    A class, an array, a dtype, a short tuple or another number is replaced by a text with the number of items, because
    no weights are looked for under it.

    Raises:
      pickle.UnpicklingError: for all other keys.
    """
    plain = (str, float, bool, bytes, type(None))
    if type(key) in plain or (type(key) is int and abs(key) < 2**60):
        return key
    if isinstance(key, int | np.generic | np.ndarray | np.dtype | Reference | Placeholder) or (
        type(key) is tuple and len(key) <= _LONGEST_KEY and all(type(part) in (*plain, int) for part in key)
    ):
        return f"{type(key).__name__} {number}"
    raise pickle.UnpicklingError(f"a {type(key).__name__} as a dictionary's key")
