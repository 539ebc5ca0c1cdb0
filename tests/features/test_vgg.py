import jax
import numpy as np
import pytest
from feature_weights import generated_params
from goldens import GOLDENS

from swinir_jax.features import FEATURE_NETWORKS, perceptual_loss, perceptual_losses

CASE = np.load(GOLDENS / "real_world" / "perceptual.npz")
VGG19 = FEATURE_NETWORKS["vgg19"]


@pytest.fixture(scope="module")
def params():
    return generated_params("vgg19", int(CASE["seed"]))


def images():
    seed, shape = int(CASE["seed"]), CASE["input_shape"]
    return (np.random.default_rng(seed * 1000 + n).random(shape, dtype=np.float32) for n in (2, 3))


def test_the_tensors_of_vgg19_are_torchvisions():
    kernels = {int(name.split(".")[1]): shape for name, shape in VGG19.shapes.items() if name.endswith("weight")}
    channels = {0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128), 10: (128, 256)}
    channels |= dict.fromkeys((12, 14, 16), (256, 256)) | {19: (256, 512)}
    channels |= dict.fromkeys((21, 23, 25, 28, 30, 32, 34), (512, 512))
    assert kernels == {number: (features, inputs, 3, 3) for number, (inputs, features) in channels.items()}


@pytest.mark.as_shipped
def test_each_layer_and_the_sum_are_those_of_the_original(params):
    restored, hq = images()
    np.testing.assert_array_equal(VGG19.weights, CASE["weights"])
    losses = jax.jit(perceptual_losses, static_argnums=0)("vgg19", params, restored, hq)
    np.testing.assert_allclose(losses, CASE["parts"], rtol=1e-5)
    loss = jax.jit(perceptual_loss, static_argnums=0)("vgg19", params, restored, hq)
    np.testing.assert_allclose(loss, CASE["total"], rtol=1e-5)


def test_only_the_restored_image_gets_a_gradient(params):
    restored, hq = images()
    gradient = jax.jit(jax.grad(perceptual_loss, argnums=(2, 3)), static_argnums=0)
    ours, theirs = gradient("vgg19", params, restored[:, :16, :16], hq[:, :16, :16])
    assert np.abs(ours).max() > 0
    assert not np.any(theirs)
