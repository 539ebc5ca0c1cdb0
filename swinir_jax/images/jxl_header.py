"""The header of JPEG XL codestreams (ISO/IEC 18181-1), without decoding pixels."""

from swinir_jax.errors import InputError
from swinir_jax.images.header import Header

_HEAD_BYTES = 256  # more than the header takes
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))  # width to height
_SIDE = ((1, 9), (1, 13), (1, 18), (1, 30))  # to add, and bits of the number
_ENUM = ((0, 0), (1, 0), (2, 4), (18, 6))
_EXTRA_ALPHA, _EXTRA_SPOT, _EXTRA_CFA = 0, 2, 5
_GRAY = 1
_LINEAR, _SRGB = 8, 13  # curves


def parse_header(codestream: bytes) -> Header:
    """Reads the header of a codestream, for the picture as libjxl decodes it: upright.

    Args:
      codestream: the beginning, from its signature on.

    Raises:
      InputError: if it is damaged, or has a preview or frames.
    """
    return _parse(_Bits(codestream[2:]))[0]


def mark_as_srgb(codestream: bytes) -> bytes:
    """Says of samples that their curve is that of sRGB, where a codestream calls them linear.

    imagecodecs calls those of 16 bits so. Other codestreams stay as they are.
    """
    head, rest = codestream[2:_HEAD_BYTES], codestream[_HEAD_BYTES:]
    read = _Bits(head)
    header, is_described = _parse(read)
    if not is_described:
        return codestream
    read.choice(*_ENUM)  # white
    if header.channels == 3:
        read.choice(*_ENUM)  # primaries
    has_gamma, number_at = read.flag(), read.position + 2  # behind the two bits that choose how a number is stored
    if has_gamma or read.choice(*_ENUM) != _LINEAR:
        return codestream
    changed = int.from_bytes(head, "little") ^ ((_LINEAR - 2) ^ (_SRGB - 2)) << number_at
    return codestream[:2] + changed.to_bytes(len(head), "little") + rest


def _parse(read: "_Bits") -> tuple[Header, bool]:
    """Reads up to the colour space; tells whether white, primaries and curve follow."""
    h, w = _size(read)
    if read.flag():  # all default
        return Header(h, w), False
    orientation = 1
    if read.flag():
        orientation = read.number(3) + 1
        if read.flag():
            _size(read)  # how large it is meant to be shown
        if read.flag() or read.flag():
            raise InputError("JPEG XL with a preview or frames is not supported")
    bits = _depth(read)
    read.flag()  # whether 16 bits are enough for the decoder's buffers
    extras = [_extra_channel(read) for _ in range(read.choice((0, 0), (1, 0), (2, 4), (1, 12)))]
    read.flag()  # whether colours are stored in XYB
    channels, is_described = 3, False
    if not read.flag():  # colours other than sRGB
        is_described = not read.flag()  # or by a profile
        channels = 1 if read.choice(*_ENUM) == _GRAY else 3
    if orientation > 4:
        h, w = w, h
    return Header(h, w, channels, 8 if bits <= 8 else 16, _EXTRA_ALPHA in extras), is_described


class _Bits:
    """Reads numbers from the low bits up."""

    def __init__(self, data: bytes):
        self._value, self._length, self.position = int.from_bytes(data, "little"), 8 * len(data), 0

    def number(self, bits: int) -> int:
        number = self._value >> self.position & ((1 << bits) - 1)
        self.position += bits
        if self.position > self._length:
            raise InputError("the header of the JPEG XL is cut short")
        return number

    def flag(self) -> bool:
        return bool(self.number(1))

    def choice(self, *choices: tuple[int, int]) -> int:
        """One of four (number to add, bits), which two bits choose."""
        add, bits = choices[self.number(2)]
        return add + self.number(bits)


def _size(read: _Bits) -> tuple[int, int]:
    small = read.flag()
    height = 8 * (read.number(5) + 1) if small else read.choice(*_SIDE)
    if ratio := read.number(3):
        across, down = _RATIOS[ratio - 1]
        return height, height * across // down
    return height, 8 * (read.number(5) + 1) if small else read.choice(*_SIDE)


def _depth(read: _Bits) -> int:
    if read.flag():
        raise InputError("JPEG XL of float samples is not supported")
    return read.choice((8, 0), (10, 0), (12, 0), (1, 6))


def _extra_channel(read: _Bits) -> int:
    """The kind of a further channel."""
    if read.flag():  # all default
        return _EXTRA_ALPHA
    kind = read.choice(*_ENUM)
    _depth(read)
    read.choice((0, 0), (3, 0), (4, 0), (1, 3))  # how much smaller it is
    for _ in range(read.choice((0, 0), (0, 4), (16, 5), (48, 10))):
        read.number(8)  # a letter of its name
    if kind == _EXTRA_ALPHA and read.flag():
        raise InputError("JPEG XL with colours multiplied by alpha is not supported")
    if kind == _EXTRA_SPOT:
        read.number(4 * 16)
    if kind == _EXTRA_CFA:
        read.choice((1, 0), (0, 2), (3, 4), (19, 8))
    return kind
