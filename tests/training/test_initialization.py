import dataclasses

import jax
import numpy as np
import pytest
from goldens import TINY, TINY_SWIN2SR, compiled, params_of, relative_error

from swinir_jax import InputError, SwinIR
from swinir_jax.checkpoints.store import save_model
from swinir_jax.training.initialization import _brief, initialise_from
from swinir_jax.training.state import init_params

CLASSICAL = dataclasses.replace(TINY, upsampler="pixelshuffle", depths=(1,), num_heads=(2,))


@pytest.fixture
def source(tmp_path):
    """Saves a network and returns its path."""

    def save(config):
        save_model(tmp_path / "source", params_of(config, 1), config)
        return tmp_path / "source"

    return save


@pytest.mark.parametrize(
    ("config", "upsampler"),
    [
        (TINY, ["upsample_0/bias", "upsample_0/kernel"]),
        (CLASSICAL, ["upsample_2/bias", "upsample_2/kernel"]),  # x4 is x2 twice: the second is new
    ],
    ids=["direct", "shuffle"],
)
def test_from_x2_to_x4_only_the_upsampler_is_new(config, upsampler, source):
    target = dataclasses.replace(config, upscale=4)
    drawn, theirs = params_of(target, 2), params_of(config, 1)
    params, carried, initialised = initialise_from(source(config), target, drawn)
    assert initialised == upsampler
    assert not set(carried) & set(upsampler)
    np.testing.assert_array_equal(params["conv_first"]["kernel"], theirs["conv_first"]["kernel"])
    layer = upsampler[0].split("/")[0]
    np.testing.assert_array_equal(params[layer]["kernel"], drawn[layer]["kernel"])
    assert params.keys() == drawn.keys()


def test_smaller_windows_take_the_middle_of_the_position_tables(source):
    larger, smaller = TINY, dataclasses.replace(TINY, window_size=TINY.window_size - 1)
    params, carried, _ = initialise_from(source(larger), smaller, params_of(smaller, 2))
    name = "relative_position_bias_table"
    ours, theirs = (
        tree["layers_0"]["residual_group"]["blocks_0"]["attn"][name] for tree in (params, params_of(larger, 1))
    )
    assert f"layers_0/residual_group/blocks_0/attn/{name}" in carried
    m = smaller.window_size
    for row, column in ((0, 0), (m - 1, m - 1), (2 * m - 2, 1)):  # offsets row - m + 1 and column - m + 1
        np.testing.assert_array_equal(ours[row * (2 * m - 1) + column], theirs[(row + 1) * (2 * m + 1) + column + 1])


def test_larger_windows_keep_the_position_tables_that_are_drawn(source):
    smaller = dataclasses.replace(TINY, window_size=TINY.window_size - 1)
    _, _, initialised = initialise_from(source(smaller), TINY, params_of(TINY, 2))
    assert {path.split("/")[-1] for path in initialised} == {"relative_position_bias_table"}


def test_from_gray_to_colour_the_body_is_kept(source):
    gray = dataclasses.replace(TINY, in_chans=1, upsampler="", upscale=1)
    colour = dataclasses.replace(gray, in_chans=3)
    _, carried, initialised = initialise_from(source(gray), colour, params_of(colour, 2))
    assert initialised == ["conv_first/kernel", "conv_last/bias", "conv_last/kernel"]
    assert "layers_1/residual_group/blocks_0/attn/qkv/kernel" in carried


def test_another_architecture_is_an_error_that_names_both(source):
    wide = dataclasses.replace(TINY, embed_dim=24)  # the position tables and the upsampler's bias would fit
    with pytest.raises(InputError, match=r"source: no layer .*embed_dim=12.*embed_dim=24"):
        initialise_from(source(TINY), wide, params_of(wide, 2))


def test_a_network_of_another_family_is_refused(source):
    with pytest.raises(InputError, match=r"source: no layer .*family=swinir.*family=swin2sr"):
        initialise_from(source(TINY), TINY_SWIN2SR, params_of(TINY_SWIN2SR, 2))


def test_a_swin2sr_begins_from_x2_and_other_windows(source):
    target = dataclasses.replace(TINY_SWIN2SR, upscale=4, window_size=4)
    _, _, initialised = initialise_from(source(TINY_SWIN2SR), target, params_of(target, 2))
    assert initialised == ["upsample_0/bias", "upsample_0/kernel"]  # no parameter depends on the window


def test_first_parameters_of_a_swin2sr():
    config = dataclasses.replace(TINY_SWIN2SR, depths=(1,), num_heads=(6,))
    params = init_params(SwinIR(config), jax.random.key(0))
    block = params["layers_0"]["residual_group"]["blocks_0"]
    attention = block["attn"]
    np.testing.assert_allclose(attention["logit_scale"], np.full((6, 1, 1), np.log(10)), rtol=1e-6)
    zeros = [attention["q_bias"], attention["v_bias"], attention["cpb_mlp_0"]["bias"], attention["proj"]["bias"]]
    assert not any(map(np.any, [*zeros, block["norm1"]["bias"], block["norm2"]["bias"]]))
    assert (block["norm1"]["scale"] == 1).all()
    for kernel in (attention["cpb_mlp_0"], attention["cpb_mlp_2"], attention["qkv"], block["mlp"]["fc1"]):
        assert np.std(kernel["kernel"]) == pytest.approx(0.02, rel=0.15)
    step = params["patch_embed"]["proj"]["kernel"]  # PyTorch's Conv2d: uniform up to 1 / sqrt(inputs)
    assert 0.9 < np.abs(step).max() * np.sqrt(config.embed_dim) <= 1


def test_a_network_of_another_range_begins_as_the_same_function(source):
    other = dataclasses.replace(TINY, img_range=255.0)
    params, _, initialised = initialise_from(source(TINY), other, params_of(other, 2))
    assert initialised == []
    lq = np.random.default_rng(0).random((1, 16, 16, 3), dtype=np.float32)
    answer, expected = (
        compiled(SwinIR(config))({"params": tree}, lq) for config, tree in ((other, params), (TINY, params_of(TINY, 1)))
    )
    assert relative_error(answer, expected) < 1e-5


def test_the_origin_of_parameters_is_logged_by_module():
    paths = [f"layers_{i}/residual_group/blocks_{j}/attn/qkv/kernel" for i in range(4) for j in range(6)]
    assert (
        _brief(["conv_first/bias", *paths, "norm/scale", "upsample_0/bias"]) == "conv_first, layers_*, norm, upsample_*"
    )
