"""Notes on what became of a picture's alpha."""

import types

import numpy as np
import pytest
from picture_files import make_pixels

from swinir_jax.images import Picture
from swinir_jax.inference.pictures import restore_picture

OPAQUE = np.full((23, 34), 255, np.uint8)
HALF = np.full((23, 34), 128, np.uint8)


class Enlarging:
    """Stands in for a restorer: repeats pixels."""

    def __init__(self, scale):
        self.scale, self.models = scale, [types.SimpleNamespace(config=types.SimpleNamespace(in_chans=3))]

    def __call__(self, image):
        return image.repeat(self.scale, axis=0).repeat(self.scale, axis=1)


@pytest.mark.parametrize(
    ("alpha", "scale", "notes"),
    [
        (HALF, 2, ("alpha was resized, not restored",)),
        (HALF, 1, ()),
        (OPAQUE, 2, ()),
        (None, 2, ()),
    ],
)
def test_resized_alpha_is_noted(alpha, scale, notes):
    restored = restore_picture(Picture(make_pixels(3), alpha), Enlarging(scale))
    assert restored.notes == notes
    assert (restored.alpha is None) == (alpha is None)
