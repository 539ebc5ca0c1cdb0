import jax
import numpy as np
import pytest
from goldens import GOLDENS, fill

from swinir_jax import InputError
from swinir_jax.training.perceptual import VGG19_LAYERS, perceptual_losses, vgg19_weights

CASE = np.load(GOLDENS / "real_world" / "perceptual.npz")
CONVOLUTIONS = {0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128), 10: (128, 256)}
CONVOLUTIONS |= dict.fromkeys((12, 14, 16), (256, 256)) | {19: (256, 512)}
CONVOLUTIONS |= dict.fromkeys((21, 23, 25, 28, 30, 32, 34), (512, 512))


@pytest.fixture(scope="module")
def tensors():
    """Generated weights under torchvision's names."""
    seed = int(CASE["seed"])
    tensors = {}
    for number, (channels, features) in CONVOLUTIONS.items():
        for name, shape in (("weight", (features, channels, 3, 3)), ("bias", (features,))):
            tensors[f"features.{number}.{name}"] = fill(f"features.{number}.{name}", shape, seed)
    return tensors


def images():
    seed, shape = int(CASE["seed"]), CASE["input_shape"]
    return (np.random.default_rng(seed * 1000 + n).random(shape, dtype=np.float32) for n in (2, 3))


@pytest.mark.as_shipped
def test_each_layer_and_the_sum_are_those_of_the_original(tensors):
    restored, hq = images()
    assert dict(zip(CASE["layers"].tolist(), CASE["weights"].tolist(), strict=True)) == VGG19_LAYERS
    losses = jax.jit(perceptual_losses)(vgg19_weights(tensors), restored, hq)
    np.testing.assert_allclose(list(losses.values()), CASE["parts"], rtol=1e-5)
    np.testing.assert_allclose(sum(losses.values()), CASE["total"], rtol=1e-5)


def test_only_the_restored_image_gets_a_gradient(tensors):
    restored, hq = images()

    def loss(restored, hq, weights):
        return sum(perceptual_losses(weights, restored, hq).values())

    ours, theirs = jax.jit(jax.grad(loss, argnums=(0, 1)))(
        restored[:, :16, :16], hq[:, :16, :16], vgg19_weights(tensors)
    )
    assert np.abs(ours).max() > 0
    assert not np.any(theirs)


def test_weights_of_another_network_are_refused(tensors):
    with pytest.raises(InputError, match=r"Not the weights of VGG19: features.34.weight must have the shape .*none"):
        vgg19_weights({name: tensor for name, tensor in tensors.items() if ".34." not in name})
    with pytest.raises(InputError, match=r"features.0.weight .* got \(64, 1, 3, 3\)"):
        vgg19_weights(tensors | {"features.0.weight": tensors["features.0.weight"][:, :1]})
