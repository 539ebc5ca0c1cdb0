"""Metadata of photographs: date, camera, place, author and texts."""

import dataclasses
import re
from collections.abc import Iterable

from swinir_jax.images import exif as exif_data
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
    """

    exif: bytes = b""
    xmp: bytes = b""
    text: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.exif or self.xmp or self.text)

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
        return Metadata(exif.to_bytes() if exif else b"", self.xmp), tuple(lost)


NO_METADATA = Metadata()
DAMAGED_EXIF = "damaged EXIF data ignored"


def collect(
    exif: exif_data.Buffer | None = None, xmp: bytes | str | None = None, text: Iterable[tuple[str, str]] = ()
) -> tuple[Metadata, tuple[str, ...]]:
    """Collects a file's metadata, without what does not hold for the restored picture.

    Args:
      exif: EXIF data with or without the prefix `Exif`, or a whole TIFF file.
      xmp: XMP packet.
      text: keywords and texts.

    Returns:
      The metadata, and a note if EXIF data were damaged and left out.
    """
    notes: tuple[str, ...] = ()
    kept = b""
    if exif:
        try:
            has_prefix = exif[: len(EXIF_PREFIX)] == EXIF_PREFIX
            parsed = Exif.parse(exif[len(EXIF_PREFIX) :] if has_prefix else exif)
            kept = parsed.to_bytes() if parsed else b""
        except ValueError:
            notes = (DAMAGED_EXIF,)
    packet = xmp.encode() if isinstance(xmp, str) else (xmp or b"")
    for pattern, replacement in _XMP_EDITS:
        packet = pattern.sub(replacement, packet)
    return Metadata(kept, packet, tuple(text)), notes


def from_raw_profile(value: str) -> bytes:
    """Decodes a PNG text of ImageMagick: a name, a length and the data in hexadecimal digits; empty if damaged."""
    try:
        return bytes.fromhex("".join(value.split()[2:]))
    except ValueError:
        return b""
