"""Reception of a picture file."""

import asyncio
from pathlib import Path

from aiohttp import web

from swinir_jax.app.limits import Limits
from swinir_jax.images import Header, read_header

_PIECE = 2**20  # bytes


async def receive(request: web.Request, file: Path, limits: Limits) -> Header:
    """Writes a request's body to a file, unchanged, and reads the picture's header.

    Args:
      request: request whose body is the file.
      file: file to write.
      limits: limits on bytes and pixels.

    Raises:
      HTTPRequestEntityTooLarge: if the body has too many bytes, or the picture too many pixels.
      InputError: if the file is not a picture or its header is damaged.
    """
    size = request.content_length or 0
    _check_bytes(size, limits.file_bytes)
    size = 0
    with open(file, "xb") as copy:
        async for piece in request.content.iter_chunked(_PIECE):
            size += len(piece)
            _check_bytes(size, limits.file_bytes)
            await asyncio.to_thread(copy.write, piece)
    header = await asyncio.to_thread(read_header, file)
    _check_pixels(header, limits.pixels)
    return header


def _check_pixels(header: Header, limit: int) -> None:
    if (count := header.height * header.width) > limit:
        text = f"{header.width} x {header.height} pixels are more than the limit of {limit}.\n"
        raise web.HTTPRequestEntityTooLarge(limit, count, text=text)


def _check_bytes(size: int, limit: int) -> None:
    if size > limit:
        text = f"The file has more than the {limit / 1e6:g} MB allowed.\n"
        raise web.HTTPRequestEntityTooLarge(limit, size, text=text)
