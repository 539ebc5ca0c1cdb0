"""Reads files of `torch.save` without PyTorch and without running any code from them.

There are two formats, as in PyTorch's `torch/serialization.py`: a zip archive since version 1.6, and before it a row of
pickles followed by the bytes of the storages. The archive may have been compressed again, or unpacked into a folder.
"""

import bz2
import io
import mmap
import os
import pickle
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from swinir_jax.checkpoints.foreign import kind_of_archive
from swinir_jax.checkpoints.pickled_values import Placeholder
from swinir_jax.checkpoints.unpickler import Unpickler
from swinir_jax.errors import InputError, listed, printable

_ZIP_MAGIC = b"PK\x03\x04"
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_PICKLE = "data.pkl"  # entry of an archive with everything but the storages

# In bytes. A small file, or one that unpacks to a large one, must not fill the memory.
_LARGEST_PICKLE = 1 << 26
_LARGEST_UNPACKED = 1 << 30

# Errors that pickle, zipfile and NumPy raise on malformed files.
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
    """Reads a file of `torch.save`, in either format.

    Follows `torch.load(path, map_location="cpu", weights_only=True)`. Tensors keep their strides; their devices are
    ignored. Tensors of a zip archive are views of the mapped file: leave the file in place while they are in use.

    Args:
      path: a `.pth`, `.pt` or `.ckpt` file, or the folder into which one was unpacked.

    Returns:
      The saved object. Tensors and parameters are read-only NumPy arrays (bfloat16 by `ml_dtypes`), dtypes are NumPy's,
      a `torch.Size` is a tuple, a `Counter` a dict, a `torch.device` the name of its type. A `Placeholder` stands for
      an object of an unknown class, with its items and attributes.

    Raises:
      InputError: if there is no such file, or it is damaged, not PyTorch's, or asks for more than data.
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


def is_torch_file(head: bytes) -> bool:
    """Returns whether a file that begins with `head` is an archive or a pickle."""
    return re.match(rb"PK\x03\x04|\x80[\x02-\x05]", head) is not None


def unpacked_archive(folder: Path) -> Path | None:
    """Returns the folder into which a file of `torch.save` was unpacked: `folder` or one in it; None without any."""
    folders = (folder, *sorted(path for path in folder.iterdir() if path.is_dir()))
    return next((path for path in folders if (path / _PICKLE).is_file()), None)


def _read(path: Path) -> Any:
    if path.is_dir():
        if (folder := unpacked_archive(path)) is None:
            raise pickle.UnpicklingError("a folder, not a file")
        return _read_folder(folder)
    if not path.is_file():  # a pipe is refused, too: reading it could wait for ever
        raise pickle.UnpicklingError("no such file")
    with open(path, "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        read = _read_zip if mapped[: len(_ZIP_MAGIC)] == _ZIP_MAGIC else _read_legacy
        return read(file, mapped)


def _read_zip(file: BinaryIO, mapped: mmap.mmap) -> Any:
    if not zipfile.is_zipfile(file):  # the table of contents is at the end
        raise pickle.UnpicklingError("the archive is cut short; download it again")
    whole = np.frombuffer(mapped, np.uint8)
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename.replace("\\", "/"): entry for entry in archive.infolist()}

        def content(name: str) -> np.ndarray:
            entry = entries[name]
            if entry.compress_type == zipfile.ZIP_DEFLATED:  # by another program: PyTorch compresses nothing
                return np.frombuffer(archive.read(entry), np.uint8)
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_BZIP2):
                raise pickle.UnpicklingError(
                    f"the archive was compressed again, in a way that is not read ({name!r}); unpack it into a folder"
                )
            # Only the header in front of the data tells how much padding lies between them.
            magic, name_length, extra_length = struct.unpack_from("<4s22xHH", mapped, entry.header_offset)
            start = entry.header_offset + 30 + name_length + extra_length
            if magic != _ZIP_MAGIC or start < 0 or start + entry.compress_size > whole.size:
                raise pickle.UnpicklingError(f"the archive is damaged at its entry {name!r}")
            data = whole[start : start + entry.compress_size]
            if entry.compress_type == zipfile.ZIP_BZIP2:  # zipfile would unpack more than the announced size
                data = np.frombuffer(bz2.BZ2Decompressor().decompress(data.data, entry.file_size), np.uint8)
            # A checksum of 0 is none: torch.save writes 0 after set_crc32_options(False).
            if data.size != entry.file_size or (entry.CRC and zlib.crc32(data.data) != entry.CRC):
                raise pickle.UnpicklingError(f"the archive is damaged at its entry {name!r}")
            return data

        sizes = {name: entry.file_size for name, entry in entries.items()}
        return _read_entries(sizes, content, max(whole.size, min(sum(sizes.values()), _LARGEST_UNPACKED)))


def _read_folder(folder: Path) -> Any:
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    sizes = {name: path.stat().st_size for name, path in files.items()}
    return _read_entries(sizes, lambda name: np.fromfile(files[name], np.uint8), sum(sizes.values()))


def _read_entries(sizes: Mapping[str, int], content: Callable[[str], np.ndarray], limit: int) -> Any:
    """Reads the object in an archive, by the sizes of its entries and a function that reads the bytes of one."""
    pickles = [name for name in sizes if name.split("/")[-1] == _PICKLE]
    if not pickles:
        names = printable(listed(list(sizes)))
        raise pickle.UnpicklingError(
            kind_of_archive(sizes)
            or f"an archive, but not PyTorch's: no {_PICKLE} in it; if the weights are among {names}, unpack it first"
        )
    root = min(pickles, key=len).removesuffix(_PICKLE)

    def read(name: str, fits: Callable[[int], bool]) -> np.ndarray:
        if (size := sizes.get(root + name)) is None:
            raise pickle.UnpicklingError(f"the archive lacks its entry {root + name!r}")
        if not fits(size):  # checked before reading, because a compressed entry can have any size
            raise pickle.UnpicklingError(f"the archive's entry {root + name!r} has {size} bytes, which is wrong")
        return content(root + name)

    big_endian = f"{root}byteorder" in sizes and read("byteorder", lambda size: size < 100).tobytes() == b"big"

    def load_storage(key: str, dtype: np.dtype, size: int) -> np.ndarray:
        data = read(f"data/{key}", size.__eq__)
        return data.reshape(-1, dtype.itemsize)[:, ::-1].ravel() if big_endian else data

    program = read(_PICKLE, lambda size: size <= _LARGEST_PICKLE).tobytes()
    return Unpickler(io.BytesIO(program), load_storage, limit).load()


def _read_legacy(file: BinaryIO, mapped: mmap.mmap) -> Any:
    # The storages come after the pickle that uses them: it gets zeros, which are overwritten at the end.
    def unpickler() -> Unpickler:
        return Unpickler(mapped, lambda key, dtype, size: np.zeros(size, np.uint8), len(mapped))

    magic = unpickler().load()
    if type(magic) is not int or magic != _LEGACY_MAGIC:
        raise pickle.UnpicklingError("a pickle, but not of torch.save; save it again by torch.save")
    if unpickler().load() != _LEGACY_PROTOCOL:
        raise pickle.UnpicklingError("not a PyTorch file")
    unpickler().load()  # facts about the writing machine; the bytes are always little-endian
    main = unpickler()
    result = main.load()
    keys = unpickler().load()
    if not all(type(key) is str for key in keys) or sorted(keys) != sorted(main.storages):
        raise pickle.UnpicklingError("the storages in the file are not those of its tensors")
    for storage in map(main.storages.__getitem__, keys):
        (count,) = struct.unpack("<q", mapped.read(8))
        data = mapped.read(storage.data.size)
        if count * storage.dtype.itemsize != storage.data.size or len(data) != storage.data.size:
            raise pickle.UnpicklingError("a storage's size is not the announced one, or the file is cut short")
        storage.data[:] = np.frombuffer(data, np.uint8)
    return result
