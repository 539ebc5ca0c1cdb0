import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from swinir_jax.models import attention as module
from swinir_jax.models.attention import attention, over_windows
from swinir_jax.models.windows import shift_labels


def operands(windows=6, labelled=True):
    rng = np.random.default_rng(0)
    q, k, v = (jnp.asarray(rng.standard_normal((windows, 3, 64, 5)), jnp.float32) for _ in range(3))
    labels = jnp.tile(shift_labels(24, 16, 8, 4), (windows // 6, 1)) if labelled else None  # six windows an image
    return q, k, v, jnp.asarray(rng.standard_normal((3, 64, 64)), jnp.float32), labels


def by_hand(q, k, v, bias, labels):
    """One window and one head at a time, in float64, with the official additive mask."""
    q, k, v, bias = (np.asarray(x, np.float64) for x in (q, k, v, bias))
    out = np.empty(q.shape)
    for w, h in np.ndindex(q.shape[:2]):
        scores = q[w, h] @ k[w, h].T + bias[h]
        if labels is not None:
            regions = np.asarray(labels)[w]
            scores += np.where(regions[:, None] != regions[None, :], -100, 0)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        out[w, h] = weights / weights.sum(-1, keepdims=True) @ v[w, h]
    return out


@pytest.mark.parametrize("labelled", [False, True])
def test_attention_is_the_textbook(labelled):
    inputs = operands(labelled=labelled)
    np.testing.assert_allclose(attention(*inputs), by_hand(*inputs), atol=2e-6)


def test_gradient_of_the_softmax_is_jax_s_own():
    q, k, v, bias, labels = operands()

    def plain(q, k, v, bias):
        apart = labels[:, None, :, None] != labels[:, None, None, :]
        scores = jnp.einsum("whqd,whkd->whqk", q, k) + bias + jnp.where(apart, -100.0, 0.0)
        return jnp.einsum("whqk,whkd->whqd", jax.nn.softmax(scores), v)

    def gradients(path):
        return jax.grad(lambda *x: jnp.sum(jnp.sin(path(*x))), argnums=(0, 1, 2, 3))(q, k, v, bias)

    ours = gradients(lambda *x: attention(*x, labels))
    for ours_, theirs in zip(ours, gradients(plain), strict=True):
        np.testing.assert_allclose(ours_, theirs, atol=1e-5 * float(jnp.abs(theirs).max()))


@pytest.mark.parametrize("windows", [6, 42])  # fewer than a group, and not a multiple of it
@pytest.mark.parametrize("labelled", [False, True])
def test_groups_of_windows_equal_all_at_once_in_values_and_gradients(windows, labelled):
    q, k, v, bias, labels = operands(windows, labelled)
    tokens = jnp.concatenate([q, k, v], axis=-1)

    def layer(bias, tokens, labels):
        return attention(*jnp.split(tokens, 3, axis=-1), bias, labels).repeat(3, axis=-1)

    def loss(run):
        return jax.jit(
            jax.value_and_grad(lambda b, t: jnp.sum(jnp.sin(run(functools.partial(layer, b), t, labels))), (0, 1))
        )

    value, gradients = loss(lambda layer, tokens, labels: layer(tokens, labels))(bias, tokens)
    for path in (over_windows, lambda layer, tokens, labels: module._in_groups(layer, tokens, (labels,))):
        other_value, other_gradients = loss(path)(bias, tokens)
        np.testing.assert_allclose(other_value, value, rtol=1e-5)
        for ours, theirs in zip(other_gradients, gradients, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5 * float(jnp.abs(theirs).max()))
