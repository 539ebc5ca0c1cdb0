"""What a file says about its photograph beside the pixels: date, camera, place, author."""

import dataclasses
import re
from collections.abc import Iterable

from swinir_jax.images import exif as exif_data
from swinir_jax.images.exif import Exif

# PNG's keywords -> EXIF tags, for formats without texts.
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
    """What is known of a photograph, without what depends on its pixels.

    Attributes:
      exif: a TIFF structure, without `Exif` before it: no thumbnail, no sizes, upright; empty if there is none.
      xmp: an XML packet in UTF-8, likewise; empty if there is none.
      text: keywords, as those of PNG, and texts.
    """

    exif: bytes = b""
    xmp: bytes = b""
    text: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.exif or self.xmp or self.text)

    def parsed_exif(self) -> Exif | None:
        """EXIF data by directories."""
        return Exif.parse(self.exif) if self.exif else None

    def without_texts(self) -> tuple["Metadata", tuple[str, ...]]:
        """Makes EXIF data of the texts, for formats without texts; and tells the keywords of those that are lost."""
        exif, lost = self.parsed_exif() or Exif("<", {}, {}, {}), []
        for keyword, text in self.text:
            tag, entry = _TEXT_TAGS.get(keyword), exif_data.ascii_entry(text)
            if tag is None or exif.main.get(tag, entry) != entry:
                lost.append(keyword)
            else:
                exif = dataclasses.replace(exif, main={**exif.main, tag: entry})
        return Metadata(exif.to_bytes() if exif else b"", self.xmp), tuple(lost)


NO_METADATA = Metadata()


def collect(
    exif: exif_data.Buffer | None = None, xmp: bytes | str | None = None, text: Iterable[tuple[str, str]] = ()
) -> tuple[Metadata, tuple[str, ...]]:
    """Keeps what holds for a restored picture, too.

    Args:
      exif: as a file has it, with or without `Exif` before it; or a whole TIFF file.
      xmp: as a file has it.
      text: keywords and texts.

    Returns:
      The metadata, and a note if some were damaged and left out.
    """
    notes: tuple[str, ...] = ()
    kept = b""
    if exif:
        try:
            parsed = Exif.parse(exif[6:] if exif[:6] == b"Exif\0\0" else exif)
            kept = parsed.to_bytes() if parsed else b""
        except ValueError:
            notes = ("damaged EXIF data ignored",)
    packet = xmp.encode() if isinstance(xmp, str) else (xmp or b"")
    for pattern, replacement in _XMP_EDITS:
        packet = pattern.sub(replacement, packet)
    return Metadata(kept, packet, tuple(text)), notes


def from_raw_profile(value: str) -> bytes:
    """The bytes that PNG texts of ImageMagick hold as digits, behind a name and their number."""
    try:
        return bytes.fromhex("".join(value.split()[2:]))
    except ValueError:
        return b""
