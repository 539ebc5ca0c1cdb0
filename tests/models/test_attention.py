import jax
import jax.numpy as jnp
import numpy as np
import pytest

from swinir_jax.models.attention import attention, attention_on_cpu
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
