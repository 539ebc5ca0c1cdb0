"""Limits of the page's server."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """How much the server takes and keeps.

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
    keep_seconds: float = 24 * 3600  # a batch may run overnight
    keep_after_download: float = 60
