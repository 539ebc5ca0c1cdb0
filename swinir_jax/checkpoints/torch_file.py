"""Files of `torch.save`, read without PyTorch and without running anything that they hold.

Two formats, as in PyTorch's `torch/serialization.py`: the zip archive that it writes since 1.6, and before it a row of
pickles with the storages' bytes behind them. The archive may have been compressed again, or unpacked into a folder.
"""

import io
import mmap
import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from swinir_jax.checkpoints.unpickler import Placeholder, Unpickler
from swinir_jax.errors import InputError

_ZIP_MAGIC = b"PK\x03\x04"
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_PICKLE = "data.pkl"  # the entry of an archive with all but the storages

# In bytes: a small file, or one that unpacks to a large one, must not fill the memory.
_LARGEST_PICKLE = 1 << 26
_LARGEST_UNPACKED = 1 << 30

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
      path: a `.pth`, `.pt` or `.ckpt` file, or the folder that it was unpacked into.

    Returns:
      The saved object. Tensors and parameters are read-only NumPy arrays, bfloat16 ones of `ml_dtypes.bfloat16`;
      dtypes are NumPy's, `torch.Size` is a tuple, a `Counter` a dict, and of a `torch.device` its type remains.
      A `Placeholder` stands for an object of an unknown class, with its items and attributes.

    Raises:
      InputError: if there is no such file, it is damaged or is not PyTorch's, or it asks for anything but data.
    """
    path = Path(path)
    try:
        result = _read(path)
        if isinstance(result, Placeholder) and not result:
            raise pickle.UnpicklingError(f"refused: all that it holds is an object of {result.name!r}")
        return result
    except (pickle.UnpicklingError, OSError) as error:
        raise InputError(f"{path}: {str(error)[:200]}.") from error
    except _MALFORMED as error:
        raise InputError(f"{path}: not a PyTorch file, or a damaged one ({repr(error)[:200]}).") from error


def unpacked_archive(folder: Path) -> Path | None:
    """The folder, this one or one in it, into which somebody has unpacked a file of `torch.save`; None if none is."""
    folders = (folder, *sorted(path for path in folder.iterdir() if path.is_dir()))
    return next((path for path in folders if (path / _PICKLE).is_file()), None)


def _read(path: Path) -> Any:
    if path.is_dir():
        if (folder := unpacked_archive(path)) is None:
            raise pickle.UnpicklingError("a folder, not a file")
        return _read_folder(folder)
    if not path.is_file():  # nor a pipe, which would be waited for
        raise pickle.UnpicklingError("no such file")
    with open(path, "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        read = _read_zip if mapped[: len(_ZIP_MAGIC)] == _ZIP_MAGIC else _read_legacy
        return read(file, mapped)


def _read_zip(file: BinaryIO, mapped: mmap.mmap) -> Any:
    whole = np.frombuffer(mapped, np.uint8)
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}

        def content(name: str) -> np.ndarray:
            entry = entries[name]
            if entry.compress_type == zipfile.ZIP_DEFLATED:  # by another program: PyTorch compresses nothing
                return np.frombuffer(archive.read(entry), np.uint8)
            if entry.compress_type != zipfile.ZIP_STORED:
                raise pickle.UnpicklingError(f"the archive was compressed again, in a way that is not read ({name!r})")
            # Only the header beside the data tells how much padding lies between the two.
            magic, name_length, extra_length = struct.unpack_from("<4s22xHH", mapped, entry.header_offset)
            start = entry.header_offset + 30 + name_length + extra_length
            if magic != _ZIP_MAGIC or start < 0 or start + entry.file_size > whole.size:
                raise pickle.UnpicklingError(f"the archive is damaged at its entry {name!r}")
            return whole[start : start + entry.file_size]

        sizes = {name: entry.file_size for name, entry in entries.items()}
        return _read_entries(sizes, content, max(whole.size, min(sum(sizes.values()), _LARGEST_UNPACKED)))


def _read_folder(folder: Path) -> Any:
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    sizes = {name: path.stat().st_size for name, path in files.items()}
    return _read_entries(sizes, lambda name: np.fromfile(files[name], np.uint8), sum(sizes.values()))


def _read_entries(sizes: Mapping[str, int], content: Callable[[str], np.ndarray], limit: int) -> Any:
    """The object that the entries of an archive hold: by name their sizes and, when asked for, their bytes."""
    pickles = [name for name in sizes if name.split("/")[-1] == _PICKLE]
    if not pickles:
        raise pickle.UnpicklingError(f"an archive, but not PyTorch's: no {_PICKLE} in it")
    root = min(pickles, key=len).removesuffix(_PICKLE)

    def checked(name: str, right: Callable[[int], bool]) -> np.ndarray:
        if (size := sizes.get(root + name)) is None:
            raise pickle.UnpicklingError(f"the archive lacks its entry {root + name!r}")
        if not right(size):  # looked at first, as a compressed entry can be of any size
            raise pickle.UnpicklingError(f"the archive's entry {root + name!r} has {size} bytes, which is wrong")
        return content(root + name)

    big_endian = f"{root}byteorder" in sizes and checked("byteorder", lambda size: size < 100).tobytes() == b"big"

    def load_storage(key: str, dtype: np.dtype, size: int) -> np.ndarray:
        data = checked(f"data/{key}", size.__eq__)
        return data.reshape(-1, dtype.itemsize)[:, ::-1].ravel() if big_endian else data

    program = checked(_PICKLE, lambda size: size <= _LARGEST_PICKLE).tobytes()
    return Unpickler(io.BytesIO(program), load_storage, limit).load()


def _read_legacy(file: BinaryIO, mapped: mmap.mmap) -> Any:
    # The storages' sizes are known only after the pickle that uses them: it gets empty ones, filled at the end.
    def unpickler() -> Unpickler:
        return Unpickler(mapped, lambda key, dtype, size: np.zeros(size, np.uint8), len(mapped))

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
