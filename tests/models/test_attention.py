import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from swinir_jax import SwinIRConfig
from swinir_jax.models.layers import WindowAttention
from swinir_jax.models.windows import relative_position_index, shift_mask, shift_regions

CONFIG = SwinIRConfig(embed_dim=15, depths=(1,), num_heads=(3,), qk_scale=0.4)
ROWS, COLUMNS, N, HEADS, D = 3, 2, 64, 3, 5


def operands(masked=True, windows=(1, ROWS, COLUMNS)):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((*windows, N, CONFIG.embed_dim)), jnp.float32)
    shapes = jax.eval_shape(WindowAttention(CONFIG, HEADS).init, jax.random.key(0), x, None, True)["params"]
    params = jax.tree.map(lambda leaf: jnp.asarray(0.5 * rng.standard_normal(leaf.shape), jnp.float32), shapes)
    return params, x, shift_regions(8 * ROWS, 8 * COLUMNS, 8, 4) if masked else None


def by_hand(params, x, regions):
    """One window and one head at a time, in float64, with the official additive mask."""
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    q, k, v = np.split(np.asarray(x, np.float64) @ params["qkv"]["kernel"] + params["qkv"]["bias"], 3, axis=-1)
    bias = params["relative_position_bias_table"][relative_position_index(8)]
    y = np.empty(q.shape)
    for *window, head in np.ndindex(*x.shape[:3], HEADS):
        part = (*window, slice(None), slice(D * head, D * head + D))
        scores = 0.4 * q[part] @ k[part].T + bias[..., head]
        if regions is not None:
            scores += np.asarray(shift_mask(regions), np.float64)[tuple(window[1:])]
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        y[part] = weights / weights.sum(-1, keepdims=True) @ v[part]
    return y @ params["proj"]["kernel"] + params["proj"]["bias"]


@pytest.mark.parametrize("masked", [False, True])
def test_attention_is_the_textbook(masked):
    params, x, regions = operands(masked, (2, ROWS, COLUMNS))
    y = WindowAttention(CONFIG, HEADS).apply({"params": params}, x, regions, True)
    expected = by_hand(params, x, regions)
    np.testing.assert_allclose(y, expected, atol=2e-6 * np.abs(expected).max())


def test_bfloat16_keeps_scores_in_float32():
    params, x, regions = operands()

    def attend(params, x):
        return WindowAttention(CONFIG, HEADS, jnp.bfloat16).apply({"params": params}, x, regions, True)

    exponentials = [line for line in str(jax.make_jaxpr(attend)(params, x)).splitlines() if " = exp " in line]
    assert exponentials
    assert not any("bf16" in line for line in exponentials)
    y, expected = attend(params, x), by_hand(params, x, regions)
    assert y.dtype == jnp.float32
    np.testing.assert_allclose(y, expected, atol=0.03 * np.abs(expected).max())


def test_dropout_acts_on_the_weights_of_attention():
    config = SwinIRConfig.from_dict({**CONFIG.to_dict(), "attn_drop_rate": 0.5})
    params, x, regions = operands()
    _, captured = WindowAttention(config, HEADS).apply(
        {"params": params}, x, regions, False, rngs={"dropout": jax.random.key(0)},
        capture_intermediates=lambda module, _: isinstance(module, nn.Dropout),
    )  # fmt: skip
    (weights,) = captured["intermediates"]["Dropout_0"]["__call__"]
    assert weights.shape == (1, ROWS, COLUMNS, HEADS, N, N)
    assert 0.4 < float(jnp.mean((weights == 0).astype(jnp.float32))) < 0.9  # and masked ones, which underflow
