"""Headers of JPEG XL codestreams (ISO/IEC 18181-1)."""

from swinir_jax.errors import InputError
from swinir_jax.images.header import Header, picture_bits

_HEAD_BYTES = 256  # upper bound of the header's size
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))  # width to height
_SIDE = ((1, 9), (1, 13), (1, 18), (1, 30))  # choices of `_Bits.choice` for a side
_ENUM = ((0, 0), (1, 0), (2, 4), (18, 6))  # choices for an enumeration
_EXTRA_ALPHA, _EXTRA_SPOT, _EXTRA_CFA = 0, 2, 5
_GRAY = 1
_LINEAR, _SRGB = 8, 13  # transfer curves


def parse_header(codestream: bytes) -> tuple[Header, int]:
    """Reads the header of the upright picture that libjxl decodes.

    Args:
      codestream: beginning of a codestream, with the signature.

    Returns:
      The header, and the bits of the samples that libjxl returns, from 1; alpha has those of the colours.

    Raises:
      InputError: if the header is damaged, or announces a preview or frames.
    """
    return _parse(_Bits(codestream[2:]))[:2]


def mark_as_srgb(codestream: bytes) -> bytes:
    """Replaces a linear transfer curve in the header by the sRGB curve; other headers stay as they are.

    imagecodecs marks 16-bit samples as linear whatever they are.
    """
    head, rest = codestream[2:_HEAD_BYTES], codestream[_HEAD_BYTES:]
    bits = _Bits(head)
    header, _, is_described = _parse(bits)
    if not is_described:
        return codestream
    bits.choice(*_ENUM)  # white
    if header.channels == 3:
        bits.choice(*_ENUM)  # primaries
    has_gamma = bits.flag()
    curve_position = bits.position + 2  # two bits before the number select one of `_ENUM`
    if has_gamma or bits.choice(*_ENUM) != _LINEAR:
        return codestream
    changed = int.from_bytes(head, "little") ^ ((_LINEAR - 2) ^ (_SRGB - 2)) << curve_position
    return codestream[:2] + changed.to_bytes(len(head), "little") + rest


def _parse(bits: "_Bits") -> tuple[Header, int, bool]:
    """Reads the header up to the colour space, the bits of samples, and whether white, primaries and curve follow."""
    h, w = _size(bits)
    if bits.flag():  # everything else has default values
        return Header(h, w), 8, False
    orientation = 1
    if bits.flag():
        orientation = bits.number(3) + 1
        if bits.flag():
            _size(bits)  # display size
        if bits.flag() or bits.flag():
            raise InputError("JPEG XL with a preview or frames is not supported")
    depth = _depth(bits)
    bits.flag()  # whether 16-bit buffers are enough for the decoder
    extras = [_extra_channel(bits) for _ in range(bits.choice((0, 0), (1, 0), (2, 4), (1, 12)))]
    bits.flag()  # whether colours are stored in XYB
    channels, is_described = 3, False
    if not bits.flag():  # the colour space is not sRGB
        is_described = not bits.flag()  # otherwise an ICC profile follows
        channels = 1 if bits.choice(*_ENUM) == _GRAY else 3
    if orientation > 4:
        h, w = w, h
    return Header(h, w, channels, picture_bits(depth), _EXTRA_ALPHA in extras), depth, is_described


class _Bits:
    """Reads numbers from bytes, lowest bits first."""

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
        """Reads two bits that select one of four (offset, number of bits), and then the number."""
        offset, bits = choices[self.number(2)]
        return offset + self.number(bits)


def _size(bits: _Bits) -> tuple[int, int]:
    small = bits.flag()
    height = 8 * (bits.number(5) + 1) if small else bits.choice(*_SIDE)
    if ratio := bits.number(3):
        across, down = _RATIOS[ratio - 1]
        return height, height * across // down
    return height, 8 * (bits.number(5) + 1) if small else bits.choice(*_SIDE)


def _depth(bits: _Bits) -> int:
    if bits.flag():
        raise InputError("JPEG XL of float samples is not supported")
    return bits.choice((8, 0), (10, 0), (12, 0), (1, 6))


def _extra_channel(bits: _Bits) -> int:
    """Reads the description of an extra channel and returns the channel's kind."""
    if bits.flag():  # everything has default values
        return _EXTRA_ALPHA
    kind = bits.choice(*_ENUM)
    _depth(bits)
    bits.choice((0, 0), (3, 0), (4, 0), (1, 3))  # subsampling
    for _ in range(bits.choice((0, 0), (0, 4), (16, 5), (48, 10))):
        bits.number(8)  # letter of the channel's name
    if kind == _EXTRA_ALPHA and bits.flag():
        raise InputError("JPEG XL with colours multiplied by alpha is not supported")
    if kind == _EXTRA_SPOT:
        bits.number(4 * 16)
    if kind == _EXTRA_CFA:
        bits.choice((1, 0), (0, 2), (3, 4), (19, 8))
    return kind
