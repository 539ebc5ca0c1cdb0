"""PPM, PGM and PBM up to 16 bits; Pillow cuts deep colours to 8 bits."""

import io
import re
from typing import BinaryIO, NamedTuple

import numpy as np

from swinir_jax.errors import InputError
from swinir_jax.images.header import Header
from swinir_jax.images.picture import Picture, full_range

_GAP = rb"(?:\s|#[^\n\r]*[\n\r])+"
_HEAD = re.compile(rb"P([1-6])" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)")
_MAXIMUM = re.compile(_GAP + rb"(\d+)")


class _Head(NamedTuple):
    kind: int  # digit of the signature: 1 and 4 bitmap, 2 and 5 gray, 3 and 6 RGB; 1 to 3 in decimal digits
    height: int
    width: int
    maximum: int  # sample of white
    end: int  # size of the header in bytes

    @property
    def channels(self) -> int:
        return 3 if self.kind in (3, 6) else 1

    @property
    def itemsize(self) -> int:
        return 1 if self.maximum <= 255 else 2


def read_header(file: BinaryIO) -> tuple[Header, int]:
    """Reads the header; returns it with the orientation 1."""
    head = _parse(file.read(1 << 16))
    return Header(head.height, head.width, head.channels, 8 * head.itemsize), 1


def read(file: io.BytesIO) -> Picture:
    """Decodes the first picture in a file.

    Raises:
      InputError: if the header is damaged or samples are missing.
    """
    data = file.getvalue()
    head = _parse(data)
    count = head.height * head.width * head.channels
    if head.kind == 4:
        row_bytes = -(-head.width // 8)
        rows = _take(np.frombuffer(data, np.uint8, offset=head.end + 1), head.height * row_bytes)
        samples = np.unpackbits(rows.reshape(head.height, row_bytes), axis=1)[:, : head.width]
    elif head.kind > 4:
        length = (len(data) - head.end - 1) // head.itemsize
        samples = _take(np.frombuffer(data, f">u{head.itemsize}", max(length, 0), head.end + 1), count)
    else:
        text = re.sub(rb"#[^\n\r]*", b"", data[head.end :])
        # The digits of a bitmap need no spaces between them.
        numbers = re.findall(rb"[01]" if head.kind == 1 else rb"\d+", text)
        samples = _take(np.array(numbers, np.int64), count)
    # In bitmaps 1 is black.
    samples = head.maximum - samples if head.kind in (1, 4) else np.minimum(samples, head.maximum)
    shape = (head.height, head.width, 3) if head.channels == 3 else (head.height, head.width)
    return Picture(full_range(samples, head.maximum).reshape(shape))


def _parse(data: bytes) -> _Head:
    match = _HEAD.match(data)
    kind, width, height = map(int, match.groups()) if match else (0, 0, 0)
    end, maximum = match.end() if match else 0, 1
    if kind not in (1, 4) and (match := _MAXIMUM.match(data, end)):
        maximum, end = int(match[1]), match.end()
    if not (match and height and width and 0 < maximum < 65536):
        raise InputError("the header of the PPM is damaged")
    return _Head(kind, height, width, maximum, end)


def _take(samples: np.ndarray, count: int) -> np.ndarray:
    if len(samples) < count:
        raise InputError("the file is cut short")
    return samples[:count]
