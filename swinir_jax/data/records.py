"""PNG records in array_record shards, written by `prepare-data` and read in training."""

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

from swinir_jax.errors import InputError, UnwritableError, one_line
from swinir_jax.files import cannot_write, check_new_folder, make_folder, replacing, write_bytes
from swinir_jax.images.picture import to_8_bits

_INDEX = "records.json"  # {"shards": file names, "names": record names, "sizes": [height, width] of each record}
_SHARD_BYTES = 256 * 2**20
_GRAY_MODES = ("1", "L", "LA")
_PNG_LEVEL = 3  # 2 % larger than the default, in half the time
_OPTIONS = "group_size:1,uncompressed"  # records are read one by one in any order, and PNG is compressed already


class RecordSource:
    """Images in a folder written by `write_records`.

    Args:
      folder: folder with an index and shards.

    Raises:
      InputError: if the folder is incomplete or unreadable.
    """

    def __init__(self, folder: Path):
        with naming(str(folder)):
            index = json.loads((folder / _INDEX).read_text())
            self._names, self._sizes = index["names"], index["sizes"]
            self._records = grain.sources.ArrayRecordDataSource([str(folder / shard) for shard in index["shards"]])
            if not len(self._records) == len(self._names) == len(self._sizes):
                raise InputError(f"the shards have {len(self._records)} records, {_INDEX} lists {len(self._names)}")

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self._names)

    def name(self, index: int) -> str:
        """Returns the file that the image was cut from, and the position in it."""
        return self._names[index]

    def sizes(self, index: int) -> tuple[tuple[int, int], None]:
        """Returns (height, width), and None for LQ."""
        h, w = self._sizes[index]
        return (h, w), None

    def read(self, index: int) -> tuple[np.ndarray, None]:
        """Returns the image, uint8, and None for LQ."""
        with naming(self.name(index)):
            return decode(self._records[index]), None


def is_record_folder(folder: Path) -> bool:
    """Tells whether `write_records` wrote a folder."""
    return (folder / _INDEX).is_file()


def write_records(folder: Path, images: Iterable[tuple[str, np.ndarray]]) -> tuple[int, int]:
    """Writes images to a new folder, which is complete or not made at all.

    Args:
      folder: folder that does not exist or is empty.
      images: names and pixels, uint8 `[h, w]` or `[h, w, 3]` RGB.

    Returns:
      Number of records, and their size in bytes.

    Raises:
      InputError: if the folder is not empty, or there are no images; no folder is left behind.
      UnwritableError: if the folder cannot be written; no folder is left behind, either.
    """
    check_new_folder(folder)
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
    except OSError as error:
        raise cannot_write(folder, error) from error
    except RuntimeError as error:  # of array_record, which raises no OSError
        raise UnwritableError(f"{folder}: cannot be written ({one_line(error)}).") from error
    return len(names), total


def decode(data: bytes) -> np.ndarray:
    """Decodes the bytes of an image file to uint8 `[h, w]` or `[h, w, 3]` RGB; raises the decoder's errors."""
    with Image.open(io.BytesIO(data)) as image:
        if image.mode.startswith("I;16"):
            return to_8_bits(np.asarray(image).astype(np.uint16))
        return np.asarray(image.convert("L" if image.mode in _GRAY_MODES else "RGB"))


def read_header(data: bytes) -> tuple[int, int]:
    """Returns (height, width) from the bytes of an image file; raises the decoder's errors."""
    with Image.open(io.BytesIO(data)) as image:
        return image.height, image.width


@contextlib.contextmanager
def naming(name: str) -> Iterator[None]:
    """Turns any error of decoders and record readers into an InputError of one line that begins with `name`."""
    try:
        yield
    except Exception as error:  # damaged images raise nearly any type
        raise InputError(f"{name}: {one_line(error)}") from error
