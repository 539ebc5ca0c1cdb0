"""Limits of a server for pictures, and the answers to requests beyond them."""

import dataclasses

from aiohttp import web


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of the page's server.

    Attributes:
      file_bytes: largest size of an uploaded file.
      pixels: largest number of pixels of a picture.
      jobs: largest number of pictures that are kept at a time.
      keep_seconds: time after which a picture and its result are removed.
      keep_after_download: time after a download, in seconds, after which they are removed.
    """

    file_bytes: int = 500 * 10**6
    pixels: int = 200 * 10**6
    jobs: int = 200
    keep_seconds: float = 3600
    keep_after_download: float = 60


def check_pixels(height: int, width: int, limit: int) -> None:
    """Raises the answer 413 for a picture with more pixels than the limit."""
    if height * width > limit:
        text = f"{width} x {height} pixels are more than the limit of {limit}.\n"
        raise web.HTTPRequestEntityTooLarge(limit, height * width, text=text)
