"""JPEG files whose end is missing."""

import io

import numpy as np
from PIL import Image, JpegImagePlugin

from swinir_jax.errors import InputError
from swinir_jax.images.picture import CUT_AFTER_PIXELS

_END = b"\xff\xd9"
_TOLERATED = 1 / 50  # largest share of rows that may be missing
_TAILS = (b"", b"\x55" * 64, b"\xaa" * 64)  # substitutes for the missing data


def complete(image: Image.Image, file: io.BytesIO) -> tuple[Image.Image, tuple[str, ...]]:
    """Returns an opened JPEG and notes; a JPEG whose end is missing is completed and noted.

    Raises:
      InputError: if too many rows of pixels are missing.
    """
    try:
        image.load()
        return image, ()
    except OSError as error:
        if "truncated" not in str(error):
            raise
    data = file.getvalue().removesuffix(_END[:1])
    # Rows that need the missing data differ from tail to tail.
    images = [JpegImagePlugin.JpegImageFile(io.BytesIO(data + tail + _END)) for tail in _TAILS]
    rows = [np.asarray(each).reshape(each.height, -1) for each in images]
    present = np.logical_and.reduce([(rows[0] == other).all(axis=1) for other in rows[1:]])
    if present.all():
        return images[0], (CUT_AFTER_PIXELS,)
    missing, height = len(present) - int(present.argmin()), len(present)
    if missing > _TOLERATED * height:
        raise InputError(f"the file is truncated: {height - missing} of {height} rows of pixels are there")
    return images[0], (f"the file is cut short: the last {missing} of {height} rows are gray",)
