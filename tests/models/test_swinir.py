import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens import TINY, compiled, image, official_checkpoints, params_of, relative_error
from PIL import Image

from swinir_jax import InputError, SwinIR, SwinIRConfig
from swinir_jax.checkpoints.names import official_shapes
from swinir_jax.models import precision
from swinir_jax.models.convolution import Convolution
from swinir_jax.models.layers import Linear
from swinir_jax.models.swinir import RSTB, pad_to_window


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Linear(2, jnp.bfloat16), (5000, 3)),
        (Convolution(2, 3, nn.initializers.ones, dtype=jnp.bfloat16), (1, 50, 100, 3)),
    ],
)
def test_the_gradient_by_a_bias_is_no_sum_of_bfloat16(layer, shape):
    """Which would end at a few hundred or thousand, where adding 1 changes nothing."""
    params = layer.init(jax.random.key(0), jnp.zeros(shape))["params"]

    def total(params):
        return jnp.sum(layer.apply({"params": params}, jnp.zeros(shape)).astype(jnp.float32))

    np.testing.assert_array_equal(jax.jit(jax.grad(total))(params)["bias"], [5000, 5000])


@pytest.mark.parametrize("architecture", official_checkpoints()["architectures"].items(), ids=lambda item: item[0])
def test_official_architectures_have_the_official_parameters(architecture):
    expected = architecture[1]
    shapes = official_shapes(SwinIRConfig.from_dict(expected["config"]))
    assert shapes == {name: tuple(shape) for name, shape in expected["parameters"].items()}
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == expected["num_parameters"]


def test_tree_has_one_entry_a_layer_with_the_official_names():
    made = jax.eval_shape(SwinIR(TINY).init, jax.random.key(0), image(1, 8, 8, 3))["params"]
    converted = params_of(TINY)
    assert jax.tree.map(lambda leaf: leaf.shape, made) == jax.tree.map(lambda leaf: leaf.shape, converted)
    assert made["layers_0"]["residual_group"]["blocks_1"]["attn"]["qkv"]["kernel"].shape == (12, 36)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 2), (7, 16)])
def test_any_size_down_to_one_pixel(size):
    lq = image(1, *size, 3)
    restored = compiled(SwinIR(TINY))({"params": params_of(TINY)}, lq)
    assert restored.shape == (1, 2 * size[0], 2 * size[1], 3)
    # The padding is NumPy's reflection, repeated as often as needed.
    padded = np.pad(lq, ((0, 0), (0, -size[0] % 8), (0, -size[1] % 8), (0, 0)), mode="reflect")
    np.testing.assert_array_equal(pad_to_window(jnp.asarray(lq), 8), padded)


def test_outputs_of_rstbs_can_be_captured():
    model, variables, lq = SwinIR(TINY), {"params": params_of(TINY)}, image(1, 16, 16, 3)
    capture = functools.partial(model.apply, capture_intermediates=lambda module, _: isinstance(module, RSTB))
    restored, captured = jax.jit(capture)(variables, lq)
    assert relative_error(restored, compiled(model)(variables, lq)) < 1e-6
    outputs = [found["__call__"][0] for found in captured["intermediates"].values()]
    assert [output.shape for output in outputs] == [(1, 16, 16, TINY.embed_dim)] * 2


def test_vmap_over_images_and_over_parameters():
    model, stack = SwinIR(TINY), [params_of(TINY, seed) for seed in (1, 2)]
    lqs = image(2, 1, 11, 13, 3)
    params = jax.tree.map(lambda *leaves: np.stack(leaves), *stack)
    together = jax.jit(jax.vmap(lambda p, x: model.apply({"params": p}, x)))(params, lqs)
    for i in range(2):
        alone = compiled(model)({"params": stack[i]}, lqs[i])
        assert relative_error(together[i], alone) < 1e-6


@pytest.mark.parametrize("use_checkpoint", [False, True])
@pytest.mark.parametrize("random", [False, True])
def test_gradients_are_those_of_finite_differences(use_checkpoint, random):
    config = dataclasses.replace(TINY, depths=(2,), num_heads=(2,), use_checkpoint=use_checkpoint)
    if random:
        config = dataclasses.replace(config, drop_rate=0.1, attn_drop_rate=0.1, drop_path_rate=0.1)
    options = dict(deterministic=not random, rngs={"dropout": jax.random.key(0)})
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):  # Flax's LayerNorm mixes float64 and float32
        model = SwinIR(config, dtype=jnp.float64)
        params = jax.tree.map(lambda p: jnp.asarray(p, jnp.float64), params_of(config))
        direction = jax.tree.map(lambda p: jnp.asarray(image(*p.shape, seed=5), jnp.float64), params)
        lq, hq = (jnp.asarray(image(1, s, s, 3, seed=s), jnp.float64) for s in (12, 24))

        @jax.jit
        def loss(step):
            moved = jax.tree.map(lambda p, d: p + step * d, params, direction)
            return jnp.mean((model.apply({"params": moved}, lq, **options) - hq) ** 2)

        slope = jax.jit(jax.grad(loss))(0.0)
        difference = (loss(1e-6) - loss(-1e-6)) / 2e-6
    np.testing.assert_allclose(slope, difference, rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, np.float16, np.float64])
def test_images_of_other_dtypes_are_restored_in_float32(dtype):
    params, lq = params_of(TINY), image(1, 9, 11, 3).astype(dtype)
    restored = compiled(SwinIR(TINY))({"params": params}, lq)
    assert restored.dtype == jnp.float32
    np.testing.assert_array_equal(restored, compiled(SwinIR(TINY))({"params": params}, lq.astype(np.float32)))


def test_parameters_of_float64_are_taken_as_float32():
    params, lq = params_of(TINY), image(1, 9, 11, 3)
    restored = compiled(SwinIR(TINY))({"params": jax.tree.map(np.float64, params)}, lq)
    np.testing.assert_array_equal(restored, compiled(SwinIR(TINY))({"params": params}, lq))


def test_names_of_dtypes_are_dtypes():
    with jax.enable_x64(True):
        for name in ("float32", "bfloat16", "float64"):
            dtype = jnp.dtype(name).type
            assert precision.residual_dtype(name) == precision.residual_dtype(dtype)
            assert precision.product_precision(name) == precision.product_precision(dtype)
        assert precision.residual_dtype("float64") == jnp.float64


def test_float64_without_x64_is_refused():
    with pytest.raises(InputError, match="jax_enable_x64"):
        SwinIR(TINY, dtype=jnp.float64)
    with jax.enable_x64(True):
        model = SwinIR(TINY, dtype=jnp.float64)
    with pytest.raises(InputError, match="jax_enable_x64"):
        model.apply({"params": params_of(TINY)}, image(1, 9, 11, 3))


def test_bfloat16_keeps_the_output_float32_and_close():
    params, lq = params_of(TINY), image(1, 16, 16, 3)
    exact = compiled(SwinIR(TINY))({"params": params}, lq)
    rough = compiled(SwinIR(TINY, dtype=jnp.bfloat16))({"params": params}, lq)
    assert rough.dtype == jnp.float32
    assert 0 < relative_error(rough, exact) < 0.03  # bfloat16 has 8 bits: 2^-8 = 0.004 per rounding


@pytest.mark.parametrize(("dtype", "word"), [(jnp.float16, "overflow"), (jnp.int32, "bfloat16 or float64")])
def test_other_dtypes_are_refused_with_the_reason(dtype, word):
    with pytest.raises(InputError, match=word):
        SwinIR(TINY, dtype=dtype)


@pytest.mark.parametrize(
    ("lq", "word"),
    [
        (np.zeros((8, 8, 3), np.float32), r"\[B, h, w, 3\]"),
        (np.zeros((1, 8, 8, 1), np.float32), r"\[B, h, w, 3\]"),
        (np.zeros((8, 8, 3), np.float32), r"a batch of one is x\[None\]"),
        (np.zeros((3, 8, 8), np.float32), r"x\.transpose\(1, 2, 0\)\[None\]"),
        (np.zeros((1, 3, 8, 8), np.float32), r"channels come last: x\.transpose\(0, 2, 3, 1\)"),
        (np.zeros((1, 8, 8, 3), np.uint8), "divide"),
        (np.zeros((1, 0, 8, 3), np.float32), "at least one pixel"),
    ],
)
def test_wrong_inputs_are_named(lq, word):
    with pytest.raises(InputError, match=word):
        jax.eval_shape(SwinIR(TINY).init, jax.random.key(0), lq)


@pytest.mark.parametrize("lq", [[[1.0]], Image.new("RGB", (8, 8))])
def test_what_is_no_array_is_named(lq):
    with pytest.raises(InputError, match=rf"array \[B, h, w, 3\], got {type(lq).__name__}; np\.asarray"):
        SwinIR(TINY).apply({"params": {}}, lq)


def test_a_network_is_made_of_a_configuration():
    with pytest.raises(InputError, match=r"Use SwinIR\(SwinIRConfig\(upscale=2"):
        SwinIR(2)


def test_initialisation_is_distributed_as_in_the_original():
    config = SwinIRConfig(embed_dim=120, depths=(2,), num_heads=(4,))
    params = jax.jit(SwinIR(config).init)(jax.random.key(0), image(1, 8, 8, 3))["params"]
    block = params["layers_0"]["residual_group"]["blocks_0"]
    for kernel in (block["attn"]["qkv"]["kernel"], block["mlp"]["fc2"]["kernel"]):
        assert np.std(kernel) == pytest.approx(0.02, rel=0.02)
        assert (
            0.06 < np.abs(kernel).max() < 0.14
        )  # the tail of a normal distribution: not cut at two deviations, no outlier at 2
    assert np.std(block["attn"]["relative_position_bias_table"]) == pytest.approx(0.02, rel=0.1)
    assert not np.any(block["attn"]["qkv"]["bias"])
    conv, bound = params["layers_0"]["conv"], 1 / np.sqrt(9 * 120)  # PyTorch's Conv2d: uniform, biases too
    for leaf in conv.values():
        assert np.abs(leaf).max() <= bound
        assert np.std(leaf) == pytest.approx(bound / np.sqrt(3), rel=0.1)


def in_training(model):
    return jax.jit(functools.partial(model.apply, deterministic=False))


def test_dropout_and_stochastic_depth_act_only_in_training():
    params, lq = params_of(TINY), image(2, 16, 16, 3)
    for rates in ({"drop_rate": 0.3}, {"attn_drop_rate": 0.3}, {"drop_path_rate": 0.9}):
        model = SwinIR(dataclasses.replace(TINY, **rates))
        still = compiled(model)({"params": params}, lq)
        np.testing.assert_array_equal(still, compiled(SwinIR(TINY))({"params": params}, lq))
        assert not np.allclose(still, in_training(model)({"params": params}, lq, rngs={"dropout": jax.random.key(3)}))


def test_drop_path_rises_linearly_and_drops_whole_samples():
    # At a rate just below 1 for the last of two layers, that layer's branches vanish, the first one's never do.
    config = SwinIRConfig(embed_dim=12, depths=(2,), num_heads=(2,), drop_path_rate=0.999999)
    params, lq = params_of(config), image(2, 16, 16, 3)
    one_layer = dataclasses.replace(config, depths=(1,))
    shorter = {**params, "layers_0": {**params["layers_0"], "residual_group": {}}}
    shorter["layers_0"]["residual_group"]["blocks_0"] = params["layers_0"]["residual_group"]["blocks_0"]
    dropped = in_training(SwinIR(config))({"params": params}, lq, rngs={"dropout": jax.random.key(0)})
    np.testing.assert_allclose(dropped, compiled(SwinIR(one_layer))({"params": shorter}, lq), rtol=1e-6, atol=1e-6)


def test_drop_path_rates_rise_over_all_groups():
    config = SwinIRConfig(embed_dim=12, depths=(2, 1, 2), num_heads=(2, 2, 2), drop_path_rate=0.4)
    np.testing.assert_allclose(config.drop_path_rates, [0, 0.1, 0.2, 0.3, 0.4])
    one_layer = dataclasses.replace(config, depths=(1,), num_heads=(2,))
    assert one_layer.drop_path_rates == (0,)


def test_position_embedding_fixes_the_size():
    config = dataclasses.replace(TINY, ape=True)
    with pytest.raises(InputError, match="only 16x16"):
        SwinIR(config).apply({"params": params_of(config)}, image(1, 24, 16, 3))


def lowered_text(dtype, platform):
    lq = jax.ShapeDtypeStruct((1, 16, 16, 3), jnp.float32)
    run = jax.jit(lambda params, lq: SwinIR(TINY, dtype=dtype).apply({"params": params}, lq))
    return run.trace(params_of(TINY), lq).lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_float32_is_float32_on_every_platform(platform):
    products = [line for line in lowered_text(jnp.float32, platform).splitlines()
                if "stablehlo.dot_general" in line or "stablehlo.convolution" in line]  # fmt: skip
    assert len(products) > 8
    assert all("HIGHEST" in line for line in products)  # else TF32 on GPUs, bfloat16 passes on TPUs


def test_bfloat16_is_in_the_products_alone():
    lines = lowered_text(jnp.bfloat16, "cuda").splitlines()
    products = [line for line in lines if "stablehlo.dot_general" in line or "stablehlo.convolution" in line]
    assert len(products) > 8
    assert all("bf16" in line for line in products)
    for name in ("exponential", "rsqrt", "reduce"):  # softmax and LayerNorm
        found = [line for line in lines if f"stablehlo.{name} " in line or f"stablehlo.{name}(" in line]
        assert found
        assert not any("bf16" in line for line in found), name


def test_recomputing_layers_keeps_little_for_the_backward_pass():
    config = dataclasses.replace(TINY, depths=(6,), num_heads=(2,))
    lq, params = jnp.zeros((2, 32, 32, 3)), params_of(config)

    def kept(use_checkpoint):
        model = SwinIR(dataclasses.replace(config, use_checkpoint=use_checkpoint))
        pullback = jax.eval_shape(lambda params: jax.vjp(lambda p: model.apply({"params": p}, lq), params)[1], params)
        return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(pullback))

    assert 4 * kept(True) < kept(False)
