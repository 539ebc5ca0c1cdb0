"""EXIF data, which are TIFF structures, without the tags that describe the pixels.

Values are kept as bytes in the file's own byte order, so that nothing is lost by decoding.
"""

import dataclasses
import mmap
import struct
from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np

# Tags.
ORIENTATION, EXIF_IFD, GPS_IFD, XMP, IPTC, PHOTOSHOP = 274, 34665, 34853, 700, 33723, 34377
DESCRIPTION, SOFTWARE, DATE, ARTIST, COPYRIGHT = 270, 305, 306, 315, 33432

# Types of values.
BYTE, ASCII, SHORT, LONG, UNDEFINED, _IFD, LONG8, _IFD8 = 1, 2, 3, 4, 7, 13, 16, 18

EXIF_PREFIX = b"Exif\0\0"
"""Bytes before the TIFF structure in JPEG and the files of some other formats."""

# Kept tags of the main directory; the numbers are make, model, host computer, ratings and the texts of Windows.
_KEPT = {DESCRIPTION, 271, 272, ORIENTATION, SOFTWARE, DATE, ARTIST, 316, 18246, 18249, COPYRIGHT, *range(40091, 40096)}
_KEPT |= {IPTC, PHOTOSHOP}
_SIZES = {40962, 40963}  # width and height in pixels, in the EXIF directory
_INTEROPERABILITY = 40965  # directory that names the kind of the file
_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_FRACTIONS = {5, 10}  # types of two numbers of 4 bytes

# Formats of the number of entries and of an entry's head, and the size of a value that lies in the entry itself;
# in TIFF and in BigTIFF.
_LAYOUTS = (("H", "HHI", 4), ("Q", "HHQ", 8))


class Entry(NamedTuple):
    """A value: TIFF type, number of elements of the type, and the bytes."""

    type: int
    number: int
    data: bytes


Buffer = bytes | memoryview | mmap.mmap
Directory = Mapping[int, Entry]


@dataclasses.dataclass(frozen=True)
class Exif:
    """Three directories of tags, and the byte order of their values, `<` or `>`."""

    order: Literal["<", ">"]
    main: Directory
    exif: Directory
    gps: Directory

    @classmethod
    def parse(cls, data: Buffer) -> "Exif":
        """Reads a TIFF structure or a whole TIFF file.

        Tags that describe the pixels are left out: layout, size and thumbnail. An orientation becomes 1.

        Raises:
          ValueError: if the structure is damaged.
        """
        if bytes(data[:2]) not in (b"II", b"MM"):
            raise ValueError("not a TIFF structure")
        order: Literal["<", ">"] = "<" if data[:1] == b"I" else ">"
        try:
            big = struct.unpack_from(f"{order}H", data, 2)[0] == 43
            main = _parse_directory(data, order, big, *struct.unpack_from(f"{order}{'8xQ' if big else '4xI'}", data))
            sub = {
                tag: _parse_directory(data, order, big, _integer(main[tag], order)) if tag in main else {}
                for tag in (EXIF_IFD, GPS_IFD)
            }
        except (struct.error, OverflowError) as error:
            raise ValueError("a TIFF structure is cut short") from error
        main = {tag: entry for tag, entry in main.items() if tag in _KEPT}
        if ORIENTATION in main:
            main[ORIENTATION] = Entry(SHORT, 1, struct.pack(f"{order}H", 1))
        if main.get(DESCRIPTION, Entry(0, 0, b"")).data.startswith(b'{"shape"'):  # tifffile stores the layout there
            del main[DESCRIPTION]
        exif = {tag: entry for tag, entry in sub[EXIF_IFD].items() if tag not in {*_SIZES, _INTEROPERABILITY}}
        return cls(order, main, exif, sub[GPS_IFD])

    def __bool__(self) -> bool:
        return bool(self.main or self.exif or self.gps)

    def to_bytes(self) -> bytes:
        """Returns a TIFF structure of all directories."""
        header = struct.pack(f"{self.order}2sHI", b"II" if self.order == "<" else b"MM", 42, 8)
        pointers = {tag for tag, directory in self.directories() if directory}
        placeholders = dict.fromkeys(pointers, _pointer(self.order, 0))
        main_bytes = len(_directory_bytes({**self.main, **placeholders}, self.order, 8))
        end, main, others = 8 + main_bytes, dict(self.main), b""
        for tag, directory in self.directories():
            if directory:
                main[tag] = _pointer(self.order, end + len(others))
                others += _directory_bytes(directory, self.order, end + len(others))
        return header + _directory_bytes(main, self.order, 8) + others

    def little_endian(self) -> "Exif":
        """Returns the same data with little-endian values."""
        if self.order == "<":
            return self
        directories = (self.main, self.exif, self.gps)
        return Exif("<", *({tag: _swap(entry) for tag, entry in directory.items()} for directory in directories))

    def directories(self) -> tuple[tuple[int, Directory], ...]:
        """Returns the directories below the main one, with the tags that point to them."""
        return (EXIF_IFD, self.exif), (GPS_IFD, self.gps)

    def directory_bytes(self, directory: Directory, offset: int, *, big: bool) -> bytes:
        """Packs a directory and its values for an offset in a TIFF or, if `big`, a BigTIFF file."""
        return _directory_bytes(directory, self.order, offset, big)


def ascii_entry(text: str) -> Entry:
    """Packs a text as UTF-8; readers that expect ASCII show at least the ASCII letters."""
    data = text.encode() + b"\0"
    return Entry(ASCII, len(data), data)


def _swap(entry: Entry) -> Entry:
    number_bytes = 4 if entry.type in _FRACTIONS else _BYTES[entry.type]
    return entry._replace(data=np.frombuffer(entry.data, f"u{number_bytes}").byteswap().tobytes())


def _pointer(order: str, offset: int) -> Entry:
    return Entry(LONG, 1, struct.pack(f"{order}I", offset))


def _integer(entry: Entry, order: str) -> int:
    kind = {SHORT: "H", LONG: "I", _IFD: "I", LONG8: "Q", _IFD8: "Q"}.get(entry.type)
    if kind is None:
        raise ValueError("a pointer is not an integer")
    return struct.unpack_from(f"{order}{kind}", entry.data)[0]


def _parse_directory(data: Buffer, order: str, big: bool, offset: int) -> dict[int, Entry]:
    """Reads the directory at an offset; skips entries of unknown types and entries outside the data."""
    count_format, entry_format, inline = _LAYOUTS[big]
    (count,) = struct.unpack_from(f"{order}{count_format}", data, offset)
    position = offset + struct.calcsize(count_format)
    head = struct.calcsize(f"{order}{entry_format}")
    entries = {}
    for _ in range(min(count, 1 << 16)):
        tag, kind, number = struct.unpack_from(f"{order}{entry_format}", data, position)
        size = _BYTES.get(kind, 0) * number
        start = position + head
        if size > inline:
            (start,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", data, start)
        value = bytes(data[start : start + size]) if size and start + size <= len(data) else b""
        if value:
            entries[tag] = Entry(kind, number, value)
        position += head + inline
    return entries


def _directory_bytes(entries: Directory, order: str, offset: int, big: bool = False) -> bytes:
    count_format, entry_format, inline = _LAYOUTS[big]
    head = struct.calcsize(f"{order}{entry_format}")
    values_start = offset + struct.calcsize(count_format) + len(entries) * (head + inline) + inline
    table, values = struct.pack(f"{order}{count_format}", len(entries)), b""
    for tag, (kind, number, data) in sorted(entries.items()):
        table += struct.pack(f"{order}{entry_format}", tag, kind, number)
        if len(data) <= inline:
            table += data.ljust(inline, b"\0")
        else:
            table += struct.pack(f"{order}{'Q' if big else 'I'}", values_start + len(values))
            values += data + b"\0" * (len(data) % 2)
    return table + bytes(inline) + values  # an offset of 0 means that no directory follows
