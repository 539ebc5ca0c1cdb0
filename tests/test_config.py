import json

import jax.numpy as jnp
import numpy as np
import pytest
from goldens import TINY

from swinir_jax import InputError, SwinIRConfig


def test_json_and_back():
    assert SwinIRConfig.from_dict(json.loads(json.dumps(TINY.to_dict()))) == TINY


def test_lists_become_hashable():
    assert hash(SwinIRConfig(depths=[6], num_heads=[6])) == hash(SwinIRConfig(depths=(6,), num_heads=(6,)))


@pytest.mark.parametrize("array", [np.array, jnp.array, list, lambda values: tuple(map(np.int64, values))])
def test_numbers_and_arrays_of_numpy_become_plain(array):
    config = SwinIRConfig(
        depths=array([2, 2]), num_heads=array([3, 3]), img_size=array([16, 24]), embed_dim=np.int64(60),
        mlp_ratio=np.float32(2), img_range=np.array(255.0), ape=np.False_,
    )  # fmt: skip
    plain = SwinIRConfig(
        depths=(2, 2), num_heads=(3, 3), img_size=(16, 24), embed_dim=60, mlp_ratio=2.0, img_range=255.0
    )
    assert (config, hash(config)) == (plain, hash(plain))
    assert SwinIRConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == plain


def test_a_square_image_is_one_number():
    square = SwinIRConfig(img_size=(48, 48))
    assert (square, hash(square)) == (SwinIRConfig(img_size=48), hash(SwinIRConfig(img_size=48)))
    assert square.img_sides == (48, 48)


@pytest.mark.parametrize(
    ("img_size", "shift"), [(8, 0), (9, 4), (4, 0), ((8, 64), 0), ((64, 8), 0), ((16, 24), 4), ((4, 64), 0)]
)
def test_windows_shift_only_where_the_image_was_larger(img_size, shift):
    config = SwinIRConfig(img_size=img_size, window_size=8)
    assert config.shift_size == shift
    assert config.attention_window == min(8, *config.img_sides)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"depths": (6, 6), "num_heads": (6,)}, "One head count per RSTB"),
        ({"embed_dim": 100, "num_heads": (6,) * 6}, "multiple of num_heads=6"),
        ({"upsampler": "bilinear"}, "bilinear"),
        ({"drop_rate": 1.0}, "drop_rate"),
        ({"img_range": 0.0}, "img_range"),
        ({"window_size": 0}, "window_size"),
        ({"window_size": 8, "img_size": 5}, "does not divide"),
        ({"resi_connection": "2conv"}, "2conv"),
        ({"resi_connection": "3conv", "embed_dim": 3, "num_heads": (1,) * 6}, "embed_dim of at least 4"),
        ({"depths": ()}, "depths"),
        ({"upscale": 2}, r"upsampler='' enlarges by 1, got upscale=2; upsamplers for it: 'pixelshuffle', "),
        ({"upscale": 3, "upsampler": "nearest+conv"}, "enlarges by 2 or 4 or 8, got upscale=3; .*'pixelshuffledirect'"),
        ({"img_range": float("inf")}, "finite"),
        ({"qk_scale": float("nan")}, "finite"),
        ({"embed_dim": 180.0}, "embed_dim must be of type int"),
        ({"in_chans": True}, "in_chans"),
        ({"qk_scale": "x"}, "qk_scale"),
        ({"depths": 6}, "depths"),
        ({"img_size": (8, 12, 3)}, "img_size must be of type"),
        ({"img_size": (8, 12.5)}, "img_size must be of type"),
        ({"img_size": (0, 16)}, "img_size must be at least 1"),
        ({"embed_dim": (60,)}, "embed_dim"),
        ({"depths": np.array([[6], [6]])}, "depths"),
        ({"depths": np.array([6.0, 6.0])}, "depths"),
        ({"in_chans": np.True_}, "in_chans"),
        ({"mlp_ratio": np.float32("nan")}, "finite"),
        ({"ape": True, "img_size": (16, 20)}, r"ape=True: img_size=\(16, 20\) is not a multiple of window_size=8"),
        ({"ape": True, "img_size": 4}, "ape=True: img_size=4 is not a multiple of window_size=8"),
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
