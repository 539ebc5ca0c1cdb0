import dataclasses
import functools

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens import TINY, TINY_SWIN2SR, compiled, image, params_of, relative_error

from swinir_jax import InputError, SwinIR, cpu, fast_apply

OPTIONS = {
    "odd depths": dict(depths=(3, 3, 1), num_heads=(2, 2, 2)),
    "depth 1": dict(depths=(1,), num_heads=(3,)),
    "window 7, gray": dict(in_chans=1, window_size=7, img_size=14, upsampler="", upscale=1, img_range=255.0),
    "ape of a rectangle, 3conv, qk_scale": dict(ape=True, img_size=(16, 24), resi_connection="3conv", qk_scale=0.7),
    "no shift, no qkv bias, no patch norm": dict(img_size=8, qkv_bias=False, patch_norm=False),
    "swin2sr, no qkv bias, aux": dict(
        family="swin2sr", qkv_bias=False, upsampler="pixelshuffle_aux", depths=(2,), num_heads=(3,)
    ),
    "swin2sr, odd depth, 3conv": dict(
        family="swin2sr", resi_connection="3conv", patch_norm=False, depths=(3,), num_heads=(2,)
    ),
    # Not with nearest+conv, whose gradient jumps where a rounding changes a sign.
    "unshuffled": dict(unshuffle=8, upscale=1, depths=(1,), num_heads=(2,)),
}


def case(options, dtype=np.float32):
    """Returns the config of some options, parameters, and images `[2, h, w, C]`."""
    config = dataclasses.replace(TINY, **options)
    lq = image(2, *(config.img_sides if config.ape else (21, 11)), config.in_chans)
    return config, *jax.tree.map(lambda leaf: np.asarray(leaf, dtype), (params_of(config), lq))


def close(ours, theirs, tolerance):
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * float(np.abs(theirs).max()))


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_answers_are_those_of_the_modules(options):
    config, params, lq = case(options)
    ours = jax.jit(functools.partial(cpu.restore, config=config))(cpu.prepare(params, config), lq)
    assert relative_error(ours, compiled(SwinIR(config))({"params": params}, lq)) < 2e-6


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_answers_and_gradients_of_training_are_those_of_the_modules(options):
    """In float64: gradients of Swin2SR are small sums of large terms, whose float32 roundings differ by 1e-5."""

    def answer_and_gradient(apply):
        def loss(params):
            y = apply(params)
            return jnp.sum(jnp.sin(y)), y

        return jax.jit(jax.grad(loss, has_aux=True))(params)

    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):  # Flax mixes float64 and float32
        config, params, lq = case(options, np.float64)
        model = SwinIR(config, dtype=np.float64)
        gradient, y = answer_and_gradient(lambda params: model.apply({"params": params}, lq))
        ours, our_y = answer_and_gradient(
            lambda params: cpu.restore(
                cpu.prepare(params, config, training=True), lq, config, dtype=np.float64, training=True
            )
        )
        assert y.dtype == our_y.dtype == np.float64
        assert relative_error(our_y, y) < 1e-13
        jax.tree.map(functools.partial(close, tolerance=1e-13), ours, gradient)


def test_stochastic_depth_is_that_of_the_modules():
    config = dataclasses.replace(TINY, depths=(3, 2), drop_path_rate=0.6)
    params, lq = params_of(config), image(4, 16, 16, 3)
    draw = functools.partial(
        SwinIR(config).apply,
        deterministic=False,
        capture_intermediates=lambda module, _: isinstance(module, nn.Dropout),
    )
    dropped, captured = jax.jit(draw)({"params": params}, lq, rngs={"dropout": jax.random.key(0)})
    keep = np.ones((4, 5, 2), np.float32)  # the factors that the modules drew
    blocks = [captured["intermediates"][f"layers_{i}"]["residual_group"][f"blocks_{j}"] for i, j in np.ndindex(2, 3)
              if j < config.depths[i]]  # fmt: skip
    for i, (block, rate) in enumerate(zip(blocks, config.drop_path_rates, strict=True)):
        for branch, y in enumerate(block["Dropout_0"]["__call__"]):
            keep[:, i, branch] = np.any(np.asarray(y) != 0, axis=(1, 2, 3)) / (1 - rate)
    assert 0 < (keep == 0).sum() < keep.size // 2
    weights = cpu.prepare(params, config, jnp.asarray(keep), training=True)
    ours = jax.jit(functools.partial(cpu.restore, config=config, training=True))(weights, lq)
    close(ours, dropped, 2e-6)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 2), (7, 16)])
def test_any_size_down_to_one_pixel(size):
    params, lq = params_of(TINY), image(1, *size, 3)
    close(jax.jit(fast_apply(SwinIR(TINY), params))(lq), compiled(SwinIR(TINY))({"params": params}, lq), 2e-6)


def test_float64_is_float64_throughout():
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):  # Flax's LayerNorm mixes float64 and float32
        params = jax.tree.map(lambda p: np.asarray(p, np.float64), params_of(TINY))
        lq = np.asarray(image(1, 16, 24, 3), np.float64)
        expected = compiled(SwinIR(TINY, dtype=jnp.float64))({"params": params}, lq)
        restored = jax.jit(lambda lq: cpu.restore(cpu.prepare(params, TINY), lq, TINY, jnp.float64))(lq)
        close(restored, expected, 1e-13)


def test_bfloat16_is_as_close_to_float32_as_the_modules():
    params, lq = params_of(TINY), image(1, 16, 24, 3)
    exact = compiled(SwinIR(TINY))({"params": params}, lq)
    rough = jax.jit(fast_apply(SwinIR(TINY, dtype=jnp.bfloat16), params))(lq)
    assert rough.dtype == jnp.float32
    assert 0 < relative_error(rough, exact) < 0.03


@pytest.mark.parametrize("dtype", [jnp.bfloat16, np.float64])
def test_parameters_of_any_dtype_are_folded_in_float32(dtype):
    params, lq = jax.tree.map(lambda p: np.asarray(p, dtype), params_of(TINY)), image(1, 9, 11, 3)
    expected = fast_apply(SwinIR(TINY), jax.tree.map(np.float32, params))(lq)
    with jax.enable_x64(dtype == np.float64):
        restored = fast_apply(SwinIR(TINY), params)(lq)
    assert restored.dtype == jnp.float32
    np.testing.assert_array_equal(restored, expected)


@pytest.mark.parametrize("config", [TINY, TINY_SWIN2SR], ids=lambda config: config.family)
def test_parameters_of_bfloat16_are_folded_in_float32_in_a_derivative(config):
    rough = jax.tree.map(lambda p: jnp.asarray(p, jnp.bfloat16), params_of(config))
    exact = jax.tree.map(lambda p: p.astype(jnp.float32), rough)
    prepare = jax.jit(functools.partial(cpu.prepare, config=config, training=True))
    jax.tree.map(functools.partial(close, tolerance=1e-6), prepare(rough), prepare(exact))


@pytest.mark.parametrize(
    ("family", "part"),
    [("swinir", "blocks_3"), *(("swin2sr", part) for part in ("blocks_3", "_bias", "logit_scale", "cpb_mlp_0"))],
)
def test_a_part_of_the_parameters_may_be_trained(family, part):
    """The others are NumPy arrays then, as `load_pretrained` returns them."""
    config = dataclasses.replace(TINY, family=family, depths=(4,), num_heads=(2,))
    flat = flax.traverse_util.flatten_dict(params_of(config), sep="/")
    trained = {path: leaf for path, leaf in flat.items() if part in path}

    def loss(trained):
        params = flax.traverse_util.unflatten_dict(flat | trained, sep="/")
        return sum(leaf.sum() for leaf in jax.tree.leaves(cpu.prepare(params, config, training=True)))

    gradient = jax.eval_shape(jax.grad(loss), trained)
    assert {path: leaf.shape for path, leaf in gradient.items()} == {path: leaf.shape for path, leaf in trained.items()}


@pytest.mark.parametrize(
    ("lq", "word"),
    [(np.zeros((1, 8, 8, 1), np.float32), r"\[B, h, w, 3\]"), (np.zeros((1, 8, 8, 3), np.uint8), "divide")],
)
def test_wrong_inputs_are_named(lq, word):
    with pytest.raises(InputError, match=word):
        fast_apply(SwinIR(TINY), params_of(TINY))(lq)


def test_weights_are_made_leaf_by_leaf_in_numpy():
    weights = cpu.prepare(params_of(TINY), TINY)
    assert {type(leaf) for leaf in jax.tree.leaves(weights)} == {np.ndarray}
    assert {leaf.dtype for leaf in jax.tree.leaves(weights)} == {np.dtype(np.float32)}


def test_fast_apply_inside_other_programs():
    params, frames = params_of(TINY), image(2, 1, 16, 24, 3)
    restore = fast_apply(SwinIR(TINY), params)
    _, restored = jax.jit(lambda frames: jax.lax.scan(lambda carry, lq: (carry, restore(lq)), 0, frames))(frames)
    expected = [compiled(SwinIR(TINY))({"params": params}, lq) for lq in frames]
    close(restored, np.stack(expected), 2e-6)
    close(jax.jit(jax.vmap(restore))(frames), np.stack(expected), 2e-6)


def test_fast_apply_made_inside_other_programs():
    model, params, lq = SwinIR(TINY), params_of(TINY), image(1, 9, 11, 3)
    close(jax.jit(lambda lq: fast_apply(model, params)(lq))(lq), fast_apply(model, params)(lq), 2e-6)
    with pytest.raises(InputError, match=r"have no values inside jax\.jit, .* call model\.apply"):
        jax.grad(lambda params: fast_apply(model, params)(lq).sum())(params)


@functools.cache
def temporaries(blocks, side, training=False, stacked=False, depth=2, **options):
    config = dataclasses.replace(
        TINY, embed_dim=32, mlp_ratio=4.0, depths=(depth,) * blocks, num_heads=(2,) * blocks, **options
    )

    def run(weights, lq):
        return cpu.restore(weights, lq, config, training=training)

    def gradient(params, lq):
        return jax.grad(lambda params: run(cpu.prepare(params, config, training=not stacked), lq).sum())(params)

    lq, params = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32), params_of(config)
    lowered = jax.jit(gradient).lower(params, lq) if training else jax.jit(run).lower(cpu.prepare(params, config), lq)
    return lowered.compile().memory_analysis().temp_size_in_bytes


def test_memory_holds_few_features_and_the_layers_of_one_block():
    layers_of_a_block = 2 * 12 * 32**2 * 4  # bytes
    assert temporaries(6, 32) - temporaries(2, 32) < layers_of_a_block
    features = 32 * 4 * (256**2 - 128**2)
    assert temporaries(2, 256) - temporaries(2, 128) < 4.5 * features


def test_a_derivative_keeps_the_features_of_a_block_once():
    options = dict(training=True, depth=6)
    assert temporaries(2, 64, **options) < 0.9 * temporaries(2, 64, stacked=True, **options)


def test_recomputing_pairs_of_layers_saves_memory():
    options = dict(training=True, depth=6)
    assert temporaries(2, 64, use_checkpoint=True, **options) < 0.8 * temporaries(2, 64, **options)
