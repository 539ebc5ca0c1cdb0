"""Before and after in one picture."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from swinir_jax.images import Picture
from swinir_jax.images.colour import fit_profile
from swinir_jax.images.picture import to_8_bits

_GAP = 4  # pixels between the halves
_LABELS = ("before (bicubic)", "after")


def side_by_side(before: Picture, after: Picture) -> Picture:
    """The input, enlarged by bicubic interpolation, to the left of the restored picture.

    Args:
      before: the input.
      after: the restored picture, as large or larger.

    Returns:
      An 8-bit RGB picture in the colours of the restored one; transparent parts lie on white.
    """
    right = _opaque(after)
    left = _opaque(before).resize(right.size, Image.Resampling.BICUBIC)
    canvas = Image.new("RGB", (2 * right.width + _GAP, right.height), "white")
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(max(10, right.height // 30))
    for image, x, label in zip((left, right), (0, right.width + _GAP), _LABELS, strict=True):
        canvas.paste(image, (x, 0))
        draw.text((x + 6, 4), label, "white", font, stroke_width=2, stroke_fill="black")
    profile, notes = fit_profile(after.icc_profile, 3)
    return Picture(np.asarray(canvas), icc_profile=profile, code_points=after.code_points, notes=notes)


def _opaque(picture: Picture) -> Image.Image:
    image = Image.fromarray(to_8_bits(picture.pixels)).convert("RGB")
    if picture.alpha is None:
        return image
    return Image.composite(image, Image.new("RGB", image.size, "white"), Image.fromarray(to_8_bits(picture.alpha)))
