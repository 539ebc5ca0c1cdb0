import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens import compiled

from swinir_jax import SwinIR, SwinIRConfig
from swinir_jax.gpu import attention
from swinir_jax.gpu.attention import TUNING, Settings, window_attention
from swinir_jax.models.layers import attend
from swinir_jax.models.windows import MASKED

# The kernel is interpreted here. Three windows in strips of two: the last strip is shorter.
TUNINGS = [TUNING, TUNING._replace(programs=4)]
SMALL = SwinIRConfig(embed_dim=12, depths=(2,), num_heads=(2,))


class NoDropout:
    rate, deterministic = 0.0, True

    def __call__(self, x):
        return x


def operands(dtype, size, windows=(1, 3, 1), heads=2):
    rng = np.random.default_rng(0)
    qkv, gradient = (jnp.asarray(rng.standard_normal((*windows, 64, n * heads * size)), dtype) for n in (3, 1))
    bias = jnp.asarray(rng.standard_normal((heads, 64, 64)), jnp.float32)
    return qkv, bias, gradient, jnp.asarray(rng.integers(0, 3, (*windows[1:], 64)), jnp.int32)


def with_gradients(f, qkv, bias, gradient):
    y, pull_back = jax.vjp(f, qkv, bias)
    return y, *pull_back(gradient.astype(y.dtype))


@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float32, 2e-6), (jnp.bfloat16, 1e-2)])
@pytest.mark.parametrize(("size", "masked", "windows"), [(10, True, (2, 3, 1)), (30, False, (1, 3, 1))])
@pytest.mark.parametrize("tuning", TUNINGS, ids=["windows apart", "strips"])
def test_kernel_is_the_attention_of_the_modules(dtype, tolerance, size, masked, windows, tuning):
    qkv, bias, gradient, regions = operands(dtype, size, windows)
    regions = regions if masked else None

    def kernel(qkv, bias):
        return window_attention(qkv, bias, regions, Settings(0.3, MASKED, tuning))

    def plain(qkv, bias):
        return attend(qkv, bias, regions, 0.3, NoDropout(), fused=False)

    ours = with_gradients(kernel, qkv, bias, gradient)
    textbook = with_gradients(plain, *(a.astype(jnp.float32) for a in (qkv, bias, gradient)))
    assert [y.dtype for y in ours] == [dtype, dtype, jnp.float32]
    for y, expected in zip(ours, textbook, strict=True):
        np.testing.assert_allclose(y.astype(jnp.float32), expected, atol=tolerance * np.abs(expected).max(), rtol=0)


def calls_of_kernel(model, **options):
    lq = jax.ShapeDtypeStruct((1, 16, 16, 3), jnp.float32)
    params = jax.eval_shape(SwinIR(model.config).init, jax.random.key(0), lq)["params"]
    rngs = {"dropout": jax.random.key(0)}
    program = jax.make_jaxpr(lambda params, lq: model.apply({"params": params}, lq, rngs=rngs, **options))(params, lq)
    return str(program).count("name=window_attention")


def test_network_takes_the_kernel_where_it_is_asked_for_and_supported():
    assert calls_of_kernel(SwinIR(SMALL, jnp.bfloat16, fused=True)) == 2
    assert calls_of_kernel(SwinIR(SMALL, jnp.bfloat16)) == 0
    assert calls_of_kernel(SwinIR(SMALL, fused=True)) == 0  # float32
    for change in (dict(window_size=7), dict(attn_drop_rate=0.1)):
        config = SwinIRConfig.from_dict({**SMALL.to_dict(), **change})
        assert calls_of_kernel(SwinIR(config, jnp.bfloat16, fused=True), deterministic=False) == 0
    assert calls_of_kernel(SwinIR(config, jnp.bfloat16, fused=True)) == 2  # dropout only acts in training


def test_networks_agree():
    plain = SwinIR(SMALL, jnp.bfloat16)
    lq = np.random.default_rng(0).random((1, 24, 16, 3), dtype=np.float32)
    params = jax.jit(plain.init)(jax.random.key(0), lq)["params"]
    restored, expected = (
        compiled(model)({"params": params}, lq) for model in (plain.clone(fused=True), SwinIR(SMALL, jnp.float32))
    )
    np.testing.assert_allclose(restored, expected, atol=0.02 * np.abs(expected).max())


def test_only_products_that_tensor_cores_take_are_supported():
    assert attention.is_supported(64, jnp.bfloat16)
    assert not attention.is_supported(49, jnp.bfloat16)
    assert not attention.is_supported(64, jnp.float32)
