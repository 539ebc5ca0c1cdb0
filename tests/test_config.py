import json

import pytest
from goldens import TINY

from swinir_jax import InputError, SwinIRConfig


def test_json_and_back():
    assert SwinIRConfig.from_dict(json.loads(json.dumps(TINY.to_dict()))) == TINY


def test_lists_become_hashable():
    assert hash(SwinIRConfig(depths=[6], num_heads=[6])) == hash(SwinIRConfig(depths=(6,), num_heads=(6,)))


@pytest.mark.parametrize(("img_size", "shift"), [(8, 0), (9, 4), (4, 0)])
def test_windows_shift_only_where_the_image_was_larger(img_size, shift):
    assert SwinIRConfig(img_size=img_size, window_size=8).shift_size == shift


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"depths": (6, 6), "num_heads": (6,)}, "One head count per RSTB"),
        ({"embed_dim": 100, "num_heads": (6,) * 6}, "multiple of num_heads=6"),
        ({"upsampler": "bilinear"}, "bilinear"),
        ({"upsampler": "nearest+conv", "upscale": 3}, "got 3"),
        ({"upscale": 2}, "got 2"),
        ({"drop_rate": 1.0}, "drop_rate"),
        ({"img_range": 0.0}, "img_range"),
        ({"window_size": 0}, "window_size"),
        ({"window_size": 8, "img_size": 5}, "does not divide"),
        ({"resi_connection": "2conv"}, "2conv"),
        ({"depths": ()}, "depths"),
        ({"img_range": float("inf")}, "finite"),
        ({"qk_scale": float("nan")}, "finite"),
        ({"embed_dim": 180.0}, "embed_dim must be of type int"),
        ({"in_chans": True}, "in_chans"),
        ({"qk_scale": "x"}, "qk_scale"),
        ({"depths": 6}, "depths"),
    ],
)
def test_contradictions_are_named(arguments, word):
    with pytest.raises(InputError, match=word):
        SwinIRConfig(**arguments)


def test_unknown_and_mistyped_arguments_are_input_errors():
    with pytest.raises(InputError, match="colour"):
        SwinIRConfig.from_dict({"colour": 1})
    with pytest.raises(InputError, match="embed_dim must be of type"):
        SwinIRConfig.from_dict({"embed_dim": "many"})
