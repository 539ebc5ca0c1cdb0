"""Metadata of photographs: date, camera, place, author and texts."""

import dataclasses
import re
from collections.abc import Iterable

from swinir_jax.images import exif as exif_data
from swinir_jax.images import iptc as iptc_data
from swinir_jax.images.exif import EXIF_PREFIX, Exif

# PNG keyword -> EXIF tag that holds the text in formats without texts.
_TEXT_TAGS = {
    "Description": exif_data.DESCRIPTION,
    "Comment": exif_data.DESCRIPTION,
    "Title": exif_data.DESCRIPTION,
    "Author": exif_data.ARTIST,
    "Copyright": exif_data.COPYRIGHT,
    "Software": exif_data.SOFTWARE,
}

_XMP_SIZES = rb"(?:tiff:Image(?:Width|Length)|exif:Pixel[XY]Dimension)"
_XMP_EDITS = tuple(
    (re.compile(pattern, re.DOTALL), replacement)
    for pattern, replacement in (
        (rb"""(\btiff:Orientation\s*=\s*)(["'])\s*\d*\s*\2""", rb"\1\g<2>1\2"),
        (rb"(<tiff:Orientation>)\s*\d*\s*(</tiff:Orientation>)", rb"\g<1>1\2"),
        (rb"\s" + _XMP_SIZES + rb"""\s*=\s*(["'])[^"']*\1""", b""),
        (rb"<(" + _XMP_SIZES + rb")>[^<]*</\1>\s*", b""),
        (rb"<xmp:Thumbnails\b.*?</xmp:Thumbnails>\s*", b""),
    )
)


@dataclasses.dataclass(frozen=True)
class Metadata:
    """Metadata of a photograph that also hold for the restored picture: no sizes, no thumbnail, upright.

    Attributes:
      exif: TIFF structure, without the prefix `Exif`; empty if there is none.
      xmp: XML packet in UTF-8; empty if there is none.
      text: keywords, named as in PNG, and texts.
      iptc: IPTC data; empty if there are none.
    """

    exif: bytes = b""
    xmp: bytes = b""
    text: tuple[tuple[str, str], ...] = ()
    iptc: bytes = b""

    def __bool__(self) -> bool:
        return bool(self.exif or self.xmp or self.text or self.iptc)

    def parsed_exif(self) -> Exif | None:
        """Returns the EXIF data by directories; None if there are none."""
        return Exif.parse(self.exif) if self.exif else None

    def without_texts(self) -> tuple["Metadata", tuple[str, ...]]:
        """Moves texts into the EXIF data; also returns the keywords of texts that have no tag there."""
        exif, lost = self.parsed_exif() or Exif("<", {}, {}, {}), []
        for keyword, text in self.text:
            tag, entry = _TEXT_TAGS.get(keyword), exif_data.ascii_entry(text)
            if tag is None or exif.main.get(tag, entry) != entry:
                lost.append(keyword)
            else:
                exif = dataclasses.replace(exif, main={**exif.main, tag: entry})
        return dataclasses.replace(self, exif=exif.to_bytes() if exif else b"", text=()), tuple(lost)


RAW_PROFILE = "Raw profile type "
"""Beginning of the keywords of PNG texts in which ImageMagick stores other data, encoded by `to_raw_profile`."""
NO_METADATA = Metadata()
DAMAGED_EXIF = "damaged EXIF data ignored"


def collect(
    exif: exif_data.Buffer | None = None,
    xmp: bytes | str | None = None,
    text: Iterable[tuple[str, str]] = (),
    iptc: bytes = b"",
) -> tuple[Metadata, tuple[str, ...]]:
    """Collects a file's metadata, without what does not hold for the restored picture.

    Args:
      exif: EXIF data with or without the prefix `Exif`, or a whole TIFF file.
      xmp: XMP packet.
      text: keywords and texts.
      iptc: IPTC data; by default those in a tag of `exif`.

    Returns:
      The metadata, and notes if EXIF or IPTC data were damaged and left out.
    """
    notes: tuple[str, ...] = ()
    kept = b""
    if exif:
        try:
            has_prefix = exif[: len(EXIF_PREFIX)] == EXIF_PREFIX
            parsed = Exif.parse(exif[len(EXIF_PREFIX) :] if has_prefix else exif)
            parsed, in_tags = _split_iptc(parsed)
            kept, iptc = parsed.to_bytes() if parsed else b"", iptc or in_tags
        except ValueError:
            notes = (DAMAGED_EXIF,)
    sound = iptc_data.sound(iptc)
    if iptc and not sound:
        notes += ("damaged IPTC data ignored",)
    packet = xmp.encode() if isinstance(xmp, str) else (xmp or b"")
    for pattern, replacement in _XMP_EDITS:
        packet = pattern.sub(replacement, packet)
    return Metadata(kept, packet, tuple(text), sound), notes


def _split_iptc(exif: Exif) -> tuple[Exif, bytes]:
    """Takes the tags of IPTC data and of Photoshop's resources out of EXIF data, and returns the IPTC data in them."""
    main = dict(exif.main)
    iptc, resources = (main.pop(tag).data if tag in main else b"" for tag in (exif_data.IPTC, exif_data.PHOTOSHOP))
    return dataclasses.replace(exif, main=main), iptc or iptc_data.from_resources(resources)


def to_raw_profile(name: str, data: bytes) -> str:
    """Encodes data for PNG as ImageMagick does: a name, a length and the data in hexadecimal digits."""
    return f"\n{name}\n{len(data):8}\n{data.hex()}\n"


def from_raw_profile(value: str) -> bytes:
    """Decodes the text of `to_raw_profile`; returns nothing if it is damaged."""
    try:
        return bytes.fromhex("".join(value.split()[2:]))
    except ValueError:
        return b""
