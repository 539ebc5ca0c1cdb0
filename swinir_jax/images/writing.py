"""Pictures to files: each format keeps all that it can hold, and refuses what it cannot."""

import dataclasses
import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

from swinir_jax.errors import InputError
from swinir_jax.files import write_bytes
from swinir_jax.images.picture import SUFFIXES, Picture


def write_picture(path: str | os.PathLike[str], picture: Picture, *, quality: int = 95) -> None:
    """Writes a picture in the format its name ends with; the name never stands for half a file.

    All formats but JPEG are written without loss. PNG, JPEG and TIFF keep the colour profile and the resolution,
    WebP the profile, BMP the resolution; gray becomes RGB in WebP.

    Args:
      path: where to, with one of the `SUFFIXES` in either case. An existing file is replaced.
      picture: what to write.
      quality: of a JPEG, 1 to 100; colours are not subsampled.

    Raises:
      InputError: if the ending is unknown, its format cannot hold the depth, alpha or size of the picture, the
        quality is out of range, or the file cannot be written; then nothing is left behind.
    """
    path = Path(path)
    encode = _format_for(path, picture).encode
    if not 1 <= quality <= 100:
        raise InputError(f"{path}: JPEG quality must be 1 to 100, not {quality}")
    write_bytes(path, encode(picture, quality))


def _samples(picture: Picture) -> np.ndarray:
    """Colours and alpha in one array: `[h, w]` or `[h, w, 2 to 4]`."""
    if picture.alpha is None:
        return np.ascontiguousarray(picture.pixels)
    return np.dstack([picture.pixels, picture.alpha])


def encode_png(picture: Picture, quality: int) -> bytes:
    """The content of a PNG file; the quality is that of no PNG."""
    chunks = b""
    if picture.icc_profile:
        chunks += png_chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(picture.icc_profile))
    if picture.dpi:
        x, y = (round(value / 0.0254) for value in picture.dpi)
        chunks += png_chunk(b"pHYs", struct.pack(">IIB", x, y, 1))  # 1: per metre
    data = bytes(imagecodecs.png_encode(_samples(picture)))
    ihdr_end = 8 + 25  # the signature and the first chunk, which these must follow
    return data[:ihdr_end] + chunks + data[ihdr_end:]


def png_chunk(kind: bytes, payload: bytes) -> bytes:
    """A chunk of a PNG file, with its length and checksum."""
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def _encode_jpeg(picture: Picture, quality: int) -> bytes:
    return _encode_with_pillow(picture, "JPEG", quality=quality, subsampling="4:4:4", dpi=picture.dpi or (0, 0))


def _encode_webp(picture: Picture, quality: int) -> bytes:
    # exact: else colours of transparent pixels are made up.
    return _encode_with_pillow(picture, "WEBP", lossless=True, exact=True)


def _encode_bmp(picture: Picture, quality: int) -> bytes:
    return _encode_with_pillow(picture, "BMP", dpi=picture.dpi or (0, 0))


def _encode_with_pillow(picture: Picture, name: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(_samples(picture)).save(buffer, name, icc_profile=picture.icc_profile, **options)
    return buffer.getvalue()


def _encode_tiff(picture: Picture, quality: int) -> bytes:
    samples = _samples(picture)
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        samples,
        photometric="rgb" if picture.pixels.ndim == 3 else "minisblack",
        planarconfig="contig" if samples.ndim == 3 else None,
        extrasamples=None if picture.alpha is None else ["unassalpha"],
        compression="zlib",
        predictor=True,
        iccprofile=picture.icc_profile,
        resolution=picture.dpi,
        resolutionunit="INCH" if picture.dpi else None,
        software=False,
        metadata=None,
    )
    return buffer.getvalue()


@dataclasses.dataclass(frozen=True)
class _Format:
    encode: Callable[[Picture, int], bytes]  # picture and JPEG quality -> content of the file
    max_side: int  # pixels
    bits: int  # per channel, at most
    alpha: bool

    def lacks(self, picture: Picture) -> str:
        """What of the picture the format cannot hold; empty if it can."""
        side = max(picture.pixels.shape[:2])
        bits = 8 * picture.pixels.itemsize
        problems = {
            f"{bits} bits a channel": bits > self.bits,
            "alpha": picture.alpha is not None and not self.alpha,
            f"a side of {side} pixels": side > self.max_side,
        }
        return ", ".join(problem for problem, holds in problems.items() if holds)


FORMATS = {
    "PNG": _Format(encode_png, max_side=1_000_000, bits=16, alpha=True),  # the limit of libpng
    "JPEG": _Format(_encode_jpeg, max_side=65_500, bits=8, alpha=False),  # the limit of libjpeg
    "WebP": _Format(_encode_webp, max_side=16_383, bits=8, alpha=True),
    "TIFF": _Format(_encode_tiff, max_side=2**31 - 1, bits=16, alpha=True),
    "BMP": _Format(_encode_bmp, max_side=2**31 - 1, bits=8, alpha=False),
}


def _format_for(path: Path, picture: Picture) -> _Format:
    fitting = [suffix for suffix, name in SUFFIXES.items() if not FORMATS[name].lacks(picture)]
    name = SUFFIXES.get(path.suffix.lower())
    if name is None:
        raise InputError(f"{path}: unknown ending; use one of {', '.join(fitting)}")
    if missing := FORMATS[name].lacks(picture):
        raise InputError(f"{path}: {name} cannot hold {missing}; use one of {', '.join(fitting)} instead")
    return FORMATS[name]
