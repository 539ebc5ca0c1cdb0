import jax
import jax.numpy as jnp
import numpy as np
import pytest

from swinir_jax import InputError, metrics
from swinir_jax.errors import option
from swinir_jax.training.experiment import LossConfig
from swinir_jax.training.losses import pixel_loss

RNG = np.random.default_rng(0)
RESTORED, HQ = (RNG.random((2, 16, 14, 3)).astype(np.float32) for _ in range(2))
DIFFERENCE = (RESTORED - HQ).astype(np.float64)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (LossConfig(name="l1"), np.abs(DIFFERENCE).mean()),
        (LossConfig(name="l2"), (DIFFERENCE**2).mean()),
        (LossConfig(name="charbonnier", eps=0.04), np.sqrt(DIFFERENCE**2 + 0.04).mean()),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_formulas(config, expected):
    np.testing.assert_allclose(pixel_loss(config, RESTORED, HQ), expected, rtol=1e-6)


def test_l1_ssim_weighs_the_metric_of_the_tables():
    restored, hq = (np.round(images * 255).astype(np.uint8) for images in (RESTORED, HQ))
    ssim = np.mean([metrics.ssim(r, h, 0) for r, h in zip(restored, hq, strict=True)])
    l1 = np.abs(restored / 255 - hq / 255).mean()
    config = LossConfig(name="l1_ssim", ssim_weight=0.25)
    loss = pixel_loss(config, jnp.float32(restored / 255), jnp.float32(hq / 255))
    np.testing.assert_allclose(loss, 0.75 * l1 + 0.25 * (1 - ssim), rtol=1e-5)


@pytest.mark.parametrize("name", ["l1", "l2", "charbonnier", "l1_ssim"])
def test_a_perfect_image_has_a_finite_gradient(name):
    gradient = jax.grad(pixel_loss, 1)(LossConfig(name=name), jnp.asarray(HQ), jnp.asarray(HQ))
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    "values", [{"name": "L1"}, {"eps": 0.0}, {"eps": float("nan")}, {"ssim_weight": 1.5}], ids=lambda v: next(iter(v))
)
def test_loss_values_out_of_range_are_refused(values):
    with pytest.raises(InputError, match=option(f"loss.{next(iter(values))}")):
        LossConfig(**values)
