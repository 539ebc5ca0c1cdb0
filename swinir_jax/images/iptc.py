"""IPTC data, in which agencies and photographers store author, caption and rights."""

import struct

RESOURCE = 0x0404
"""Number of IPTC data among Photoshop's resources."""
_RESOURCE_MARK = b"8BIM"
_DATASET_MARK = b"\x1c"
_SEGMENT_PREFIX = b"Photoshop 3.0\0"


def sound(data: bytes) -> bytes:
    """Returns IPTC data whose first value can be read, from data whose words may be swapped; else nothing."""
    if data.startswith(_DATASET_MARK):
        return data
    if data[3:4] != _DATASET_MARK or len(data) % 4:
        return b""
    words = len(data) // 4  # some programs write TIFF's tag as integers in the wrong byte order
    return struct.pack(f">{words}I", *struct.unpack(f"<{words}I", data))


def from_resources(data: bytes) -> bytes:
    """Finds IPTC data among Photoshop's resources; returns nothing if there are none or the resources are damaged."""
    position = 0
    try:
        while data[position : position + 4] == _RESOURCE_MARK:
            number, name_length = struct.unpack_from(">HB", data, position + 4)
            start = position + 7 + name_length + (name_length + 1) % 2
            (size,) = struct.unpack_from(">I", data, start)
            if number == RESOURCE:
                return data[start + 4 : start + 4 + size]
            position = start + 4 + size + size % 2
    except struct.error:
        pass
    return b""


def to_resources(data: bytes) -> bytes:
    """Packs IPTC data as one of Photoshop's resources, without a name."""
    return _RESOURCE_MARK + struct.pack(">HHI", RESOURCE, 0, len(data)) + data + bytes(len(data) % 2)


def to_segment(data: bytes) -> bytes:
    """Packs IPTC data as the segment APP13 of a JPEG file."""
    content = _SEGMENT_PREFIX + to_resources(data)
    return struct.pack(">HH", 0xFFED, 2 + len(content)) + content
