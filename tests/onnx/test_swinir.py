import dataclasses

import jax
import numpy as np
import onnx
import pytest
from goldens import FAMILY, FORWARD, TINY, compiled, golden_case, image, params_of, relative_error
from onnx_runs import in_onnx_runtime

from swinir_jax import SwinIR
from swinir_jax.checkpoints.names import params_from_official
from swinir_jax.onnx.file import onnx_file

# Beside these, the reference outputs have both kinds of ends, all upsamplers, gray, window 7 and both value ranges.
VARIANTS = {
    "pixelshuffle_x1": dict(upsampler="pixelshuffle", upscale=1),
    "pixelshuffle_x16": dict(upsampler="pixelshuffle", upscale=16),
    "pixelshuffledirect_x1": dict(upscale=1),
    "pixelshuffledirect_x5": dict(upscale=5),
    "nearest_conv_3conv": dict(upsampler="nearest+conv", upscale=2, resi_connection="3conv"),
    "four_channels": dict(in_chans=4, upsampler="", upscale=1, img_range=255),
    "window_of_small_patches": dict(img_size=4, depths=(3,), num_heads=(1,)),  # attention windows of 4, padded to 8
    "odd_window": dict(window_size=5, img_size=(10, 15)),
    "no_bias_anywhere": dict(qkv_bias=False, patch_norm=False, qk_scale=2, mlp_ratio=1.3, img_range=255),
    "swin2sr_no_bias": dict(family="swin2sr", qkv_bias=False, patch_norm=False, img_range=255),
    "swin2sr_3conv": dict(family="swin2sr", upsampler="nearest+conv", resi_connection="3conv"),
    "swin2sr_window_of_small_patches": dict(family="swin2sr", img_size=4, depths=(3,), num_heads=(1,)),
    "swin2sr_auxiliary_x3": dict(family="swin2sr", upsampler="pixelshuffle_aux", upscale=3),
    "unshuffled_swin2sr_auxiliary": dict(family="swin2sr", upsampler="pixelshuffle_aux", unshuffle=2),
    "unshuffled_x1": dict(upsampler="pixelshuffle", upscale=1, unshuffle=3),
}


@pytest.fixture(scope="module")
def tiny():
    return in_onnx_runtime(TINY, params_of(TINY))


@pytest.mark.parametrize("path", [*FORWARD, *FAMILY], ids=lambda path: path.stem)
def test_equals_the_original(path):
    config, weights, lq, expected = golden_case(path)
    params = params_from_official(weights, config)
    shape = lq.shape[1:3] if config.ape else None
    run = in_onnx_runtime(config, params, shape=shape)
    assert relative_error(np.concatenate([run(one[None]) for one in lq]), expected) < 1e-5


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_variants_equal_jax(changes):
    config = dataclasses.replace(TINY, **changes)
    params, lq = params_of(config), image(1, 19, 13, config.in_chans)
    expected = compiled(SwinIR(config))({"params": params}, lq)
    restored = in_onnx_runtime(config, params)(lq)
    assert restored.shape == expected.shape
    assert relative_error(restored, expected) < 2e-6


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (2, 17), (8, 8), (37, 30)])
def test_one_file_takes_any_size(tiny, size):
    lq = image(1, *size, 3)
    assert relative_error(tiny(lq), compiled(SwinIR(TINY))({"params": params_of(TINY)}, lq)) < 2e-6


@pytest.mark.parametrize("size", [(3, 5), (16, 24)])
def test_file_of_one_size(tiny, size):
    fixed = in_onnx_runtime(TINY, params_of(TINY), shape=size)
    lq = image(1, *size, 3)
    np.testing.assert_allclose(fixed(lq), tiny(lq), atol=1e-6)
    with pytest.raises(Exception, match="Got invalid dimensions"):
        fixed(image(1, 16, 16, 3))


def test_position_embedding_pads_to_the_one_size():
    config = dataclasses.replace(TINY, ape=True, img_size=(16, 24))
    params, lq = params_of(config), image(1, 13, 22, 3)
    expected = compiled(SwinIR(config))({"params": params}, lq)
    assert relative_error(in_onnx_runtime(config, params, shape=(13, 22))(lq), expected) < 2e-6


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_weights_of_further_answers_are_left_out(dtype):
    one, several = (
        dataclasses.replace(TINY, family="swin2sr", upsampler=upsampler)
        for upsampler in ("pixelshuffle", "pixelshuffle_hf")
    )

    def content(config):
        params = jax.tree.map(lambda leaf: leaf.astype(dtype), params_of(config))
        graph = onnx.load_model_from_string(onnx_file(config, params)).graph
        names = [tensor.name for tensor in graph.initializer]
        weights = {name for name in names if not name.startswith("constant_")}
        return [node.op_type for node in graph.node], weights, len(names)

    assert content(several) == content(one)


def test_file_is_valid_and_readable():
    model = onnx.load_model_from_string(onnx_file(TINY, params_of(TINY), metadata={"scale": "2"}))
    onnx.checker.check_model(model, full_check=True)
    assert (model.opset_import[0].version, model.ir_version) == (17, 8)
    assert (model.producer_name, model.metadata_props[0].key) == ("swinir-jax", "scale")
    [given], [result] = model.graph.input, model.graph.output
    dims = [[d.dim_param or d.dim_value for d in x.type.tensor_type.shape.dim] for x in (given, result)]
    assert (given.name, result.name) == ("image", "restored")
    assert dims == [[1, 3, "height", "width"], [1, 3, "2*height", "2*width"]]
    names = {tensor.name for tensor in model.graph.initializer}
    assert "layers_0/residual_group/blocks_1/attn/qkv/kernel" in names
    masks = [node for node in model.graph.node if node.op_type == "Where"]
    assert len(masks) == 1  # for all layers
