import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from swinir_jax.models import groups
from swinir_jax.models.attention import attention
from swinir_jax.models.windows import shift_labels

M, HEADS, D = 8, 3, 5
C = 3 * HEADS * D


def layer(attend, bias, tokens, labels, gains):
    """Attention between tokens that are queries, keys and values, as they are; their gains; and the tokens again."""
    y = attend(tokens.reshape(-1, M * M, 3, HEADS, D), 0.4, bias, labels, None).reshape(-1, M * M, C // 3)
    y = y if gains is None else y * gains[:, None, :1]
    return tokens + y.repeat(3, axis=-1)


def operands(batch, height, width, shifted):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((batch, height, width, C)), jnp.float32)
    bias = jnp.asarray(rng.standard_normal((HEADS, M * M, M * M)), jnp.float32)
    gains = jnp.asarray(rng.random((batch, 2)), jnp.float32)
    return bias, x, shift_labels(height, width, M, M // 2) if shifted else None, gains


def close(ours, theirs):
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * float(jnp.abs(theirs).max()))


# One band; no bands, as the rows are prime; bands of one row; of two; of more than a group, with a rest; a batch.
@pytest.mark.parametrize("size", [(1, 24, 32), (1, 104, 24), (1, 40, 104), (1, 32, 96), (1, 24, 296), (2, 24, 96)])
@pytest.mark.parametrize("shift", [(0, 0), (4, 4), (0, 4)])
def test_bands_and_groups_of_windows_equal_all_at_once_in_values_and_gradients(size, shift):
    bias, x, labels, gains = operands(*size, any(shift))

    def gradients(way):
        def loss(bias, x, gains):
            return jnp.sum(jnp.sin(way(**options)(bias, x, labels, gains)))

        return jax.jit(jax.grad(loss, (0, 1, 2)))(bias, x, gains)

    options = dict(window_size=M, shift=shift)
    plain = functools.partial(groups.at_once, functools.partial(layer, attention))
    expected, slopes = plain(**options)(bias, x, labels, gains), gradients(plain)
    for way in (
        functools.partial(groups.over_windows, layer),
        functools.partial(groups.in_bands, functools.partial(layer, attention)),
        functools.partial(groups.at_once, functools.partial(groups.in_groups, functools.partial(layer, attention))),
    ):
        close(jax.jit(way(**options))(bias, x, labels, gains), expected)
        jax.tree.map(close, gradients(way), slopes)
