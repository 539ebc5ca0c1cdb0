import jax
import jax.numpy as jnp
import numpy as np
import pytest

from swinir_jax.models.attention import attention_grouped, attention_reference, window_attention
from swinir_jax.models.windows import shift_labels

SCALE = 0.3


def operands(images=2, labelled=True):
    rng = np.random.default_rng(0)
    labels = shift_labels(24, 16, 8, 4) if labelled else None  # six windows
    qkv = jnp.asarray(rng.standard_normal((6 * images, 64, 3, 3, 5)), jnp.float32)
    return qkv, jnp.asarray(rng.standard_normal((3, 64, 64)), jnp.float32), labels


def by_hand(qkv, bias, labels):
    """One window and one head at a time, in float64, with the official additive mask."""
    qkv, bias = np.asarray(qkv, np.float64), np.asarray(bias, np.float64)
    out = np.empty((*qkv.shape[:2], *qkv.shape[3:]))
    for w in range(qkv.shape[0]):
        for h in range(qkv.shape[3]):
            q, k, v = qkv[w, :, :, h].swapaxes(0, 1)
            scores = q @ k.T * SCALE + bias[h]
            if labels is not None:
                regions = np.asarray(labels)[w % len(labels)]
                scores += np.where(regions[:, None] != regions[None, :], -100, 0)
            weights = np.exp(scores - scores.max(-1, keepdims=True))
            out[w, :, h] = weights / weights.sum(-1, keepdims=True) @ v
    return out


@pytest.mark.parametrize("labelled", [False, True])
def test_reference_is_the_textbook(labelled):
    qkv, bias, labels = operands(images=1, labelled=labelled)
    np.testing.assert_allclose(attention_reference(qkv, bias, labels, SCALE), by_hand(qkv, bias, labels), atol=1e-5)


def test_labels_serve_each_image_of_a_batch():
    qkv, bias, labels = operands(images=2)
    np.testing.assert_allclose(window_attention(qkv, bias, labels, SCALE), by_hand(qkv, bias, labels), atol=1e-5)


@pytest.mark.parametrize("labelled", [False, True])
def test_grouped_equals_reference_in_values_and_gradients(labelled):
    qkv, bias, labels = operands(images=2, labelled=labelled)  # 12 windows: not a multiple of the group
    labels = None if labels is None else jnp.tile(labels, (2, 1))
    weight = jnp.asarray(np.random.default_rng(1).standard_normal((12, 64, 3, 5)), jnp.float32)

    def loss(path):
        return jax.jit(jax.value_and_grad(lambda q, b: jnp.sum(path(q, b, labels, SCALE) * weight), argnums=(0, 1)))

    value, gradients = loss(attention_reference)(qkv, bias)
    grouped_value, grouped_gradients = loss(attention_grouped)(qkv, bias)
    np.testing.assert_allclose(grouped_value, value, rtol=1e-5)
    for ours, theirs in zip(grouped_gradients, gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * float(jnp.abs(theirs).max()))
