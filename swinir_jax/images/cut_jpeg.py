"""JPEGs whose end is missing."""

import io

import numpy as np
from PIL import Image, JpegImagePlugin

from swinir_jax.errors import InputError

_END = b"\xff\xd9"
_FEW = 1 / 50  # of the rows, that may be missing
_TAILS = (b"", b"\x55" * 64, b"\xaa" * 64)  # for what is missing: a decoder that needs it makes something else of each


def complete(image: Image.Image, file: io.BytesIO) -> tuple[Image.Image, tuple[str, ...]]:
    """Passes an opened JPEG, with its end where that is missing; and a note about it.

    Raises:
      InputError: if more rows of pixels are missing than nobody would notice.
    """
    try:
        image.load()
        return image, ()
    except OSError as error:
        if "truncated" not in str(error):
            raise
    data = file.getvalue().removesuffix(_END[:1])
    images = [JpegImagePlugin.JpegImageFile(io.BytesIO(data + tail + _END)) for tail in _TAILS]
    rows = [np.asarray(each).reshape(each.height, -1) for each in images]
    same = np.logical_and.reduce([(rows[0] == other).all(axis=1) for other in rows[1:]])
    if same.all():
        return images[0], ("the file is cut short, behind the last pixel",)
    missing, height = len(same) - int(same.argmin()), len(same)
    if missing > _FEW * height:
        raise InputError(f"the file is truncated: {height - missing} of {height} rows of pixels are there")
    return images[0], (f"the file is cut short: the last {missing} of {height} rows are gray",)
