"""PPM, PGM and PBM, of any depth up to 16 bits; Pillow cuts deep colours to 8."""

import io
import re
from typing import BinaryIO, NamedTuple

import numpy as np

from swinir_jax.errors import InputError
from swinir_jax.images.header import Header
from swinir_jax.images.picture import Picture

_GAP = rb"(?:\s|#[^\n\r]*[\n\r])+"
_HEAD = re.compile(rb"P([1-6])" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)")
_MAXIMUM = re.compile(_GAP + rb"(\d+)")


class _Head(NamedTuple):
    kind: int
    height: int
    width: int
    maximum: int  # the value of white
    end: int  # of the header

    @property
    def channels(self) -> int:
        return 3 if self.kind in (3, 6) else 1

    @property
    def dtype(self) -> type:
        return np.uint8 if self.maximum < 256 else np.uint16


def read_header(file: BinaryIO) -> tuple[Header, int]:
    """Reads the header, and an orientation, which is 1."""
    head = _parse(file.read(1 << 16))
    return Header(head.height, head.width, head.channels, 8 * np.dtype(head.dtype).itemsize), 1


def read(file: io.BytesIO) -> Picture:
    """Decodes a file, the first of several pictures."""
    data = file.getvalue()
    head = _parse(data)
    count = head.height * head.width * head.channels
    if head.kind == 4:
        row_bytes = -(-head.width // 8)
        rows = _take(np.frombuffer(data, np.uint8, offset=head.end + 1), head.height * row_bytes)
        values = np.unpackbits(rows.reshape(head.height, row_bytes), axis=1)[:, : head.width]
    elif head.kind > 4:
        dtype = np.dtype(head.dtype).newbyteorder(">")
        length = (len(data) - head.end - 1) // dtype.itemsize
        values = _take(np.frombuffer(data, dtype, max(length, 0), head.end + 1), count)
    else:
        text = re.sub(rb"#[^\n\r]*", b"", data[head.end :])
        # The digits of a bitmap need no space between them.
        numbers = re.findall(rb"[01]" if head.kind == 1 else rb"\d+", text)
        values = _take(np.array(numbers, np.int64), count)
    values = head.maximum - values if head.kind in (1, 4) else np.minimum(values, head.maximum)  # 1 is black there
    white = np.iinfo(head.dtype).max
    scaled = (values.astype(np.uint64) * white + head.maximum // 2) // head.maximum
    shape = (head.height, head.width, 3) if head.channels == 3 else (head.height, head.width)
    return Picture(scaled.astype(head.dtype).reshape(shape))


def _parse(data: bytes) -> _Head:
    match = _HEAD.match(data)
    kind, width, height = map(int, match.groups()) if match else (0, 0, 0)
    end, maximum = match.end() if match else 0, 1
    if kind not in (1, 4) and (match := _MAXIMUM.match(data, end)):
        maximum, end = int(match[1]), match.end()
    if not (match and height and width and 0 < maximum < 65536):
        raise InputError("the header of the PPM is damaged")
    return _Head(kind, height, width, maximum, end)


def _take(values: np.ndarray, count: int) -> np.ndarray:
    if len(values) < count:
        raise InputError("the file is cut short")
    return values[:count]
