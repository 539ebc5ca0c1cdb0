"""EXIF data, which are TIFF structures: what they say of the photograph, without what they say of its pixels.

Values stay the bytes they are, in the byte order they have, so that nothing is lost in between.
"""

import dataclasses
import mmap
import struct
from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np

ORIENTATION, EXIF_IFD, GPS_IFD = 274, 34665, 34853
DESCRIPTION, SOFTWARE, DATE, ARTIST, COPYRIGHT = 270, 305, 306, 315, 33432
ASCII, SHORT, LONG, _IFD, _LONG8, _IFD8 = 2, 3, 4, 13, 16, 18

# Of the first directory: make and model of the camera, orientation, host computer, ratings, and what Windows writes.
_KEPT = {DESCRIPTION, 271, 272, ORIENTATION, SOFTWARE, DATE, ARTIST, 316, 18246, 18249, COPYRIGHT, *range(40091, 40096)}
_SIZES = {40962, 40963}  # of the picture in pixels, in the EXIF directory
_INTEROPERABILITY = 40965  # a directory that tells the kind of file it was in
_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_UNITS = {5: 4, 10: 4}  # bytes of each number of a fraction


class Entry(NamedTuple):
    """A value: its TIFF type, how many of the type, and the bytes."""

    type: int
    number: int
    data: bytes


Buffer = bytes | memoryview | mmap.mmap
Directory = Mapping[int, Entry]


@dataclasses.dataclass(frozen=True)
class Exif:
    """Three directories of tags, and the byte order of all their values: `<` or `>`."""

    order: Literal["<", ">"]
    main: Directory
    exif: Directory
    gps: Directory

    @classmethod
    def parse(cls, data: Buffer) -> "Exif":
        """Reads a TIFF structure, or a whole TIFF file; raises ValueError where it is damaged.

        What belongs to the pixels is left out: their layout and size, the thumbnail, and the orientation, which becomes
        1 if there is one.
        """
        if bytes(data[:2]) not in (b"II", b"MM"):
            raise ValueError("no TIFF structure")
        order: Literal["<", ">"] = "<" if data[:1] == b"I" else ">"
        try:
            big = struct.unpack_from(f"{order}H", data, 2)[0] == 43
            main = _parse_directory(data, order, big, *struct.unpack_from(f"{order}{'8xQ' if big else '4xI'}", data))
            sub = {
                tag: _parse_directory(data, order, big, _integer(main[tag], order)) if tag in main else {}
                for tag in (EXIF_IFD, GPS_IFD)
            }
        except struct.error as error:
            raise ValueError("a TIFF structure is cut short") from error
        main = {tag: entry for tag, entry in main.items() if tag in _KEPT}
        if ORIENTATION in main:
            main[ORIENTATION] = Entry(SHORT, 1, struct.pack(f"{order}H", 1))
        if main.get(DESCRIPTION, Entry(0, 0, b"")).data.startswith(b'{"shape"'):  # the layout, of tifffile
            del main[DESCRIPTION]
        exif = {tag: entry for tag, entry in sub[EXIF_IFD].items() if tag not in {*_SIZES, _INTEROPERABILITY}}
        return cls(order, main, exif, sub[GPS_IFD])

    def __bool__(self) -> bool:
        return bool(self.main or self.exif or self.gps)

    def to_bytes(self) -> bytes:
        """The whole as a TIFF structure that begins at 0."""
        header = struct.pack(f"{self.order}2sHI", b"II" if self.order == "<" else b"MM", 42, 8)
        pointers = {tag for tag, directory in self.directories() if directory}
        room = _directory_bytes({**self.main, **dict.fromkeys(pointers, _pointer(self.order, 0))}, self.order, 8)
        end, main, rest = 8 + len(room), dict(self.main), b""
        for tag, directory in self.directories():
            if directory:
                main[tag] = _pointer(self.order, end + len(rest))
                rest += _directory_bytes(directory, self.order, end + len(rest))
        return header + _directory_bytes(main, self.order, 8) + rest

    def little_endian(self) -> "Exif":
        """The same with the values in the byte order that most TIFF files have."""
        if self.order == "<":
            return self
        swapped = ({tag: _swap(entry) for tag, entry in each.items()} for each in (self.main, self.exif, self.gps))
        return Exif("<", *swapped)

    def directories(self) -> tuple[tuple[int, Directory], ...]:
        """The directories below the main one, with the tags that point to them."""
        return (EXIF_IFD, self.exif), (GPS_IFD, self.gps)

    def directory_bytes(self, directory: Directory, offset: int, *, big: bool) -> bytes:
        """A directory and its values, for a place in a file; `big`: in a BigTIFF."""
        return _directory_bytes(directory, self.order, offset, big)


def ascii_entry(text: str) -> Entry:
    """A text as EXIF holds it: UTF-8, which older readers show as ASCII."""
    data = text.encode() + b"\0"
    return Entry(ASCII, len(data), data)


def _swap(entry: Entry) -> Entry:
    unit = _UNITS.get(entry.type, _BYTES[entry.type])
    return entry._replace(data=np.frombuffer(entry.data, f"u{unit}").byteswap().tobytes())


def _pointer(order: str, offset: int) -> Entry:
    return Entry(LONG, 1, struct.pack(f"{order}I", offset))


def _integer(entry: Entry, order: str) -> int:
    kind = {SHORT: "H", LONG: "I", _IFD: "I", _LONG8: "Q", _IFD8: "Q"}.get(entry.type)
    if kind is None:
        raise ValueError("a pointer is no number")
    return struct.unpack_from(f"{order}{kind}", entry.data)[0]


def _parse_directory(data: Buffer, order: str, big: bool, offset: int) -> dict[int, Entry]:
    """The entries of the directory at an offset; of those of unknown types and outside the data, none."""
    count_format, entry_format, inline = ("Q", "HHQ", 8) if big else ("H", "HHI", 4)
    (count,) = struct.unpack_from(f"{order}{count_format}", data, offset)
    position = offset + struct.calcsize(count_format)
    head = struct.calcsize(f"{order}{entry_format}")
    entries = {}
    for _ in range(min(count, 1 << 16)):
        tag, kind, number = struct.unpack_from(f"{order}{entry_format}", data, position)
        size = _BYTES.get(kind, 0) * number
        place = position + head
        if size > inline:
            (place,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", data, place)
        value = bytes(data[place : place + size]) if size and place + size <= len(data) else b""
        if value:
            entries[tag] = Entry(kind, number, value)
        position += head + inline
    return entries


def _directory_bytes(entries: Directory, order: str, offset: int, big: bool = False) -> bytes:
    count_format, entry_format, inline = ("Q", "HHQ", 8) if big else ("H", "HHI", 4)
    head = struct.calcsize(f"{order}{entry_format}")
    values_at = offset + struct.calcsize(count_format) + len(entries) * (head + inline) + inline
    table, values = struct.pack(f"{order}{count_format}", len(entries)), b""
    for tag, (kind, number, data) in sorted(entries.items()):
        table += struct.pack(f"{order}{entry_format}", tag, kind, number)
        if len(data) <= inline:
            table += data.ljust(inline, b"\0")
        else:
            table += struct.pack(f"{order}{'Q' if big else 'I'}", values_at + len(values))
            values += data + b"\0" * (len(data) % 2)
    return table + bytes(inline) + values  # no directory follows
