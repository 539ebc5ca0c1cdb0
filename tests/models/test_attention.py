import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from swinir_jax.models import attention as module
from swinir_jax.models.attention import attention, attention_on_cpu, over_windows
from swinir_jax.models.windows import shift_labels

SCALE = 0.4


def operands(windows=6, labelled=True):
    rng = np.random.default_rng(0)
    qkv = jnp.asarray(rng.standard_normal((windows, 64, 3, 3, 5)), jnp.float32)
    labels = jnp.tile(shift_labels(24, 16, 8, 4), (windows // 6, 1)) if labelled else None  # six windows an image
    return qkv, jnp.asarray(rng.standard_normal((3, 64, 64)), jnp.float32), labels


def by_hand(qkv, bias, labels):
    """One window and one head at a time, in float64, with the official additive mask."""
    q, k, v = np.moveaxis(np.asarray(qkv, np.float64), 2, 0)
    out = np.empty(q.shape)
    for w, h in np.ndindex(q.shape[0], q.shape[2]):
        scores = SCALE * q[w, :, h] @ k[w, :, h].T + np.asarray(bias, np.float64)[h]
        if labels is not None:
            regions = np.asarray(labels)[w]
            scores += np.where(regions[:, None] != regions[None, :], -100, 0)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        out[w, :, h] = weights / weights.sum(-1, keepdims=True) @ v[w, :, h]
    return out


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("path", [attention, attention_on_cpu])
def test_attention_is_the_textbook(path, labelled):
    qkv, bias, labels = operands(labelled=labelled)
    np.testing.assert_allclose(path(qkv, SCALE, bias, labels), by_hand(qkv, bias, labels), atol=2e-6)


@pytest.mark.parametrize("path", [attention, attention_on_cpu])
def test_gradients_are_those_of_the_textbook(path):
    qkv, bias, labels = operands()

    def plain(qkv, bias):
        q, k, v = jnp.moveaxis(qkv, 2, 0)
        apart = labels[:, None, :, None] != labels[:, None, None, :]
        scores = jnp.einsum("wqhd,wkhd->whqk", SCALE * q, k) + bias + jnp.where(apart, -100.0, 0.0)
        return jnp.einsum("whqk,wkhd->wqhd", jax.nn.softmax(scores), v)

    def gradients(path):
        return jax.grad(lambda *x: jnp.sum(jnp.sin(path(*x))), argnums=(0, 1))(qkv, bias)

    ours = gradients(lambda qkv, bias: path(qkv, SCALE, bias, labels))
    for ours_, theirs in zip(ours, gradients(plain), strict=True):
        np.testing.assert_allclose(ours_, theirs, atol=1e-5 * float(jnp.abs(theirs).max()))


def test_bfloat16_keeps_scores_in_float32():
    qkv, bias, labels = operands()
    for path in (attention, attention_on_cpu):
        y = path(qkv.astype(jnp.bfloat16), SCALE, bias, labels)
        assert y.dtype == jnp.bfloat16
        np.testing.assert_allclose(y.astype(jnp.float32), by_hand(qkv, bias, labels), atol=0.03)


# Fewer than a group; several equal groups; a prime number, which leaves a remainder.
@pytest.mark.parametrize("windows", [6, 96, 53])
@pytest.mark.parametrize("labelled", [False, True])
def test_groups_of_windows_equal_all_at_once_in_values_and_gradients(windows, labelled):
    qkv, bias, labels = operands(windows // 6 * 6 + 6, labelled)
    tokens, labels = qkv.reshape(len(qkv), 64, -1)[:windows], None if labels is None else labels[:windows]

    def layer(attend, bias, tokens, labels):
        y = attend(tokens.reshape(-1, 64, 3, 3, 5), SCALE, bias, labels, None)
        return y.reshape(-1, 64, 15).repeat(3, axis=-1)

    def all_at_once(layer, *operands):
        return layer(attention, *operands)

    def in_groups(layer, *operands):
        return module.in_groups(functools.partial(layer, attention), *operands)

    def loss(run):
        return jax.jit(jax.value_and_grad(lambda b, t: jnp.sum(jnp.sin(run(layer, b, t, labels))), (0, 1)))

    plain = all_at_once(layer, bias, tokens, labels)
    value, gradients = loss(all_at_once)(bias, tokens)
    for path in (over_windows, in_groups):
        np.testing.assert_allclose(jax.jit(functools.partial(path, layer))(bias, tokens, labels), plain, atol=1e-5)
        other_value, other_gradients = loss(path)(bias, tokens)
        np.testing.assert_allclose(other_value, value, rtol=1e-5)
        for ours, theirs in zip(other_gradients, gradients, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5 * float(jnp.abs(theirs).max()))
