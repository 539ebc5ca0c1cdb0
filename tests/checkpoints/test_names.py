import numpy as np
import pytest
from goldens import TINY, generated_weights, official_checkpoints

from swinir_jax import InputError, SwinIRConfig
from swinir_jax.checkpoints.architecture import infer_config
from swinir_jax.checkpoints.names import (
    official_buffers,
    official_shapes,
    params_from_official,
    params_to_official,
    to_flax,
    to_official,
)
from swinir_jax.checkpoints.zoo import OFFICIAL

ARCHITECTURES = official_checkpoints()["architectures"]


@pytest.mark.parametrize(
    ("official", "shape", "flax", "flax_shape"),
    [
        ("layers.3.residual_group.blocks.1.fc1.weight", (6, 2), "layers_3/residual_group/blocks_1/fc1/kernel", (2, 6)),
        ("layers.0.conv.4.weight", (5, 4, 3, 2), "layers_0/conv_4/kernel", (3, 2, 4, 5)),
        ("conv_up1.bias", (5,), "conv_up1/bias", (5,)),
        ("patch_embed.norm.weight", (5,), "patch_embed/norm/scale", (5,)),
        ("absolute_pos_embed", (1, 4, 5), "absolute_pos_embed", (1, 4, 5)),
    ],
)  # fmt: skip
def test_names_and_layouts_by_hand(official, shape, flax, flax_shape):
    tensor = np.arange(np.prod(shape)).reshape(shape)
    path, leaf = to_flax(official, tensor)
    assert (path, leaf.shape) == (flax, flax_shape)
    back, again = to_official(path, leaf)
    assert back == official
    np.testing.assert_array_equal(again, tensor)


def test_there_and_back_is_bit_exact():
    weights = generated_weights(official_shapes(TINY), 3)
    back = params_to_official(params_from_official(weights, TINY), TINY)
    assert back.keys() == weights.keys() | official_buffers(TINY).keys()
    for name, tensor in weights.items():
        np.testing.assert_array_equal(back[name], tensor)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_official_buffers_are_made_again(name):
    expected = ARCHITECTURES[name]["buffers"]
    made = official_buffers(SwinIRConfig.from_dict(ARCHITECTURES[name]["config"]))
    described = {key: [list(buffer.shape), str(buffer.dtype)] for key, buffer in made.items()}
    assert described == expected


@pytest.mark.parametrize("checkpoint", official_checkpoints()["checkpoints"].items(), ids=lambda item: item[0])
def test_configuration_is_read_off_every_official_file(checkpoint):
    file_name, described = checkpoint
    architecture = ARCHITECTURES[described["architecture"]]
    entries = [*architecture["parameters"].items(), *((k, shape) for k, (shape, _) in architecture["buffers"].items())]
    tensors = {name: np.broadcast_to(np.float32(0), shape) for name, shape in entries}
    expected = SwinIRConfig.from_dict(architecture["config"])
    assert infer_config(tensors) == expected
    assert OFFICIAL[file_name.removesuffix(".pth")].config == expected


OPTIONS = [
    {"ape": True, "img_size": 16},
    {"img_size": (16, 24)},
    {"img_size": (40, 16)},
    {"patch_norm": False},
    {"qkv_bias": False},
    {"resi_connection": "3conv"},
    {"mlp_ratio": 2.7, "embed_dim": 36},
    {"window_size": 5, "img_size": 5},
    {"in_chans": 7, "upscale": 5},
    {"upsampler": "pixelshuffle", "upscale": 8},
    {"upsampler": "pixelshuffle", "upscale": 1},
    {"upsampler": "pixelshuffledirect", "upscale": 1},
    {"upsampler": "nearest+conv", "upscale": 4},
    {"upsampler": "", "upscale": 1, "window_size": 7, "img_size": 14, "img_range": 255.0},
]


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_configuration_of_a_file_in_every_option(option):
    config = SwinIRConfig.from_dict({**TINY.to_dict(), **option})
    weights = generated_weights(official_shapes(config), 1)
    found = infer_config({**weights, **official_buffers(config)}, shift=None if config.shift_size else False)
    assert found.mlp_hidden_dim == config.mlp_hidden_dim
    assert found == SwinIRConfig.from_dict({**config.to_dict(), "mlp_ratio": found.mlp_ratio})
    assert infer_config(weights).shift_size == config.window_size // 2  # without buffers, windows shift


def test_fractional_mlp_ratios_survive_rounding():
    for embed_dim in range(1, 60):
        for hidden in range(1, 4 * embed_dim):
            shapes = official_shapes_of_two(embed_dim, hidden)
            assert infer_config(shapes).mlp_hidden_dim == hidden


def official_shapes_of_two(embed_dim, hidden):
    block = "layers.0.residual_group.blocks.0"
    shapes = {
        "conv_first.weight": (embed_dim, 3, 3, 3),
        f"{block}.attn.relative_position_bias_table": (9, 1),
        f"{block}.mlp.fc1.weight": (hidden, embed_dim),
    }
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


def test_overrides_take_the_place_of_the_rules():
    weights = generated_weights(official_shapes(TINY), 1)
    config = infer_config(weights, img_range=255.0, qk_scale=0.5)
    assert (config.img_range, config.qk_scale) == (255.0, 0.5)


def test_every_problem_is_in_one_error():
    weights = {**generated_weights(official_shapes(TINY), 1), **official_buffers(TINY)}
    del weights["norm.weight"]
    weights["extra.weight"] = np.zeros(3, np.float32)
    weights["norm.bias"] = np.zeros(5, np.float32)
    weights["conv_first.bias"] = np.zeros(12, np.int64)
    weights["conv_after_body.bias"] = np.full(12, np.nan, np.float32)
    weights["conv_first.weight"] = np.full((12, 3, 3, 3), 1e300)
    mask = "layers.0.residual_group.blocks.1.attn_mask"
    weights[mask] = weights[mask] + 1
    weights["layers.9.attn_mask"] = weights[mask]
    with pytest.raises(InputError) as caught:
        params_from_official(weights, TINY)
    message = str(caught.value)
    assert "8 problems" in message
    for part in (
        "missing norm.weight (12,)",
        "unexpected extra.weight",
        "norm.bias has shape (5,), not (12,)",
        "conv_first.bias has dtype int64",
        "conv_after_body.bias has values that float32 cannot hold or that are not finite",
        "conv_first.weight has values that float32 cannot hold",
        f"buffer {mask} differs",
        "unexpected buffer layers.9.attn_mask",
    ):
        assert part in message


def test_of_hundreds_of_problems_the_first_few_are_named():
    with pytest.raises(InputError, match=r"\(300 problems\): missing .*; and 290 more$") as caught:
        params_from_official(
            {f"other{i}": np.zeros(1, np.float32) for i in range(300 - len(official_shapes(TINY)))}, TINY
        )
    assert len(str(caught.value)) < 1000


TABLE = "layers.{}.residual_group.blocks.{}.attn.relative_position_bias_table"
FIRST = {"conv_first.weight": np.zeros((4, 3, 3, 3), np.float32)}
ONE_LAYER = {
    **FIRST,
    TABLE.format(0, 0): np.zeros((9, 1)),
    "layers.0.residual_group.blocks.0.mlp.fc1.weight": np.zeros((8, 4)),
}


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        FIRST,
        {"conv_first.weight": np.zeros((0, 3, 3, 3), np.float32)},
        {**FIRST, TABLE.format(1000000000, 0): np.zeros((9, 1))},
        {**FIRST, TABLE.format(0, 1): np.zeros((9, 1))},
        {**ONE_LAYER, "layers.0.residual_group.blocks.1.attn_mask": np.zeros(())},
    ],
)
def test_not_a_swinir(tensors):
    with pytest.raises(InputError, match="not the weights of a SwinIR"):
        infer_config(tensors)


@pytest.mark.parametrize("sides", [(16, 24), (24, 16), (16, 16)])
def test_masks_of_a_rectangle_by_hand(sides):
    config = SwinIRConfig.from_dict({**TINY.to_dict(), "img_size": sides})
    mask = official_buffers(config)["layers.0.residual_group.blocks.1.attn_mask"]
    rows, columns = sides[0] // 8, sides[1] // 8
    assert mask.shape == (rows * columns, 64, 64)
    cut = mask.any(axis=(1, 2)).reshape(rows, columns)
    expected = np.zeros((rows, columns), bool)
    expected[-1] = expected[:, -1] = True
    np.testing.assert_array_equal(cut, expected)
    right = mask[columns - 1].reshape(8, 8, 8, 8)  # in the first row: columns 0..3 and 4..7 do not see each other
    assert (right[:, :4, :, 4:] == -100).all()
    assert (right[:, :4, :, :4] == 0).all()


EMBEDDING = "absolute_pos_embed"


def with_embedding(positions, buffers=()):
    return {**ONE_LAYER, EMBEDDING: np.zeros((1, positions, 4), np.float32), **dict(buffers)}


def test_the_sides_of_a_position_embedding():
    assert infer_config(with_embedding(36)).img_size == 6
    with pytest.raises(InputError, match="96 positions, no square"):
        infer_config(with_embedding(96))
    rectangle = SwinIRConfig(img_size=(8, 12), window_size=2, embed_dim=4, depths=(2,), num_heads=(1,), ape=True)
    assert infer_config(with_embedding(96, official_buffers(rectangle))).img_sides == (8, 12)


def test_huge_windows_are_refused():
    table = {TABLE.format(0, 0): np.broadcast_to(np.float32(0), (399**2, 1))}
    with pytest.raises(InputError, match="windows of 200"):
        infer_config({**ONE_LAYER, **table})


def test_a_mask_of_another_shape_is_named():
    weights = {**generated_weights(official_shapes(TINY), 1), **official_buffers(TINY)}
    name = "layers.0.residual_group.blocks.1.attn_mask"
    for wrong in (weights[name][:, None], weights[name][:, :16, :16], np.zeros((2**20, 1, 1))):
        with pytest.raises(InputError, match="attn_mask"):
            infer_config({**weights, name: wrong})
