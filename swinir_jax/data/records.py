"""Images as PNG records in array_record shards, which `prepare-data` writes and training reads."""

import contextlib
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import grain
import imagecodecs
import numpy as np
from array_record.python.array_record_module import ArrayRecordWriter
from PIL import Image

from swinir_jax.data.degradations import to_uint8
from swinir_jax.errors import InputError
from swinir_jax.files import make_folder, replacing, write_bytes

_INDEX = "records.json"  # {"shards": files, "names": of the records, "sizes": [height, width] of each}
_SHARD_BYTES = 256 * 2**20
_GRAY_MODES = ("1", "L", "LA")
_PNG_LEVEL = 3  # 2 % larger than the default, in half the time
_OPTIONS = "group_size:1,uncompressed"  # each record alone, as they are read in any order; PNG is compressed


class RecordSource:
    """Images of a folder that `write_records` wrote.

    Args:
      folder: with an index and shards.

    Raises:
      InputError: if the folder is not whole.
    """

    def __init__(self, folder: Path):
        with naming(str(folder)):
            index = json.loads((folder / _INDEX).read_text())
            self._names, self._sizes = index["names"], index["sizes"]
            self._records = grain.sources.ArrayRecordDataSource([str(folder / shard) for shard in index["shards"]])
            if not len(self._records) == len(self._names) == len(self._sizes):
                raise InputError(f"holds {len(self._records)} records, {_INDEX} tells of {len(self._names)}")

    def __len__(self) -> int:
        """How many there are."""
        return len(self._names)

    def name(self, index: int) -> str:
        """The file it was cut from, and where."""
        return self._names[index]

    def sizes(self, index: int) -> tuple[tuple[int, int], None]:
        """Height and width."""
        h, w = self._sizes[index]
        return (h, w), None

    def read(self, index: int) -> tuple[np.ndarray, None]:
        """The image, uint8."""
        with naming(self.name(index)):
            return decode(self._records[index]), None


def is_record_folder(folder: Path) -> bool:
    """Whether `write_records` wrote this folder."""
    return (folder / _INDEX).is_file()


def write_records(folder: Path, images: Iterable[tuple[str, np.ndarray]]) -> tuple[int, int]:
    """Writes images to a new folder, which is there whole or not at all.

    Args:
      folder: that is not there yet, or is empty.
      images: name and uint8 `[h, w]` or `[h, w, 3]` RGB of each.

    Returns:
      How many records there are, and their bytes.

    Raises:
      InputError: if the folder holds something, or cannot be written; nothing is left behind.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: exists; choose a new folder.")
    make_folder(folder.parent)
    names: list[str] = []
    sizes: list[tuple[int, ...]] = []
    shards: list[str] = []
    total = 0
    try:
        with replacing(folder) as temporary:
            temporary.mkdir()
            writer = None
            for name, image in images:
                record = imagecodecs.png_encode(image, level=_PNG_LEVEL)
                if writer is None or total + len(record) > len(shards) * _SHARD_BYTES:
                    if writer is not None:
                        writer.close()
                    shards.append(f"{len(shards):05d}.array_record")
                    writer = ArrayRecordWriter(str(temporary / shards[-1]), _OPTIONS)
                writer.write(record)
                total += len(record)
                names.append(name)
                sizes.append(image.shape[:2])
            if writer is None:
                raise InputError(f"{folder}: there is no image to write.")
            writer.close()
            write_bytes(temporary / _INDEX, json.dumps({"shards": shards, "names": names, "sizes": sizes}).encode())
    except (OSError, RuntimeError) as error:  # array_record raises no OSError
        raise InputError(f"{folder}: cannot be written ({' '.join(str(error).split())}).") from error
    return len(names), total


def decode(data: bytes) -> np.ndarray:
    """Decodes an image file in memory to uint8, `[h, w]` or `[h, w, 3]` RGB; raises whatever the decoder does."""
    with Image.open(io.BytesIO(data)) as image:
        if image.mode.startswith("I;16"):
            return to_uint8(np.asarray(image) / 257)
        return np.asarray(image.convert("L" if image.mode in _GRAY_MODES else "RGB"))


def read_header(data: bytes) -> tuple[int, int]:
    """Height and width of an image file in memory; raises whatever the decoder does."""
    with Image.open(io.BytesIO(data)) as image:
        return image.height, image.width


@contextlib.contextmanager
def naming(name: str) -> Iterator[None]:
    """Turns whatever decoders and record readers raise into an InputError of one line that says what was read."""
    try:
        yield
    except Exception as error:  # array_record raises RuntimeError, damaged images nearly anything
        raise InputError(f"{name}: {' '.join(str(error).split()) or type(error).__name__}") from error
